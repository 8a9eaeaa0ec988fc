/** The commands and options as data, read from commander's definitions: for completions, the man page, tables. */

import type { Argument, CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import {
  type CommandHelp,
  compareOptions,
  detailsOf,
  GROUPS,
  helpTextOf,
  keyOf,
} from "./option.ts";

export interface CommandDefinition {
  readonly name: string;
  readonly summary: string;
  /** The arguments after the name, as the help shows them. */
  readonly usage: string;
  readonly operands: readonly OperandDefinition[];
  /** In the order of the help, hidden ones last. */
  readonly options: readonly OptionDefinition[];
  readonly help: CommandHelp | undefined;
}

export interface OperandDefinition {
  readonly name: string;
  readonly description: string;
  readonly choices: readonly string[];
  readonly required: boolean;
  readonly variadic: boolean;
}

export interface OptionDefinition {
  /** Such as `-r`. */
  readonly short?: string | undefined;
  /** Such as `--recursive`. */
  readonly long: string;
  /** The heading in the help, without its colon. */
  readonly group: string;
  /** Undefined for a switch. */
  readonly value?: { readonly name: string; readonly optional: boolean } | undefined;
  /** Undefined for a switch, or where the value is optional: the next word is then not its value. */
  readonly completion?: Completion | undefined;
  readonly description: string;
  readonly choices: readonly string[];
  /** Each further use adds to the values before. */
  readonly repeatable: boolean;
  /** As the help shows it. */
  readonly default?: string | undefined;
  /** The environment variable. */
  readonly variable?: string | undefined;
  /** The key in the configuration file. */
  readonly key?: string | undefined;
  readonly hidden: boolean;
}

export interface Completion {
  /** `word`: one of the words. `list`: a comma-separated list of them; of others too, unless it is closed. */
  readonly kind: "file" | "directory" | "free" | "word" | "list";
  readonly words: readonly string[];
  readonly isClosed?: true;
}

/** By kind: the completion in the syntax of a shell. */
export type Completers = Readonly<Record<Completion["kind"], (words: readonly string[]) => string>>;

export const flagsOf = ({ short, long }: OptionDefinition) => short ? [short, long] : [long];

/** Whether the command runs another program, named after `--`. */
export const takesProgram = ({ usage }: CommandDefinition) => usage.includes("-- ");

/** What a completion script is made from. */
export interface ProgramDefinition {
  /** Those in the help, in its order, with commander's own `help` last. */
  readonly commands: readonly CommandDefinition[];
  /** The program without a command. */
  readonly alone: CommandDefinition;
}

export function definitionsOf(program: CommandUnknownOpts): ProgramDefinition {
  const commands = program.createHelp().visibleCommands(program).map(commandOf);
  const choices = commands.map(({ name }) => name).filter((name) => name !== "help");
  return {
    alone: commandOf(program),
    commands: commands.map((command) =>
      command.name === "help"
        ? { ...command, operands: command.operands.map((operand) => ({ ...operand, choices })) }
        : command
    ),
  };
}

export function commandOf(command: CommandUnknownOpts): CommandDefinition {
  const visible = command.createHelp().visibleOptions(command).toSorted(compareOptions);
  const hidden = command.options.filter((option) => option.hidden);
  return {
    name: command.name(),
    summary: command.description(),
    usage: command.usage(),
    operands: command.registeredArguments.map(operandOf),
    options: [...visible, ...hidden].map(optionOf),
    help: helpTextOf(command),
  };
}

/** Without the colon that the help has. */
export const headingOf = (group: string) => group.replace(/:$/, "");

function operandOf(operand: Argument): OperandDefinition {
  return {
    name: operand.name(),
    description: operand.description,
    choices: operand.argChoices ?? [],
    required: operand.required,
    variadic: operand.variadic,
  };
}

function optionOf(option: Option): OptionDefinition {
  const [, required, optional] = /<(.+)>$|\[(.+)\]$/.exec(option.flags) ?? [];
  const name = required ?? optional;
  const byDefault = option.defaultValueDescription ?? option.defaultValue;
  return {
    short: option.short,
    long: option.long!,
    group: headingOf(GROUPS[detailsOf(option)?.group ?? "general"]),
    value: name === undefined ? undefined : { name, optional: required === undefined },
    completion: required === undefined ? undefined : completionOf(option, required),
    description: option.description,
    choices: option.argChoices ?? [],
    repeatable: isRepeatable(option),
    default: byDefault === undefined ? undefined : String(byDefault),
    variable: option.envVar,
    key: keyOf(option),
    hidden: option.hidden,
  };
}

function completionOf(option: Option, placeholder: string): Completion {
  if (option.argChoices) return { kind: "word", words: option.argChoices };
  const { words, isClosed } = detailsOf(option) ?? {};
  if (words) return { kind: "list", words, ...isClosed && { isClosed } };
  const kind = placeholder === "file" ? "file" : placeholder === "dir" ? "directory" : "free";
  return { kind, words: [] };
}

/** Only the parser of a repeatable option reads the earlier values, and it does so for any new value. */
function isRepeatable({ parseArg }: Option): boolean {
  let read = false;
  const before = {
    [Symbol.iterator]() {
      read = true;
      return [][Symbol.iterator]();
    },
  };
  try {
    parseArg?.("", before as never);
  } catch {
    // The empty string is a valid value of few options.
  }
  return read;
}
