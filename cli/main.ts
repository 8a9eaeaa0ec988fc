/** The only place that reads the arguments and decides the exit code. */

import { BrokenOff, OomkitError } from "../core/errors.ts";
import { BUG, CANNOT_TELL, type ExitCode, NOT_OK, OK } from "./exit.ts";
import { OutputClosed, print, printable, printStderr } from "./output/output.ts";
import { type BuildInfo, versionText } from "./version.ts";

export async function main(build?: BuildInfo): Promise<void> {
  let code: ExitCode = OK;
  const version = versionText(build);
  try {
    if (["-V", "--version"].includes(Deno.args[0]!)) {
      print(version);
    } else {
      // What is not needed is not loaded: see docs/performance.md.
      const { runProgram } = await import("./program.ts");
      await runProgram(Deno.args, version, (result) => void (code = result));
    }
  } catch (error) {
    code = failure(error);
  }
  Deno.exit(code);
}

function failure(error: unknown): ExitCode {
  if (error instanceof OutputClosed) return OK;
  if (error instanceof OomkitError) {
    // It may name what somebody else has named.
    printStderr(`oomkit: ${printable(error.message)}`);
    return error instanceof BrokenOff ? NOT_OK : CANNOT_TELL;
  }
  const stack = Deno.env.get("OOMKIT_DEBUG") && error instanceof Error ? `\n${error.stack}` : "";
  printStderr(`oomkit: this is a bug: ${error}; please report it with OOMKIT_DEBUG=1${stack}`);
  return BUG;
}

if (import.meta.main) await main();
