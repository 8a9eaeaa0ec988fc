/**
 * The options that all subcommands or several of them have, and where their values come from: command line, environment,
 * configuration file.
 */

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
  type OptionDetails,
  type OptionTable,
  pair,
  preferFlag,
  value,
} from "./option.ts";
import { parseSize } from "./units.ts";

export const DEFAULT_CONFIG_PATH = "/etc/oomkit/config.toml";

/** The choices of `--annotate`. */
export const CI_SERVICES = ["github", "gitlab"] as const;
export type CiService = typeof CI_SERVICES[number];

const COMMON_OPTIONS = {
  json: flag("--json", "short for --output json", { group: "output", isBasic: true }),
  output: choice("-o, --output <format>", "format of the output", {
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
    { group: "general", isNotInFile: true },
  ),
};

export type Common = FlagsOf<typeof COMMON_OPTIONS>;

export const wantsJson = (
  options: { readonly json?: true | undefined; readonly output: string },
) => options.json === true || options.output === "json";

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
    const output = self.getOptionValue("output");
    const differ = self.getOptionValue("json") === true && output !== "json";
    if (!differ || preferFlag(self, "json", "output")) return;
    throw new OomkitError(`cannot use --json and --output ${output} together`, "give one of them");
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
  const rules = command.name() === "guard" ? await import("../config/rules.ts") : undefined;
  applyConfig(command, file, (file) => void rules?.rulesOf(file, command));
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

export const LIVE_OPTIONS = {
  live: pair(
    "--live",
    "show a live view (default when stdin and stdout are a terminal)",
    "print one line for each event instead of a live view",
    { group: "output" },
  ),
  ascii: flag("--ascii", "draw with ASCII characters only (default without a UTF-8 locale)", {
    group: "output",
  }),
};

/** `live` is undefined when neither --live nor --no-live is given. */
export type DrawFlags = FlagsOf<typeof LIVE_OPTIONS>;

/** About half a million samples, which a reader parses in a few seconds. */
const DEFAULT_MAX_RECORDING_BYTES = 64 * 1024 ** 2;
/** Room for the header with a policy, some cgroups, and some samples. */
const MIN_MAX_RECORDING_BYTES = 64 * 1024;

function parseMax(text: string): number {
  const bytes = parseSize(text);
  if (bytes >= MIN_MAX_RECORDING_BYTES) return bytes;
  throw new OomkitError(`"${text}" is too small for a recording`, "use at least 64K");
}

/** Each command does something else with the recording. */
export const replayOption = (help: string, group: OptionDetails["group"]) =>
  value("--replay <file>", help, { group, isBasic: true });

const GROUP = { group: "recording" } as const;

export const FORCE_OPTION = { force: flag("--force", "overwrite existing files", GROUP) };

const PICTURE_OPTIONS = {
  html: value("--html <file>", "draw the run as an HTML page", GROUP),
  svg: value("--svg <file>", "draw the run as an SVG image", GROUP),
  ...FORCE_OPTION,
};

export const RECORD_OPTIONS = {
  record: value(
    "--record <file>",
    "record samples and events, to draw or replay them later (compressed if named .gz)",
    GROUP,
  ),
  recordMax: value("--record-max <size>", "maximum size of the recording", {
    ...GROUP,
    parse: parseMax,
    default: [DEFAULT_MAX_RECORDING_BYTES, "64M"],
  }),
  ...PICTURE_OPTIONS,
};

/** A picture of a run or of a recording. */
export type PictureFlags = FlagsOf<typeof PICTURE_OPTIONS>;

export type RecordFlags = FlagsOf<typeof RECORD_OPTIONS>;

/** Whether anything needs the samples of the run. */
export const isRecorded = ({ record, html, svg }: RecordFlags) =>
  [record, html, svg].some((path) => path !== undefined);
