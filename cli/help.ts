/**
 * `-h`, a summary that fits on one screen, and `--help`, all options in their groups. commander formats both; loaded only when
 * help is requested.
 */

import { type CommandUnknownOpts, Help, type Option } from "@commander-js/extra-typings";

import { compareOptions, detailsOf, GROUPS, helpTextOf, unnamedChoices } from "./options/option.ts";
import { DEFAULT_CONFIG_PATH } from "./options/subcommand.ts";

/** @param isShort for `-h` */
export function configureHelp(program: CommandUnknownOpts, isShort: boolean): void {
  const defaults = new Help();
  program.configureHelp({
    visibleOptions: (command) => {
      const all = defaults.visibleOptions(command).toSorted(compareOptions)
        // The program's summary would not fit on one screen.
        .filter(({ long }) => !isShort || long !== "--licenses");
      const details = all.map(detailsOf);
      // A command without options of its own has no summary.
      return isShort && details.some((each) => each?.isBasic)
        ? all.filter((_, at) => details[at] === undefined || details[at].isBasic)
        : all;
    },
    groupItems: (_unsorted, visible, groupOf) => {
      if (!visible.some(detailsOf)) return defaults.groupItems([], visible, groupOf);
      if (isShort) return new Map([["Options:", visible]]);
      return defaults.groupItems(
        [],
        visible,
        (each) => detailsOf(each) ? groupOf(each) : GROUPS.general,
      );
    },
    argumentDescription: ({ description }) => description,
    optionDescription,
  });
  program.addHelpText("afterAll", ({ command }) => `\n${textAfter(command, isShort)}`);
}

/** Without the variable: all are named alike. */
export function optionDescription(option: Option): string {
  const { description, argChoices = [], defaultValueDescription, defaultValue } = option;
  const unnamed = unnamedChoices(description, argChoices);
  const value = defaultValueDescription ?? defaultValue;
  const hasDefault = value !== undefined && typeof value !== "boolean";
  const more = [
    ...unnamed.length === 0 ? [] : [unnamed.join(", ")],
    ...hasDefault ? [`default: ${String(value).replaceAll(",", ", ")}`] : [],
  ];
  return more.length === 0 ? description : `${description} (${more.join("; ")})`;
}

function textAfter(command: CommandUnknownOpts, isShort: boolean): string {
  const text = helpTextOf(command);
  if (text === undefined) return "";
  const examples = ["Examples:", ...text.examples.map((line) => `  ${line}`)].join("\n");
  if (isShort) return examples;
  const hasOptions = command.parent === null || command.options.some(detailsOf);
  return [
    examples,
    ...text.notes === undefined ? [] : [text.notes],
    ["Exit status:", ...statusLines({ ...text.exitStatus, ...BUG_STATUS })].join("\n"),
    ...hasOptions ? [ENVIRONMENT] : [],
  ].join("\n\n");
}

function statusLines(statuses: Readonly<Record<string, string>>): string[] {
  const width = Math.max(...Object.keys(statuses).map((status) => status.length));
  return Object.entries(statuses).map(([status, text]) => `  ${status.padEnd(width)}  ${text}`);
}

const BUG_STATUS = { "70": "oomkit has a bug" };

const ENVIRONMENT = `Environment and files:
  OOMKIT_...   any option: OOMKIT_JSON=1 for --json, OOMKIT_ROOT=DIR for --root
  NO_COLOR     disables color; FORCE_COLOR or CLICOLOR_FORCE enables it
  ${DEFAULT_CONFIG_PATH}
               options in TOML, with a table for each command
  Flags take precedence over variables, variables over the file.`;
