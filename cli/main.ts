/** The only place that reads the arguments and decides the exit code. */

import { BrokenOff, OomkitError } from "../core/errors.ts";
import { OutputClosed, print, printable, say } from "./output.ts";
import { type BuildInfo, versionText } from "./version.ts";

/** 0 fine, 1 the thing asked about is not fine, 2 it could not be told. */
export type ExitCode = number;

/** What a subcommand's action calls when it has finished. */
export type Finish = (code: ExitCode) => void;

const FINE = 0;
const BROKEN_OFF = 1;
const CANNOT_TELL = 2;
/** sysexits.h, EX_SOFTWARE: a supervisor may try again, which after 2 would be no use. */
const BUG = 70;

export async function main(build?: BuildInfo): Promise<void> {
  let code: ExitCode = FINE;
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
  if (error instanceof OutputClosed) return FINE;
  if (error instanceof OomkitError) {
    // It may name what somebody else has named.
    say(`oomkit: ${printable(error.message)}`);
    return error instanceof BrokenOff ? BROKEN_OFF : CANNOT_TELL;
  }
  const stack = Deno.env.get("OOMKIT_DEBUG") && error instanceof Error ? `\n${error.stack}` : "";
  say(`oomkit: this is a bug: ${error}; please report it with OOMKIT_DEBUG=1${stack}`);
  return BUG;
}

if (import.meta.main) await main();
