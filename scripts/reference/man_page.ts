/** The man page, in the `man` macros that groff and mandoc both know (groff_man(7)). */

import type { CommandDefinition, OptionDefinition } from "../../cli/options/definitions.ts";
import type { Described } from "./shared_options.ts";

export function manPage(
  { commands, shared }: Described,
  alone: CommandDefinition,
  version: string,
): string {
  return [
    '.\\" Written by scripts/reference.ts out of the definitions of the commands.',
    `.TH OOMKIT 1 "" "oomkit ${version}" "User Commands"`,
    // Names of variables are to be copied.
    ".nh",
    ".ad l",
    ".SH NAME",
    "oomkit \\- see memory cgroup limits, follow them, act before the kernel does, and rehearse it",
    ".SH SYNOPSIS",
    ...commands.flatMap(({ name, usage }, at) => [
      ...at === 0 ? [] : [".br"],
      `.B oomkit ${name}`,
      roff(usage),
    ]),
    ".SH DESCRIPTION",
    roff(alone.summary),
    ...commands.flatMap((command) => [
      `.SS oomkit ${command.name}`,
      roff(sentence(command.summary)),
      ...command.options.filter(({ hidden }) => !hidden).flatMap(optionLines),
      ...textLines(command.after),
    ]),
    `.SS Options of ${
      commands.filter((each) => each.takesShared).map((each) => each.name).join(", ")
    }`,
    ...shared.flatMap(optionLines),
    ...PROSE,
    "",
  ].join("\n");
}

const PROSE = [
  ".SH EXIT STATUS",
  ".TP",
  "0",
  "Fine.",
  ".TP",
  "1",
  "What was asked about is not fine: a check failed, an OOM was seen, an expectation was not met.",
  ".TP",
  "2",
  "It could not be told: bad usage, unreadable, no permission.",
  ".PP",
  ".B oomkit watch",
  "with a command exits as the command does.",
  ".SH ENVIRONMENT",
  "Every option can be given as the variable that is named with it.",
  "A flag counts for more than a variable, a variable for more than the configuration file.",
  ".TP",
  "NO_COLOR",
  "No colour, whatever it is set to.",
  ".TP",
  "OOMKIT_DEBUG",
  "With a stack trace where oomkit has a bug.",
  ".SH FILES",
  ".TP",
  ".I /etc/oomkit/config.toml",
  "The configuration, unless",
  ".B \\-\\-config",
  "names another one: TOML, a table for each command, the long names of the options as keys.",
];

function optionLines(option: OptionDefinition): string[] {
  const { short, long, value, description, choices, repeatable } = option;
  const flags = [short, long].flatMap((flag) => flag ? [`\\fB${roff(flag)}\\fR`] : []).join(", ");
  const name = value === undefined
    ? ""
    : value.optional
    ? ` [\\fI${roff(value.name)}\\fR]`
    : ` \\fI${roff(value.name)}\\fR`;
  const more = [
    ...choices.length > 0 ? [`One of ${choices.join(", ")}.`] : [],
    ...repeatable && !description.includes("repeatable") ? ["May be repeated."] : [],
    ...option.default === undefined ? [] : [`Default: ${option.default}.`],
    ...option.variable === undefined ? [] : [`Variable: ${option.variable}.`],
  ];
  return [".TP", `${flags}${name}`, roff(sentence(description)), ...more.map(roff)];
}

/** A paragraph of the help is one here; what is indented or in columns stays as it is. */
function textLines(text: string): string[] {
  if (text === "") return [];
  return text.split("\n\n").flatMap((block) => {
    const lines = block.split("\n");
    const isLaidOut = lines.some((line) => /^\s|\S {2,}\S/.test(line));
    return isLaidOut ? [".PP", ".EX", ...lines.map(roff), ".EE"] : [".PP", ...lines.map(roff)];
  });
}

function sentence(text: string): string {
  const begun = text.startsWith("oom-guard") ? text : `${text[0]!.toUpperCase()}${text.slice(1)}`;
  return /[.…]$/.test(text) ? begun : `${begun}.`;
}

/** A dash stays a dash that can be copied; what is not ASCII is named by its code. */
function roff(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll("`", "\\(ga")
    .replace(
      /[^\x20-\x7e]/gu,
      (c) => `\\[u${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`,
    );
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}
