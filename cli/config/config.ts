/**
 * The configuration file: TOML, with a table for each command in which the keys are the long names of its options. What it says
 * counts for more than a default, and for less than a variable or a flag.
 */

import type { CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { OomkitError, shortened } from "../../core/errors.ts";
import { suggest } from "../../core/suggest.ts";
import { lineOf, type Place } from "./line.ts";
import { isPaired } from "../options/option.ts";
import { printable } from "../output/output.ts";
import { readTextFile } from "../output/text_file.ts";

export type Table = Readonly<Record<string, unknown>>;

export interface ConfigFile {
  readonly path: string;
  readonly text: string;
  readonly content: Table;
}

/** The tables that a file may have. */
const COMMANDS = ["inspect", "watch", "guard", "simulate"];

/** Of the command line alone. */
const NOT_IN_A_FILE = ["config", "check-config", "restore", "help", "dry-run"];

/** Throws {@link OomkitError} when it cannot be read, is no TOML, or has tables of no command. */
export async function readConfig(path: string): Promise<ConfigFile> {
  const text = readTextFile(path, "the configuration", openToAll);
  // Only who has a file pays for it.
  const { parse, TomlError } = await import("smol-toml");
  try {
    const file = { path, text, content: parse(text) };
    checkTables(file);
    return file;
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = ""] = error.message.replace("Invalid TOML document: ", "").split("\n");
    throw new OomkitError(`cannot read ${shortened(path)}:${error.line}:${error.column}: ${what}`);
  }
}

/** It names commands that are run, as root as a rule. */
function openToAll({ mode }: Deno.FileInfo): string | undefined {
  return (mode! & 0o002) === 0 ? undefined : "everybody may write it (chmod o-w)";
}

/** A mistake in a file, with the line that it stands in. */
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

function checkTables(file: ConfigFile): void {
  for (const [name, value] of Object.entries(file.content)) {
    if (!COMMANDS.includes(name)) {
      const [near] = suggest(name, COMMANDS, 1);
      const known = `the tables are ${COMMANDS.map((each) => `[${each}]`).join(", ")}`;
      const right = near === undefined ? known : `did you mean [${near}]? (${known})`;
      throw mistakeAt(file, [name], `there is no command "${printable(name)}"`, right);
    }
    if (!isTable(value)) {
      throw mistakeAt(file, [name], `${name} is no table`, `write [${name}]`);
    }
  }
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}

/** The table of a command; empty where there is none. */
export function tableOf(file: ConfigFile, command: string): Table {
  return (file.content[command] ?? {}) as Table;
}

/** Sets what neither the command line nor a variable has. */
export function applyConfig(
  command: CommandUnknownOpts,
  file: ConfigFile,
): void {
  const name = command.name();
  const hasTargets = command.registeredArguments.length > 0;
  for (const [key, value] of Object.entries(tableOf(file, name))) {
    // Rules have a module of their own.
    if (name === "guard" && key === "rule") continue;
    if (hasTargets && key === "targets") {
      checkTargets(value, (what, right) => {
        throw mistakeAt(file, [name, key], what, right);
      });
      continue;
    }
    const option = optionNamed(command, key, (what, right) => {
      throw mistakeAt(file, [name, key], what, right);
    });
    // Checked also where something else counts for more.
    const parsed = valueOf(option, key, value, (what, right) => {
      throw mistakeAt(file, [name, key], what, right);
    });
    const attribute = option.attributeName();
    const isOff = value === false && isPaired(command, option.long!) && !option.negate;
    const source = command.getOptionValueSource(attribute) ?? "default";
    if (source === "default") {
      command.setOptionValueWithSource(attribute, isOff ? false : parsed, "config");
    }
  }
}

function checkTargets(value: unknown, refuse: Refuse): void {
  const isTarget = (item: unknown) => typeof item === "string" && item !== "";
  if (Array.isArray(value) && value.every(isTarget)) return;
  refuse("targets is a list of texts", 'write targets = ["/kubepods"]');
}

type Refuse = (what: string, right?: string) => never;

/** The option that a key names. */
export function optionNamed(
  command: Pick<CommandUnknownOpts, "options">,
  key: string,
  refuse: Refuse,
): Option {
  const usable = command.options.filter(({ long }) =>
    long !== undefined && !NOT_IN_A_FILE.includes(long.slice(2))
  );
  const found = usable.find(({ long }) => long === `--${key}` || long === `--no-${key}`);
  if (found) return found as Option;
  if (NOT_IN_A_FILE.includes(key)) {
    return refuse(`${key} stands on the command line alone`, `write: --${key}`);
  }
  const names = usable.filter(({ hidden }) => !hidden).map(({ long }) => keyOf(long!));
  const near = suggest(key.replaceAll("_", "-"), names, 1)[0];
  return refuse(
    `there is no option "${printable(key)}"`,
    near === undefined ? "see --help for what there is" : `did you mean ${near}?`,
  );
}

/** `reclaim` of `--no-reclaim`: in a file one says `reclaim = false`. */
export function keyOf(long: string): string {
  return long.replace(/^--(no-)?/, "");
}

/** A value as the option's own parser makes it. */
export function valueOf(option: Option, key: string, value: unknown, refuse: Refuse): unknown {
  const isSwitch = !option.required && !option.optional;
  if (isSwitch) {
    if (typeof value !== "boolean") return refuse(`${key} is true or false`);
    if (option.negate) return option.long === `--${key}` ? !value : value;
    return value ? true : undefined;
  }
  const list = Array.isArray(value) ? value : [value];
  let parsed: unknown;
  for (const item of list) {
    if (typeof item !== "string" && typeof item !== "number") {
      return refuse(`${key} takes ${Array.isArray(value) ? "strings" : "a string or a number"}`);
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
