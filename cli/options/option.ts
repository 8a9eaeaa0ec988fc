/**
 * How options are defined: one row of a table for each, with its flags, help text, parser, default and details. The type of its
 * value, commander's option, the environment variable, configuration key, help, completions, man page and schema derive from it.
 */

import { type CommandUnknownOpts, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import { didYouMean } from "../../core/suggest.ts";

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
  /** Accepted, but in no help. */
  readonly isHidden?: true;
  /** A `[[guard.rule]]` may set it. */
  readonly inRules?: true;
  /** The configuration file cannot set it; a variable can. */
  readonly isNotInFile?: true;
  /** Completed as a comma-separated list of these; other values are valid too, unless the list is closed. */
  readonly words?: readonly string[];
  readonly isClosed?: true;
}

/** One option. `Value` is the type of its value. */
export interface OptionRow<out Value> extends OptionDetails {
  readonly flags: string;
  readonly help: string;
  /** The help of the opposite, `--no-…`: the switch may be on, off, or neither. */
  readonly oppositeHelp?: string;
  readonly choices?: readonly string[];
  /** Combines the text with the values of earlier uses. */
  readonly reduce?: (text: string, before: never) => unknown;
  /** The value and its text in the help. */
  readonly default?: readonly [value: unknown, text: string];
  /** Carries the type only. */
  readonly value?: Value;
}

/** By the names that commander gives the values, such as `marginRatio`. */
export type OptionTable = Readonly<Record<string, OptionRow<unknown>>>;

type ValueOf<Row> = Row extends OptionRow<infer Value> ? Value : never;
type OptionalKeys<Table extends OptionTable> = {
  [Key in keyof Table]: undefined extends ValueOf<Table[Key]> ? Key : never;
}[keyof Table];

/** The values of the options of a table, as commander returns them. */
export type FlagsOf<Table extends OptionTable> =
  & { readonly [Key in Exclude<keyof Table, OptionalKeys<Table>>]: ValueOf<Table[Key]> }
  & { readonly [Key in OptionalKeys<Table>]?: ValueOf<Table[Key]> };

type Parse<T> = (text: string) => T;
type Define<T> = (flags: string, help: string, its: OptionDetails) => OptionRow<T>;
type Parsed<T> = OptionDetails & { parse: Parse<T> };
type Chosen<T> = OptionDetails & { choices: readonly T[] };
type Default<T> = { default: readonly [T, string] };

export const flag: Define<true | undefined> = (flags, help, its) => ({ ...its, flags, help });

/** A switch that is on by default: `--no-…`. */
export const negated: Define<boolean> = (flags, help, its) => ({ ...its, flags, help });

/** A switch with an opposite, `--no-…`. */
export const pair = (
  flags: string,
  help: string,
  oppositeHelp: string,
  its: OptionDetails,
): OptionRow<boolean | undefined> => ({ ...its, flags, help, oppositeHelp });

/** An option with one value; without `parse` it is a string. */
export function value<T>(f: string, help: string, its: Parsed<T> & Default<T>): OptionRow<T>;
export function value<T>(f: string, help: string, its: Parsed<T>): OptionRow<T | undefined>;
export function value(f: string, help: string, its: OptionDetails): OptionRow<string | undefined>;
export function value(
  flags: string,
  help: string,
  { parse, ...its }: OptionDetails & { parse?: Parse<unknown> },
): OptionRow<unknown> {
  return { ...its, flags, help, ...parse && { reduce: parsed(parse) } };
}

export function choice<const T extends string>(
  flags: string,
  help: string,
  its: Chosen<T> & Default<T>,
): OptionRow<T>;
export function choice<const T extends string>(
  flags: string,
  help: string,
  its: Chosen<T>,
): OptionRow<T | undefined>;
export function choice(flags: string, help: string, its: Chosen<string>): OptionRow<unknown> {
  return { ...its, flags, help };
}

/** A repeatable option. `parse` returns the values of one use. */
export function list<T>(
  flags: string,
  help: string,
  { parse, ...its }: Parsed<readonly T[]>,
): OptionRow<readonly T[] | undefined> {
  const parseUse = parsed(parse);
  return {
    ...its,
    flags,
    help,
    reduce: (text, before: readonly T[] = []) => [...before, ...parseUse(text)],
  };
}

/** For `list`: the whole text is one value. */
export const single = <T>(parse: Parse<T>): Parse<T[]> => (text) => [parse(text)];

/** For `list`: values separated by commas. */
export const separated = <T>(parse: Parse<T>): Parse<T[]> => (text) =>
  text.split(",").map((item) => parse(item.trim()));

/** The same options in another group, where they are not basic. */
export function inGroup<Table extends OptionTable>(
  table: Table,
  group: OptionDetails["group"],
): Table {
  const moved = Object.entries(table).map(([name, { isBasic: _, ...row }]) => [
    name,
    { ...row, group },
  ]);
  return Object.fromEntries(moved) as Table;
}

const details = new WeakMap<object, OptionDetails>();

/** @returns undefined for an option that is not oomkit's own, such as commander's `--help`. */
export const detailsOf = (option: object): OptionDetails | undefined => details.get(option);

/**
 * The options of a table as commander takes them. Each can also be given as the variable OOMKIT_NAME.
 * Throws `TypeError` if the key of a row is not commander's name of the value, because `FlagsOf` would be wrong.
 */
export function commanderOptions(table: OptionTable): Option[] {
  return Object.entries(table).flatMap(([key, row]) => {
    const options = [commanderOption(row, row.flags, row.help)];
    const name = options[0]!.attributeName();
    if (name !== key) throw new TypeError(`the key of ${row.flags} must be ${name}, not ${key}`);
    if (row.oppositeHelp !== undefined) {
      const flags = row.flags.replace("--", "--no-");
      options.push(commanderOption(row, flags, row.oppositeHelp));
    }
    return options;
  });
}

function commanderOption(row: OptionRow<unknown>, flags: string, help: string): Option {
  const option = new Option(flags, help).helpGroup(GROUPS[row.group]);
  option.hideHelp(row.isHidden === true);
  option.env(`OOMKIT_${option.name().replaceAll("-", "_").toUpperCase()}`);
  if (row.choices) option.choices(row.choices).argParser(chosen(row.choices));
  if (row.reduce) option.argParser(row.reduce as (text: string) => unknown);
  if (row.default) option.default(...row.default);
  details.set(option, row);
  return option as Option;
}

/**
 * The key in the configuration file: `reclaim` of `--no-reclaim`, because the file says `reclaim = false`. Undefined for an option
 * that the file cannot set.
 */
export function keyOf(option: Pick<Option, "long">): string | undefined {
  const its = details.get(option);
  return its === undefined || its.isNotInFile ? undefined : option.long!.replace(/^--(no-)?/, "");
}

/** Turns the error of a parser into commander's own, which names the option. */
function parsed<T>(parse: Parse<T>): Parse<T> {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw error instanceof OomkitError ? new InvalidArgumentError(error.message) : error;
    }
  };
}

/** A whole number of at least `min`. @param alternative what else the option takes, for the error: `, or all` */
export function parseWhole(min: number, alternative = ""): (text: string) => number {
  return (text) => {
    const number = /^\d{1,9}$/.test(text.trim()) ? Number(text) : undefined;
    if (number !== undefined && number >= min) return number;
    throw new OomkitError(`"${text}" is not a whole number of at least ${min}${alternative}`);
  };
}

export function oneOf<const T extends string>(choices: readonly T[]): (text: string) => T {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    throw new OomkitError(
      `"${text}" is not one of ${choices.join(", ")}`,
      didYouMean(text, choices),
    );
  };
}

/** Replaces the parser of commander's `choices`: the error of that one has no suggestion. */
export const chosen = (choices: readonly string[]): Parse<string> => parsed(oneOf(choices));

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

export interface CommandHelp {
  /** Shown by `-h` as well, so a few lines of at most 80 columns. */
  readonly examples: readonly string[];
  /** Paragraphs of at most 80 columns, separated by empty lines; an indented one is shown as it is. */
  readonly notes?: string;
  /** By status. */
  readonly exitStatus: Readonly<Record<string, string>>;
}

/** The choices that the description of an option does not name. */
export function unnamedChoices(description: string, choices: readonly string[]): readonly string[] {
  const isNamed = choices.every((choice) => new RegExp(`\\b${choice}\\b`).test(description));
  return isNamed ? [] : choices;
}

const helpTexts = new WeakMap<object, CommandHelp>();

export const helpTextOf = (command: object): CommandHelp | undefined => helpTexts.get(command);

export function withHelp<C extends object>(command: C, text: CommandHelp): C {
  helpTexts.set(command, text);
  return command;
}

const GROUP_NAMES = Object.keys(GROUPS);

/** For `toSorted`: by group, the basic options of each group first, otherwise unchanged. */
export const compareOptions = (one: object, other: object) => helpRank(one) - helpRank(other);

/** commander's own options, such as `--help`, come last. */
function helpRank(option: object): number {
  const its = details.get(option);
  const group = its === undefined ? GROUP_NAMES.length : GROUP_NAMES.indexOf(its.group);
  return 2 * group + (its?.isBasic ? 0 : 1);
}
