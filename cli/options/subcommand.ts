/** The options that every subcommand has, and where their values come from: command line, environment, configuration file. */

import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { OomkitError } from "../../core/errors.ts";
import type { ConfigFile } from "../config/config.ts";
import {
  choice,
  commanderOptions,
  flag,
  type FlagsOf,
  isPaired,
  isSwitch,
  type OptionTable,
  preferFlag,
  value,
} from "./option.ts";

export const DEFAULT_CONFIG_PATH = "/etc/oomkit/config.toml";

/** The choices of `--annotate`. */
export const CI_SERVICES = ["github", "gitlab"] as const;
export type CiService = typeof CI_SERVICES[number];

const COMMON_OPTIONS = {
  json: flag("--json", "short for --output json", { group: "output", isBasic: true }),
  output: choice("--output <format>", "format of the output", {
    group: "output",
    choices: ["text", "json"],
    default: ["text", "text"],
  }),
  color: choice("--color <when>", "when to color text", {
    group: "output",
    choices: ["auto", "always", "never"],
    default: ["auto", "auto"],
  }),
  root: value(
    "--root <dir>",
    "read the cgroup tree in this directory (a cgroup mount, a copy, or a fake tree)",
    { group: "targets" },
  ),
  config: value(
    "--config <file>",
    `read options from this TOML file (default: ${DEFAULT_CONFIG_PATH}, if it exists)`,
    { group: "general", isCommandLineOnly: true },
  ),
};

export type Common = FlagsOf<typeof COMMON_OPTIONS>;

export const wantsJson = (options: Common) => options.json === true || options.output === "json";

/** A subcommand with the options of the table and those that all subcommands have. */
export function subcommand<Table extends OptionTable>(
  name: string,
  summary: string,
  table: Table,
): Command<[], Common & FlagsOf<Table>> {
  const command = new Command(name).description(summary);
  for (const option of commanderOptions({ ...COMMON_OPTIONS, ...table })) command.addOption(option);
  command.hook("preAction", async (_, self) => {
    readSwitches(self);
    await configure(self);
    const differ = self.getOptionValue("json") === true && self.getOptionValue("output") === "text";
    if (!differ || preferFlag(self, "json", "output")) return;
    throw new OomkitError("cannot use --json and --output text together", "give one of them");
  });
  return command as unknown as Command<[], Common & FlagsOf<Table>>;
}

const YES = ["1", "true", "yes", "on"];
const NO = ["", "0", "false", "no", "off"];

/** A switch is set by a variable with a value that means yes; commander would accept any value. */
function readSwitches(command: CommandUnknownOpts): void {
  for (const each of command.options) {
    const name = each.attributeName();
    if (!isSwitch(each) || command.getOptionValueSource(name) !== "env") continue;
    const value = Deno.env.get(each.envVar!)?.trim().toLowerCase();
    // Of --live and --no-live the other one was given.
    if (value === undefined) continue;
    if (YES.includes(value)) continue;
    if (!NO.includes(value)) {
      throw new OomkitError(`cannot use ${each.envVar}="${value}"`, "use 1 or 0, yes or no");
    }
    // A variable that means no sets the default, but takes precedence over a file that says yes; an empty one does not.
    const off = isPaired(command, each.long!)
      ? (each.negate || value === "" ? undefined : false)
      : (each.negate ? true : undefined);
    command.setOptionValueWithSource(name, off, value === "" ? "default" : "env");
  }
}

/** The configuration file of each command that was run. */
const files = new WeakMap<object, ConfigFile>();

export const configFileOf = (command: CommandUnknownOpts): ConfigFile | undefined =>
  files.get(command);

async function configure(command: CommandUnknownOpts): Promise<void> {
  const named = command.getOptionValue("config") as string | undefined;
  // Without a file the TOML parser is not loaded.
  if (named === undefined && !exists(DEFAULT_CONFIG_PATH)) return;
  const { applyConfig, readConfig } = await import("../config/config.ts");
  const file = await readConfig(named ?? DEFAULT_CONFIG_PATH);
  files.set(command, file);
  applyConfig(command, file);
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** The targets of the command line; without any, those of the configuration. */
export function targetsOf(
  command: CommandUnknownOpts,
  named: readonly string[],
): readonly string[] {
  const file = files.get(command);
  if (named.length > 0 || file === undefined) return named;
  return (file.content[command.name()] as { targets?: string[] } | undefined)?.targets ?? named;
}
