/** The commands, as commander knows them. Each has a module of its own, loaded only when it is called. */

import { Command, CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { OomkitError, shortened } from "../core/errors.ts";
import type { Finish } from "./exit.ts";
import { print, printable, printStderr } from "./output/output.ts";

/** @param behind what stood behind `--` on the command line. */
type Load = (finish: Finish, behind?: readonly string[]) => Promise<CommandUnknownOpts>;

/** In the order of the help. */
const loaders: ReadonlyMap<string, Load> = new Map<string, Load>([
  ["inspect", async (finish) => (await import("./inspect/command.ts")).inspectCommand(finish)],
  [
    "watch",
    async (finish, behind) => (await import("./watch/command.ts")).watchCommand(finish, behind),
  ],
  ["guard", async (finish) => (await import("./guard/command.ts")).guardCommand(finish)],
  ["simulate", async (finish) => (await import("./simulate/command.ts")).simulateCommand(finish)],
  [
    "completions",
    async (finish) =>
      (await import("./completions/command.ts")).completionsCommand(finish, wholeProgram),
  ],
  [
    "__allocate",
    async (finish) => (await import("./simulate/allocate.ts")).allocateCommand(finish),
  ],
]);

const visible = [...loaders.keys()].filter((name) => !name.startsWith("__"));

/**
 * Runs the command that `args` name. A mistake in them is told here.
 * @throws what the command throws.
 */
export async function runProgram(
  args: readonly string[],
  version: string,
  finish: Finish,
): Promise<void> {
  const { own, behind } = splitCommand(args);
  const mistake = await misplaced(own);
  if (mistake !== undefined) throw mistake;
  const program = await programOf(version, finish, behind, own[0]);
  try {
    await program.parseAsync(own, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    finish(error.exitCode === 0 ? 0 : 2);
  }
}

/** All commands, for those who want to know them rather than to run one. */
export const wholeProgram = (): Promise<Command> => programOf("", () => {});

/** @param called only this one is loaded; where there is none of the name, help and suggestions need them all. */
async function programOf(
  version: string,
  finish: Finish,
  behind?: readonly string[],
  called?: string,
): Promise<Command> {
  const program = new Command("oomkit")
    .description("See memory limits, follow them, act before the kernel does, and rehearse it.")
    .version(version, "-V, --version")
    .exitOverride()
    .showSuggestionAfterError()
    .enablePositionalOptions()
    .configureOutput({
      writeErr: (text) => printStderr(oneLine(text)),
      writeOut: (text) => print(text.replace(/\n$/, "")),
    });
  for (const [name, load] of loaders) {
    if (called !== undefined && loaders.has(called) && called !== name) continue;
    const command = (await load(finish, behind)).copyInheritedSettings(program);
    program.addCommand(command, { hidden: name.startsWith("__") });
  }
  return program;
}

/** What stands behind `--` after `watch` is a command line of somebody else's; commander would mix the two. */
export function splitCommand(args: readonly string[]): { own: string[]; behind?: string[] } {
  const at = args.indexOf("--");
  if (at < 0 || !args.slice(0, at).includes("watch")) return { own: [...args] };
  return { own: args.slice(0, at), behind: args.slice(at + 1) };
}

const HELP_OR_VERSION = ["-h", "--help", "-V", "--version"];

/** commander would answer a word that is no command with the whole usage, and an option ahead of one with a riddle. */
async function misplaced(args: readonly string[]): Promise<OomkitError | undefined> {
  const [first = "", second = ""] = args;
  if (first.startsWith("-")) {
    return HELP_OR_VERSION.includes(first) || first === "--" ? undefined : tooEarly(args);
  }
  const word = first === "help" ? second : first;
  return word === "" || word.startsWith("-") || loaders.has(word)
    ? undefined
    : await noCommand(word);
}

function tooEarly(args: readonly string[]): OomkitError {
  const [first] = args;
  const at = args.findIndex((arg) => visible.includes(arg));
  if (at < 0) {
    return new OomkitError(
      `cannot use ${printable(shortened(first!))}: no command stands ahead of it`,
      `the commands are ${visible.join(", ")}`,
    );
  }
  return new OomkitError(
    `cannot use ${printable(shortened(first!))} ahead of the command: its options stand behind it`,
    `write: oomkit ${args[at]} ${printable(args.slice(0, at).join(" "))}`,
  );
}

async function noCommand(word: string): Promise<OomkitError> {
  const { suggest: nearest } = await import("../core/suggest.ts");
  const [near] = nearest(word, visible, 1);
  const all = `the commands are ${visible.join(", ")}`;
  return new OomkitError(
    `cannot find the command "${printable(shortened(word))}": there is none of that name`,
    near === undefined ? all : `did you mean ${near}? (${all})`,
  );
}

/** commander puts its suggestion on a line of its own; a mistake gets one. */
function oneLine(text: string): string {
  const [first = "", ...rest] = text.trim().split("\n");
  return first.startsWith("error: ")
    ? printable([first.replace("error: ", "oomkit: "), ...rest].join(" "))
    : text.trimEnd();
}
