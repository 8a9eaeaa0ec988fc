/** The commands and options as data, read from commander's definitions: for completions, the man page, tables. */

import type { EventEmitter } from "node:events";
import type { Argument, CommandUnknownOpts, Option } from "@commander-js/extra-typings";

export interface CommandDefinition {
  readonly name: string;
  readonly summary: string;
  /** What follows the name, as the help shows it. */
  readonly usage: string;
  readonly operands: readonly OperandDefinition[];
  /** The hidden ones come last. */
  readonly options: readonly OptionDefinition[];
  /** What the help says behind the options. */
  readonly after: string;
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
  /** Absent for a switch. */
  readonly value?: { readonly name: string; readonly optional: boolean } | undefined;
  readonly description: string;
  readonly choices: readonly string[];
  /** Every further time adds to what was given before. */
  readonly repeatable: boolean;
  /** As the help shows it. */
  readonly default?: string | undefined;
  /** The environment variable. */
  readonly variable?: string | undefined;
  readonly hidden: boolean;
}

/** @returns the commands that the help shows, in its order, with commander's own `help` as the last. */
export function definitionsOf(program: CommandUnknownOpts): CommandDefinition[] {
  const commands = program.createHelp().visibleCommands(program).map(commandOf);
  const choices = commands.map(({ name }) => name).filter((name) => name !== "help");
  return commands.map((command) =>
    command.name === "help"
      ? { ...command, operands: command.operands.map((operand) => ({ ...operand, choices })) }
      : command
  );
}

export function commandOf(command: CommandUnknownOpts): CommandDefinition {
  const visible = command.createHelp().visibleOptions(command);
  const hidden = command.options.filter((option) => option.hidden);
  return {
    name: command.name(),
    summary: command.description(),
    usage: command.usage(),
    operands: command.registeredArguments.map(operandOf),
    options: [...visible, ...hidden].map(optionOf),
    after: textAfter(command),
  };
}

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
    value: name === undefined ? undefined : { name, optional: required === undefined },
    description: option.description,
    choices: option.argChoices ?? [],
    repeatable: readsWhatCameBefore(option),
    default: byDefault === undefined ? undefined : String(byDefault),
    variable: option.envVar,
    hidden: option.hidden,
  };
}

/** Only the parser of a repeatable option takes its earlier values along, and it does so whatever the new one is. */
function readsWhatCameBefore({ parseArg }: Option): boolean {
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
    // Nothing is a valid value of few options.
  }
  return read;
}

function textAfter(command: CommandUnknownOpts): string {
  let said = "";
  const write = (text: string) => void (said += text);
  // The types leave out that a command is one.
  (command as unknown as EventEmitter).emit("afterHelp", { error: false, command, write });
  return said.trim();
}
