/** What all subcommands share: how an option is named in the environment, and the common options. */

import {
  Command,
  type CommandUnknownOpts,
  InvalidArgumentError,
  Option,
} from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import type { ConfigFile } from "../config/config.ts";

/** An option that can also be given as OOMKIT_NAME. Order: default < environment < flag. */
export function option<Flags extends string>(flags: Flags, description: string): Option<Flags> {
  const created = new Option(flags, description);
  return created.env(`OOMKIT_${created.name().replaceAll("-", "_").toUpperCase()}`);
}

/** Lets a unit parser's one line reach the user as commander's own. */
export function parsed<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw error instanceof OomkitError ? new InvalidArgumentError(error.message) : error;
    }
  };
}

/** A list option: comma-separated, and repeatable. */
export function parsedList<T>(parse: (text: string) => T): (text: string, before?: T[]) => T[] {
  const one = parsed(parse);
  return (text, before = []) => [...before, ...text.split(",").map((item) => one(item.trim()))];
}

/** A whole number of at least `least`. */
export function parseWhole(least: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,9}$/.test(text.trim()) ? Number(text) : undefined;
    if (number !== undefined && number >= least) return number;
    throw new OomkitError(`"${text}" is no whole number from ${least} up`);
  };
}

export function oneOf<const T extends string>(choices: readonly T[]): (text: string) => T {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    throw new OomkitError(`"${text}" is none of ${choices.join(", ")}`);
  };
}

export const outputOption = option("--output <format>", "how results are printed")
  .choices(["text", "json"] as const).default("text" as const);
export const jsonOption = option("--json", "short for --output json");
export const configOption = option(
  "--config <file>",
  "read options from this TOML file (/etc/oomkit/config.toml, if it is there)",
);
export const rootOption = option(
  "--root <dir>",
  "read the cgroup tree at DIR instead of the machine's (a cgroup mount, a copy, or a fake tree)",
);
export const colorOption = option("--color <when>", "colour in text")
  .choices(["auto", "always", "never"] as const).default("auto" as const);

/** A subcommand with the options that every one has. */
export function subcommand(name: string, summary: string) {
  return new Command(name).description(summary)
    .addOption(outputOption).addOption(jsonOption).addOption(rootOption).addOption(colorOption)
    .addOption(configOption)
    .hook("preAction", async (_, command) => {
      readSwitches(command);
      await configure(command);
      const differ = command.getOptionValue("json") === true &&
        command.getOptionValue("output") === "text";
      if (!differ || preferFlag(command, "json", "output")) return;
      throw new OomkitError("cannot use --json and --output text at once", "give one of them");
    });
}

const YES = ["1", "true", "yes", "on"];
const NO = ["", "0", "false", "no", "off"];

export const DEFAULT_CONFIG_PATH = "/etc/oomkit/config.toml";

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    // Whatever keeps one from looking at it keeps one from reading it.
    return false;
  }
}

/** The file that a command was configured by. */
const files = new WeakMap<object, ConfigFile>();

async function configure(command: CommandUnknownOpts): Promise<void> {
  const named: unknown = command.getOptionValue("config");
  // Without a file nothing of this is loaded.
  if (named === undefined && !isThere(DEFAULT_CONFIG_PATH)) return;
  const { applyConfig, readConfig } = await import("../config/config.ts");
  const file = await readConfig(typeof named === "string" ? named : DEFAULT_CONFIG_PATH);
  files.set(command, file);
  applyConfig(command, file);
}

export function configFileOf(command: CommandUnknownOpts): ConfigFile | undefined {
  return files.get(command);
}

/** Those of the command line; where there are none, those of the configuration. */
export function targetsOf(
  command: CommandUnknownOpts,
  named: readonly string[],
): readonly string[] {
  const file = files.get(command);
  if (named.length > 0 || file === undefined) return named;
  return (file.content[command.name()] as { targets?: string[] } | undefined)?.targets ?? named;
}

/** An option without a value is given by a variable that says yes; to commander any value of it does. */
function readSwitches(command: CommandUnknownOpts): void {
  for (const each of command.options) {
    const name = each.attributeName();
    const isSwitch = !each.required && !each.optional;
    if (!isSwitch || command.getOptionValueSource(name) !== "env") continue;
    const said = Deno.env.get(each.envVar!)?.trim().toLowerCase();
    // Of --live and --no-live it is the other one that was given.
    if (said === undefined) continue;
    if (YES.includes(said)) continue;
    if (!NO.includes(said)) {
      throw new OomkitError(`cannot use ${each.envVar}="${said}"`, "say 1 or 0, yes or no");
    }
    // No more than the default; but one that says no counts for more than a file that says yes.
    const usual = isPaired(command, each.long!)
      ? (each.negate || said === "" ? undefined : false)
      : (each.negate ? true : undefined);
    command.setOptionValueWithSource(name, usual, said === "" ? "default" : "env");
  }
}

/** Whether a switch has an opposite, as --live has in --no-live: then it may be on, off, or neither. */
export function isPaired(command: Pick<CommandUnknownOpts, "options">, long: string): boolean {
  const opposite = long.startsWith("--no-") ? `--${long.slice(5)}` : `--no-${long.slice(2)}`;
  return command.options.some((each) => each.long === opposite);
}

/** Where a value may come from: what is said for certain cgroups alone is said most directly. */
const SOURCES = ["default", "config", "env", "cli", "rule"];

/** Higher for what counts for more. */
export function rankOf(source: string | undefined): number {
  return SOURCES.indexOf(source ?? "default");
}

/** Of two options that say the same thing, drops the one given less directly; false when both are given alike. */
export function preferFlag(command: CommandUnknownOpts, one: string, other: string): boolean {
  const rank = (name: string) => rankOf(command.getOptionValueSource(name));
  const lead = rank(one) - rank(other);
  if (lead !== 0) {
    command.setOptionValueWithSource(lead > 0 ? other : one, undefined, "default");
  }
  return lead !== 0;
}

export interface Common {
  readonly output: "text" | "json";
  readonly json?: true | undefined;
  readonly root?: string | undefined;
  readonly color: "auto" | "always" | "never";
  readonly config?: string | undefined;
}

export const wantsJson = (options: Common) => options.json === true || options.output === "json";
