/** The entry point: reads the arguments and decides the exit status. */

import { OomkitError, OomkitErrors, RuntimeFailure } from "../core/errors.ts";
import { BUG, ERROR, type ExitCode, NOT_OK, OK } from "./exit.ts";
import { OutputClosed, print, printable, printStderr } from "./output/output.ts";
import { asCalled } from "./output/shell.ts";
import { runProgram } from "./program.ts";
import { type BuildInfo, setBuild, versionText } from "./version.ts";

export async function main(build?: BuildInfo): Promise<void> {
  // Only that variable shows a stack, and to record one takes longer than to read a file: most files that are tried do not exist.
  if (!Deno.env.get("OOMKIT_DEBUG")) Error.stackTraceLimit = 0;
  setBuild(build);
  Deno.exit(await runCommand(Deno.args, versionText(build)));
}

export async function runCommand(args: readonly string[], version: string): Promise<ExitCode> {
  let code: ExitCode = OK;
  try {
    if (["-V", "--version"].includes(args[0]!)) {
      print(version);
    } else if (args[0] === "--licenses") {
      print((await import("./licenses.ts")).NOTICES.trimEnd());
    } else {
      await runProgram(args, version, (result) => void (code = result));
    }
  } catch (error) {
    code = failure(error);
  }
  return code;
}

function failure(error: unknown): ExitCode {
  if (error instanceof OutputClosed) return OK;
  if (error instanceof OomkitError) {
    for (const { message } of error instanceof OomkitErrors ? error.errors : [error]) {
      // The message may quote a name that another user chose.
      printStderr(`oomkit: ${printable(asCalled(message))}`);
    }
    return error instanceof RuntimeFailure ? NOT_OK : ERROR;
  }
  const stack = Deno.env.get("OOMKIT_DEBUG") && error instanceof Error ? `\n${error.stack}` : "";
  printStderr(`oomkit: this is a bug: ${error}; please report it with OOMKIT_DEBUG=1${stack}`);
  return BUG;
}

if (import.meta.main) await main();
