/**
 * How an option is defined: one row holds its flags, help text and details; its parser, choices and default follow as with
 * commander. The environment variable, the configuration key, help, completions, man page and schema are derived from it.
 */

import { type CommandUnknownOpts, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";

/** The sections of `--help` and of the man page, in their order. */
export const GROUPS = {
  targets: "Targets:",
  contents: "Contents:",
  events: "Events:",
  levels: "Levels and actions:",
  victims: "Victims and kills:",
  mode: "Mode and timing:",
  check: "Checks (with --check):",
  allocation: "Allocation:",
  expectation: "Duration and exit status:",
  command: "With a command (watch -- command):",
  fake: "Fake tree:",
  replay: "Replay (these options replace what is recorded):",
  output: "Output:",
  receivers: "Receivers:",
  kubernetes: "Kubernetes:",
  recording: "Recordings and pictures:",
  general: "Configuration and help:",
} as const;

export interface OptionDetails {
  readonly group: keyof typeof GROUPS;
  /** Shown by `-h` as well; first in its group. */
  readonly isBasic?: true;
  /** A `[[guard.rule]]` may set it. */
  readonly inRules?: true;
  /** The configuration file cannot set it. */
  readonly isCommandLineOnly?: true;
  /** Completed as a comma-separated list of these; other values are valid too, unless the list is closed. */
  readonly list?: readonly string[];
  readonly isListClosed?: true;
}

const details = new WeakMap<object, OptionDetails>();

/** @returns undefined for an option that is not oomkit's own, such as commander's `--help`. */
export const detailsOf = (option: object): OptionDetails | undefined => details.get(option);

/** An option that can also be given as OOMKIT_NAME. Order: default < environment < flag. */
export function option<Flags extends string>(
  flags: Flags,
  description: string,
  its: OptionDetails,
): Option<Flags> {
  const created = new Option(flags, description).helpGroup(GROUPS[its.group]);
  details.set(created, its);
  return created.env(`OOMKIT_${created.name().replaceAll("-", "_").toUpperCase()}`);
}

/** Moves an option to another group, where it is no basic one. */
export function moveToGroup<O extends Pick<Option, "helpGroup">>(
  created: O,
  group: OptionDetails["group"],
): O {
  const { list } = details.get(created) ?? {};
  details.set(created, { group, ...list && { list } });
  created.helpGroup(GROUPS[group]);
  return created;
}

/**
 * The key in the configuration file: `reclaim` of `--no-reclaim`, because the file says `reclaim = false`. Undefined for an option
 * that the file cannot set.
 */
export function keyOf(option: Pick<Option, "long">): string | undefined {
  const its = details.get(option);
  return its === undefined || its.isCommandLineOnly
    ? undefined
    : option.long!.replace(/^--(no-)?/, "");
}

/** Turns the error of a unit parser into commander's own, which names the option. */
export function parsed<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw error instanceof OomkitError ? new InvalidArgumentError(error.message) : error;
    }
  };
}

/** A repeatable option. */
export function repeated<T>(parse: (text: string) => T) {
  const one = parsed(parse);
  return (text: string, before: readonly T[] = []): T[] => [...before, one(text)];
}

/** A list option: comma-separated, and repeatable. */
export function parsedList<T>(parse: (text: string) => T): (text: string, before?: T[]) => T[] {
  const one = parsed(parse);
  return (text, before = []) => [...before, ...text.split(",").map((item) => one(item.trim()))];
}

/** A whole number of at least `min`. */
export function parseWhole(min: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,9}$/.test(text.trim()) ? Number(text) : undefined;
    if (number !== undefined && number >= min) return number;
    throw new OomkitError(`"${text}" is not a whole number of at least ${min}`);
  };
}

export function oneOf<const T extends string>(choices: readonly T[]): (text: string) => T {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    throw new OomkitError(`"${text}" is not one of ${choices.join(", ")}`);
  };
}

export const isSwitch = ({ required, optional }: Pick<Option, "required" | "optional">) =>
  !required && !optional;

/** Whether a switch has an opposite, as --live has in --no-live: then it may be on, off, or neither. */
export function isPaired(command: Pick<CommandUnknownOpts, "options">, long: string): boolean {
  const opposite = long.startsWith("--no-") ? `--${long.slice(5)}` : `--no-${long.slice(2)}`;
  return command.options.some((each) => each.long === opposite);
}

/** Where a value may come from, lowest precedence first. */
const SOURCES = ["default", "config", "env", "cli", "rule"];

/** A higher rank takes precedence. */
export function rankOf(source: string | undefined): number {
  return SOURCES.indexOf(source ?? "default");
}

/** Of two options with the same meaning, drops the one with the lower precedence; false when both have the same. */
export function preferFlag(command: CommandUnknownOpts, one: string, other: string): boolean {
  const rank = (name: string) => rankOf(command.getOptionValueSource(name));
  const lead = rank(one) - rank(other);
  if (lead !== 0) {
    command.setOptionValueWithSource(lead > 0 ? other : one, undefined, "default");
  }
  return lead !== 0;
}
