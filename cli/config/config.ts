/**
 * The configuration file: TOML, with a table for each command and the long names of its options as keys. Its values take
 * precedence over defaults; variables and flags take precedence over them.
 */

import type { CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { Mistakes, OomkitError, shortened } from "../../core/errors.ts";
import { suggest } from "../../core/suggest.ts";
import { isPaired, isSwitch, keyOf } from "../options/option.ts";
import { printable } from "../output/output.ts";
import { readTextFile } from "../output/files.ts";

export type Table = Readonly<Record<string, unknown>>;

export interface ConfigFile {
  readonly path: string;
  readonly text: string;
  readonly content: Table;
}

/** Reports a mistake in a file; `right` is what to write instead. */
export type Refuse = (what: string, right?: string) => never;

/** The commands that have a table. */
const COMMANDS = ["inspect", "watch", "history", "guard", "status", "simulate"];

/** Throws {@link OomkitError} if the file cannot be read or is not TOML. */
export async function readConfig(path: string): Promise<ConfigFile> {
  const text = readTextFile(path, "the configuration", writableByAll);
  // Loaded only when there is a file.
  const { parse, TomlError } = await import("smol-toml");
  try {
    return { path, text, content: parse(text) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = ""] = error.message.replace("Invalid TOML document: ", "").split("\n");
    throw new OomkitError(`cannot read ${shortened(path)}:${error.line}:${error.column}: ${what}`);
  }
}

/** The file names commands that the guard runs, usually as root. */
function writableByAll({ mode }: Deno.FileInfo): string | undefined {
  return (mode! & 0o002) === 0 ? undefined : "all users may write it (chmod o-w)";
}

/** An error that names the file and the line of `place`. */
export function mistakeAt(
  { path, text }: ConfigFile,
  place: Place,
  what: string,
  right?: string,
): OomkitError {
  const line = lineOf(text, place);
  const where = line === undefined ? shortened(path) : `${shortened(path)}:${line}`;
  return new OomkitError(`cannot use ${where}: ${what}`, right);
}

const refuseAt = (file: ConfigFile, ...place: Place): Refuse => (what, right) => {
  throw mistakeAt(file, place, what, right);
};

function checkTables(file: ConfigFile, mistakes: Mistakes): void {
  for (const [name, value] of Object.entries(file.content)) {
    mistakes.check(() => check(name, value));
  }

  function check(name: string, value: unknown): void {
    const refuse = refuseAt(file, name);
    if (!COMMANDS.includes(name)) {
      const [near] = suggest(name, COMMANDS, 1);
      const known = `the tables are ${COMMANDS.map((each) => `[${each}]`).join(", ")}`;
      const right = near === undefined ? known : `did you mean [${near}]? (${known})`;
      refuse(`"${printable(name)}" is not a command`, right);
    }
    if (!isTable(value)) refuse(`${name} is not a table`, `write [${name}]`);
  }
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}

/** The table of a command; empty if the file has none. */
export function tableOf(file: ConfigFile, command: string): Table {
  return (file.content[command] ?? {}) as Table;
}

/**
 * Sets the options that neither the command line nor a variable sets. Checks the values of the others too.
 * Throws {@link OomkitError} with all mistakes.
 *
 * @param checkRules checks the rules of `guard`, which config/rules.ts reads
 */
export function applyConfig(
  command: CommandUnknownOpts,
  file: ConfigFile,
  checkRules?: (file: ConfigFile) => void,
): void {
  const mistakes = new Mistakes();
  checkTables(file, mistakes);
  const name = command.name();
  const hasTargets = command.registeredArguments.length > 0;
  for (const [key, value] of Object.entries(tableOf(file, name))) {
    if (name === "guard" && key === "rule") mistakes.check(() => checkRules?.(file));
    else if (isListOfTables(value) && !command.options.some(({ long }) => long === `--${key}`)) {
      // Each of [[guard.rules]] has a line of its own.
      value.forEach((_, at) => mistakes.check(() => apply(key, value, [name, key, at])));
    } else mistakes.check(() => apply(key, value, [name, key]));
  }
  mistakes.throwAny();

  function apply(key: string, value: unknown, place: Place): void {
    const refuse = refuseAt(file, ...place);
    if (hasTargets && key === "targets") return checkTargets(value, refuse);
    const option = optionNamed(command, key, refuse, [
      ...hasTargets ? ["targets"] : [],
      ...name === "guard" ? ["rule"] : [],
    ]);
    const parsed = valueOf(option, key, value, refuse);
    const attribute = option.attributeName();
    const isOff = value === false && isPaired(command, option.long!) && !option.negate;
    if ((command.getOptionValueSource(attribute) ?? "default") === "default") {
      command.setOptionValueWithSource(attribute, isOff ? false : parsed, "config");
    }
  }
}

function checkTargets(value: unknown, refuse: Refuse): void {
  const isTarget = (item: unknown) => typeof item === "string" && item !== "";
  if (Array.isArray(value) && value.every(isTarget)) return;
  refuse("targets must be a list of strings", 'write targets = ["/kubepods"]');
}

const isListOfTables = (value: unknown): value is readonly Table[] =>
  Array.isArray(value) && value.length > 0 && value.every(isTable);

/**
 * The option that a key sets; `no-reclaim` is accepted beside `reclaim`.
 *
 * @param others keys that are no options, for the suggestion
 */
export function optionNamed(
  command: Pick<CommandUnknownOpts, "options">,
  key: string,
  refuse: Refuse,
  others: readonly string[] = [],
): Option {
  const usable = command.options.filter((option) => keyOf(option) !== undefined);
  const isNamed = ({ long }: Pick<Option, "long">) => long === `--${key}` || long === `--no-${key}`;
  const found = usable.find(isNamed);
  if (found) return found as Option;
  if (key === "help" || command.options.some(isNamed)) {
    return refuse(`a file cannot set ${key}`, `write: --${key}`);
  }
  const names = usable.filter(({ hidden }) => !hidden).map((option) => keyOf(option)!);
  const [near] = suggest(key.replaceAll("_", "-"), [...others, ...names], 1);
  return refuse(
    `"${printable(key)}" is not an option`,
    near === undefined ? "see --help for all options" : `did you mean ${near}?`,
  );
}

/** A value as the option's own parser returns it. */
export function valueOf(option: Option, key: string, value: unknown, refuse: Refuse): unknown {
  if (isSwitch(option)) {
    if (typeof value !== "boolean") return refuse(`${key} must be true or false`);
    if (option.negate) return option.long === `--${key}` ? !value : value;
    return value ? true : undefined;
  }
  const list = Array.isArray(value) ? value : [value];
  let parsed: unknown;
  for (const item of list) {
    if (typeof item !== "string" && typeof item !== "number") {
      return refuse(
        `${key} must be ${Array.isArray(value) ? "a list of strings" : "a string or a number"}`,
      );
    }
    const text = String(item);
    try {
      parsed = option.parseArg ? option.parseArg(text, parsed as never) : text;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return refuse(printable(`${key} = ${JSON.stringify(item)}: ${why}`));
    }
  }
  if (list.length > 1 && !Array.isArray(parsed)) return refuse(`${key} takes one value`);
  return parsed;
}

/** Names of tables, the index of an item in an array of tables, and the key: `["guard", "rule", 1, "warn"]`. */
export type Place = readonly (string | number)[];

/**
 * The line of a key in a TOML file, counted from 1: smol-toml reports lines of syntax errors only. The line of the table if the key is not found in it; `undefined` if neither is found.
 */
export function lineOf(text: string, place: Place): number | undefined {
  let table: Place = [];
  const counts = new Map<string, number>();
  let best: { readonly line: number; readonly depth: number } | undefined;
  const update = (line: number, found: Place) => {
    // The list as a whole is at its first item.
    if (typeof found.at(-1) === "number") update(line, found.slice(0, -1));
    const isPrefix = found.length <= place.length &&
      found.every((part, at) => part === place[at]);
    if (isPrefix && found.length > (best?.depth ?? 0)) best = { line, depth: found.length };
  };
  for (const [at, line] of text.split("\n").entries()) {
    const [, open, header] = /^\s*(\[\[?)([^\]]+)\]/.exec(line) ?? [];
    const [, key] = /^\s*((?:[\w.-]|"[^"]*"|'[^']*')+)\s*=/.exec(line) ?? [];
    if (header !== undefined) {
      table = numbered(partsOf(header), counts, open === "[[");
      update(at + 1, table);
    } else if (key !== undefined) {
      update(at + 1, [...table, ...partsOf(key)]);
    }
  }
  return best?.line;
}

/** Adds the index in each array of tables on the way. */
function numbered(names: readonly string[], counts: Map<string, number>, isItem: boolean): Place {
  const place: (string | number)[] = [];
  names.forEach((name, at) => {
    place.push(name);
    const path = names.slice(0, at + 1).join(".");
    if (isItem && at === names.length - 1) counts.set(path, (counts.get(path) ?? -1) + 1);
    const count = counts.get(path);
    if (count !== undefined) place.push(count);
  });
  return place;
}

function partsOf(dotted: string): string[] {
  return [...dotted.matchAll(/"([^"]*)"|'([^']*)'|([\w-]+)/g)].map(([, double, single, bare]) =>
    double ?? single ?? bare ?? ""
  );
}
