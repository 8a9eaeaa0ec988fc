/** The commands, as commander knows them. Each has a module of its own, loaded only when it is called. */

import { Command, CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { OomkitError, shortened } from "../core/errors.ts";
import { suggest } from "../core/suggest.ts";
import type { Finish } from "./exit.ts";
import { withHelp } from "./options/option.ts";
import { print, printable, printStderr } from "./output/output.ts";
import { asCalled, programName, shellWord } from "./output/shell.ts";

/** @param afterDashes the words after `--` on the command line. */
type Load = (finish: Finish, afterDashes?: readonly string[]) => Promise<CommandUnknownOpts>;

/** In the order of the help. */
const loaders: ReadonlyMap<string, Load> = new Map<string, Load>([
  ["inspect", async (finish) => (await import("./inspect/command.ts")).inspectCommand(finish)],
  [
    "watch",
    async (finish, afterDashes) =>
      (await import("./watch/command.ts")).watchCommand(finish, afterDashes),
  ],
  ["history", async (finish) => (await import("./history/command.ts")).historyCommand(finish)],
  ["guard", async (finish) => (await import("./guard/command.ts")).guardCommand(finish)],
  ["status", async (finish) => (await import("./status/command.ts")).statusCommand(finish)],
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
  ["__tick", async (finish) => (await import("./simulate/tick.ts")).tickCommand(finish)],
]);

const visible = [...loaders.keys()].filter((name) => !name.startsWith("__"));

/**
 * Runs the command that `args` name. Reports usage errors on stderr.
 * @throws what the command throws.
 */
export async function runProgram(
  args: readonly string[],
  version: string,
  finish: Finish,
): Promise<void> {
  const { own, afterDashes } = splitCommand(await inOwnOptions(args));
  const mistake = misplaced(own);
  if (mistake !== undefined) throw mistake;
  const help = own.length === 0 ? "-h" : own.find((arg) => HELP.includes(arg));
  const program = help !== undefined && own.length <= 1
    ? await summaryOf(version)
    : await programOf(version, finish, afterDashes, own[0]);
  if (help !== undefined) (await import("./help.ts")).configureHelp(program, help === "-h");
  for (const command of program.commands) command.copyInheritedSettings(program);
  const command = program.commands.find((each) => each.name() === own[0]);
  const refused = command && (optionAsValue(command, own.slice(1)) ??
    (help === undefined ? await unknownVariable(command) : undefined));
  if (refused !== undefined) throw refused;
  try {
    await program.parseAsync(own, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    finish(error.exitCode === 0 ? 0 : 2);
  }
}

/** A command line with the options of another program. Throws {@link OomkitError}. */
export async function inOwnOptions(args: readonly string[]): Promise<readonly string[]> {
  const [command, ...words] = args;
  if (command !== "guard" || !words.some((word) => /^--as(=|$)/.test(word))) return args;
  const { fromEarlyoom, isEarlyoom } = await import("./guard/earlyoom.ts");
  return isEarlyoom(words) ? [command, ...fromEarlyoom(words)] : args;
}

/** All commands with their definitions, to be read rather than run. */
export const wholeProgram = (): Promise<Command> => programOf("", () => {});

/** @param called only this command is loaded; all of them if no command has the name, for help and suggestions. */
async function programOf(
  version: string,
  finish: Finish,
  afterDashes?: readonly string[],
  called?: string,
): Promise<Command> {
  const program = emptyProgram(version, called);
  for (const [name, load] of loaders) {
    if (called !== undefined && loaders.has(called) && called !== name) continue;
    const command = (await load(finish, afterDashes)).copyInheritedSettings(program);
    program.addCommand(command, { hidden: name.startsWith("__") });
  }
  return program;
}

/** For the program's own help: loads no command. */
export async function summaryOf(version: string): Promise<Command> {
  const { SUMMARIES } = await import("./summaries.ts");
  const program = emptyProgram(version);
  for (const [name, { description, operands, hasOptions }] of Object.entries(SUMMARIES)) {
    const command = program.command(name).description(description);
    if (operands) command.arguments(operands);
    // Only that it has one is shown.
    if (hasOptions) command.option("--any");
  }
  return program;
}

function emptyProgram(version: string, called?: string): Command {
  return withHelp(new Command("oomkit"), HELP_TEXT)
    .description(
      "inspect memory cgroup limits, watch them, act before the kernel's OOM killer, and simulate OOMs",
    )
    .version(version, "-V, --version", "print the version")
    .option("--licenses", "print the licences of what it contains")
    .helpOption("-h, --help", "print a summary (-h) or all options (--help)")
    .helpCommand("help [command]", "print all options of a command")
    .exitOverride()
    .showSuggestionAfterError()
    .enablePositionalOptions()
    .configureOutput({
      writeErr: (text) => printStderr(asCalled(oneLine(text, called))),
      writeOut: (text) => print(asCalled(text.replace(/\n$/, ""))),
    });
}

const HELP_TEXT = {
  examples: [
    "oomkit inspect my.service",
    "oomkit watch -r /kubepods --threshold 90%",
    "oomkit history --since 24h",
    "oomkit guard -r /kubepods --policy process --dry-run",
    "oomkit simulate --mb 64",
  ],
  exitStatus: {
    "0": "success",
    "1": "not as required, such as by --check or --fail-on; a guard broke off, or none runs",
    "2": "wrong usage, or something could not be read, done or determined",
    "other": "with watch -- command: the exit status of the command",
  },
};

/** The words after `--` following `watch` are another program's command line; commander would mix the two. */
export function splitCommand(args: readonly string[]): { own: string[]; afterDashes?: string[] } {
  const at = args.indexOf("--");
  if (at < 0 || !args.slice(0, at).includes("watch")) return { own: [...args] };
  return { own: args.slice(0, at), afterDashes: args.slice(at + 1) };
}

const HELP = ["-h", "--help", "help"];

/**
 * commander answers an unknown command with the whole usage, and an option before the command with an error that names
 * neither.
 */
function misplaced(args: readonly string[]): OomkitError | undefined {
  const [first = "", second = ""] = args;
  if (first.startsWith("-")) {
    return ["-h", "--help", "-V", "--version", "--licenses", "--"].includes(first)
      ? undefined
      : optionBeforeCommand(args);
  }
  if (second === "help" && args.length === 2 && loaders.has(first)) {
    return new OomkitError(
      'cannot use "help" after the command',
      `write: oomkit help ${first}, or /help for a cgroup of that name`,
    );
  }
  const word = first === "help" ? second : first;
  return word === "" || word.startsWith("-") || loaders.has(word)
    ? undefined
    : unknownCommand(word);
}

/** commander takes the next word for a value, also when it is an option, as in `--fake --mb 20`. */
function optionAsValue(
  { options }: CommandUnknownOpts,
  args: readonly string[],
): OomkitError | undefined {
  const named = (word: string) =>
    options.find(({ long, short }) => word === long || word === short);
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  for (let at = 0; at + 1 < end; at++) {
    const option = named(args[at]!);
    if (option === undefined || (!option.required && !option.optional)) continue;
    const next = args[at + 1]!;
    if (option.required && named(next)) {
      const value = option.flags.replace(/^.* /, "");
      return new OomkitError(
        `cannot use ${args[at]}: ${value} is missing before ${next}`,
        `if ${next} is meant, write: ${args[at]}=${next}`,
      );
    }
    if (!next.startsWith("-")) at++;
  }
  return undefined;
}

/** Read by other parts of the program, set for hooks, used by the tests and scripts, or common in scripts that install it. */
const OTHER_VARIABLES =
  /^OOMKIT_(STATE_DIR|CALLED_AS|DEBUG|VERSION|HOME|EVENT_.*|BIN|PROGRAM|STEPS|STEPS?_.*|(FUZZ|SOAK|STARVATION)_.*)$/;
/** Kubernetes sets them in a pod for each Service; this is one with a name such as oomkit-metrics. */
const SERVICE_VARIABLES = /_(SERVICE_HOST|SERVICE_PORT|PORT)(_|$)/;

/** A misspelt variable would have no effect. Other commands are loaded only for a variable that this one does not have. */
async function unknownVariable(command: CommandUnknownOpts): Promise<OomkitError | undefined> {
  // Such as `completions`.
  if (!command.options.some(({ envVar }) => envVar !== undefined)) return undefined;
  const variables = Object.entries(Deno.env.toObject()).flatMap(([name, value]) =>
    name.startsWith("OOMKIT_") && value !== "" && !OTHER_VARIABLES.test(name) &&
      !SERVICE_VARIABLES.test(name)
      ? [name]
      : []
  );
  const isOption = (options: CommandUnknownOpts["options"], name: string) =>
    options.some(({ envVar }) => envVar === name);
  if (variables.every((name) => isOption(command.options, name))) return undefined;
  const all = (await wholeProgram()).commands.flatMap(({ options }) => options);
  const unknown = variables.find((name) => !isOption(all, name));
  if (unknown === undefined) return undefined;
  const withoutPrefix = (name: string) => name.replace("OOMKIT_", "");
  const names = all.filter(({ hidden }) => !hidden).flatMap(({ envVar }) => envVar ?? []);
  const [near] = suggest(withoutPrefix(unknown), names.map(withoutPrefix), 1);
  return new OomkitError(
    `cannot use ${printable(shortened(unknown))}: there is no such option`,
    near === undefined ? `see: oomkit help ${command.name()}` : `did you mean OOMKIT_${near}?`,
  );
}

const COMMANDS = `the commands are ${visible.join(", ")}`;

function optionBeforeCommand(args: readonly string[]): OomkitError {
  const at = args.findIndex((arg) => visible.includes(arg));
  const option = printable(shortened(args[0]!));
  const isVersion = args.length === 1 && ["-v", "-version", "--v"].includes(args[0]!);
  return at < 0
    ? new OomkitError(
      `cannot use ${option} without a command`,
      isVersion ? `write: ${programName()} --version` : COMMANDS,
    )
    : new OomkitError(
      `cannot use ${option} before the command: options follow the command`,
      `write: oomkit ${args[at]} ${printable(args.slice(0, at).join(" "))}`,
    );
}

/** Options that people take for commands. */
const COMMANDS_OF_OTHERS: Readonly<Record<string, string>> = {
  version: "--version",
  check: "inspect --check",
  tree: "inspect --tree",
  replay: "simulate --replay FILE",
};

function unknownCommand(word: string): OomkitError {
  if (Object.hasOwn(COMMANDS_OF_OTHERS, word)) {
    return new OomkitError(
      `unknown command "${word}"`,
      `write: ${programName()} ${COMMANDS_OF_OTHERS[word]}`,
    );
  }
  const [near] = suggest(word, visible, 1);
  return new OomkitError(
    `unknown command "${printable(shortened(word))}"`,
    near === undefined ? COMMANDS : `did you mean ${near}? (${COMMANDS})`,
  );
}

/**
 * commander prints its suggestion on a second line; every error here is one line: what failed, why, and what to use.
 * @param command the one that was called
 */
function oneLine(text: string, command: string | undefined): string {
  const lines = text.trim().split("\n");
  if (!lines[0]!.startsWith("error: ")) return text.trimEnd();
  return printable(`oomkit: ${usageError(lines.join(" ").slice("error: ".length), command)}`);
}

/** commander's messages about a value, in the form of oomkit's own errors. */
function usageError(message: string, command = "COMMAND"): string {
  const [, option, near] = /^unknown option '(.*?)'(?: \(Did you mean (.*)\?\))?$/s.exec(message) ??
    [];
  if (option !== undefined) {
    const hint = near === undefined ? "" : `did you mean ${near}? `;
    return `unknown option "${option}"; ${hint}see: oomkit ${command} --help`;
  }
  const missing = /^option '(?:-\S, )?(\S+) (.+)' argument missing$/.exec(message);
  if (missing) return `cannot use ${missing[1]}: ${missing[2]} is missing`;
  const ofOption = /^option '(?:-\S, )?(\S+)[^']*' argument '(.*?)' is invalid\. (.*)$/s.exec(
    message,
  );
  if (ofOption) return refused(`${ofOption[1]} ${ofOption[2] || '""'}`, ofOption[2]!, ofOption[3]!);
  const ofVariable = /^option '.*?' value '(.*?)' from env '(.*?)' is invalid\. (.*)$/s.exec(
    message,
  );
  if (ofVariable) {
    return refused(`${ofVariable[2]}=${ofVariable[1]}`, ofVariable[1]!, ofVariable[3]!);
  }
  const ofArgument = /^command-argument value '(.*?)' is invalid for argument '.*?'\. (.*)$/s
    .exec(message);
  if (ofArgument) return refused(ofArgument[1]!, ofArgument[1]!, ofArgument[2]!);
  const excess = /^too many arguments for '(\S+)'\. Expected (\d+) .*? but got \d+: (.*)\.$/s.exec(
    message,
  );
  if (excess) {
    const word = excess[3]!.split(", ")[Number(excess[2])];
    const takes = excess[2] === "0" ? "no arguments" : `at most ${excess[2]}`;
    const meant = excess[1] === "simulate" ? simulateOption(word) : undefined;
    const hint = meant === undefined ? "" : `; write: oomkit simulate ${meant}`;
    return `cannot use "${word}": ${excess[1]} takes ${takes}${hint}`;
  }
  return message;
}

/** The option for which `simulate` takes a word: a number of MiB, a size, a recording. */
function simulateOption(word = ""): string | undefined {
  if (/^\d+(\.\d+)?$/.test(word)) return `--mb ${word}`;
  if (/^\d+(\.\d+)?[KMGT](i?B)?$/i.test(word)) return `--limit ${word}`;
  return /\.jsonl(\.gz)?$/.test(word) ? `--replay ${shellWord(word)}` : undefined;
}

/** @param reason may name the value again, which `what` has named already. */
function refused(what: string, value: string, reason: string): string {
  const why = reason
    .replace(`"${value}" is `, "it is ")
    .replace(new RegExp(`^cannot [^"]*${RegExp.escape(`"${value}"`)}: `, "s"), "");
  return `cannot use ${what}: ${why}`;
}
