/** The only place that reads the arguments and decides the exit code. */

import { Command, CommanderError } from "@commander-js/extra-typings";
import { OomkitError } from "../core/errors.ts";
import { allocateCommand } from "./allocate.ts";
import { inspectCommand } from "./inspect.ts";
import { OutputClosed, say } from "./output.ts";
import { simulateCommand } from "./simulate.ts";
import { type BuildInfo, versionText } from "./version.ts";
import { watchCommand } from "./watch.ts";

/** 0 fine, 1 the thing asked about is not fine, 2 it could not be told. */
export type ExitCode = number;

/** What a subcommand's action calls when it has finished. */
export type Finish = (code: ExitCode) => void;

const FINE = 0;
const CANNOT_TELL = 2;

export async function main(build?: BuildInfo): Promise<void> {
  let code: ExitCode = FINE;
  const finish = (result: ExitCode) => void (code = result);
  const program = new Command("oomkit")
    .description("See memory limits, follow them, act before the kernel does, and rehearse it.")
    .version(versionText(build), "-V, --version")
    .exitOverride()
    .showSuggestionAfterError()
    .enablePositionalOptions()
    .configureOutput({ writeErr: (text) => say(oneLine(text)) });
  const { own, command } = splitCommand(Deno.args);
  const commands = [inspectCommand(finish), watchCommand(finish, command), simulateCommand(finish)];
  for (const each of commands) program.addCommand(each.copyInheritedSettings(program));
  program.addCommand(allocateCommand(finish).copyInheritedSettings(program), { hidden: true });
  try {
    await program.parseAsync(own, { from: "user" });
  } catch (error) {
    code = failure(error);
  }
  Deno.exit(code);
}

/** What stands behind `--` after `watch` is a command line of somebody else's; commander would mix the two. */
function splitCommand(args: readonly string[]): { own: string[]; command?: string[] } {
  const at = args.indexOf("--");
  if (at < 0 || !args.slice(0, at).includes("watch")) return { own: [...args] };
  return { own: args.slice(0, at), command: args.slice(at + 1) };
}

/** commander puts its suggestion on a line of its own; a mistake gets one. */
function oneLine(text: string): string {
  const [first = "", ...rest] = text.trim().split("\n");
  return first.startsWith("error: ")
    ? [first.replace("error: ", "oomkit: "), ...rest].join(" ")
    : text.trimEnd();
}

function failure(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? FINE : CANNOT_TELL;
  if (error instanceof OutputClosed) return FINE;
  if (error instanceof OomkitError) {
    say(`oomkit: ${error.message}`);
    return CANNOT_TELL;
  }
  const stack = Deno.env.get("OOMKIT_DEBUG") && error instanceof Error ? `\n${error.stack}` : "";
  say(`oomkit: this is a bug: ${error}; please report it with OOMKIT_DEBUG=1${stack}`);
  return CANNOT_TELL;
}

if (import.meta.main) await main();
