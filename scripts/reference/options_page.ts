/** docs/options.md: every option, where else it can be given, and what holds without it. */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { OptionDefinition } from "../../cli/options/definitions.ts";
import { fileKey } from "./file_key.ts";
import type { Described } from "./shared_options.ts";

export function optionsPage({ shared, commands }: Described, program: CommandUnknownOpts): string {
  const table = (command: string, options: readonly OptionDefinition[]) => {
    const real = program.commands.find((each) => each.name() === command)!;
    return tableOf(options, (option) => fileKey(real, option.long));
  };
  const full = commands.filter(({ takesShared }) => takesShared).map(({ name }) => name);
  return [
    "<!-- Written by scripts/reference.ts out of the definitions of the commands. -->",
    "# Every option",
    INTRODUCTION,
    `## Of ${full.join(", ")}`,
    table(full[0]!, shared),
    ...commands.flatMap(({ name, summary, usage, options }) => {
      const visible = options.filter(({ hidden }) => !hidden);
      const hidden = options.filter((option) => option.hidden);
      return [
        `## oomkit ${name}`,
        `${summary[0]!.toUpperCase()}${summary.slice(1)}: \`oomkit ${name} ${usage}\``,
        ...visible.length === 0 || !full.includes(name) ? [] : [table(name, visible)],
        ...hidden.length === 0 ? [] : [OF_OOM_GUARD, table(name, hidden)],
      ];
    }),
    "",
  ].join("\n\n");
}

const INTRODUCTION = `
What counts, from the least to the most: the default, the configuration file, the environment, the
flag. The file is \`/etc/oomkit/config.toml\` or what \`--config\` names: TOML with a table for each
command (\`[guard]\`), in which the keys below stand; \`targets\` is a list of what would stand on the
command line, \`[[guard.rule]]\` says what holds for some cgroups only. Editors check it by
[a JSON Schema](schema/config.schema.json).

A switch is given by a variable that says \`1\`, \`true\`, \`yes\` or \`on\`, and by \`true\` in the file. An
option that may be repeated is a list there. Sizes: \`20M\`, \`1.5G\`, bare bytes; durations: \`50ms\`,
\`1s\`, \`2m\`.`.trim();

const OF_OOM_GUARD = "Taken so that oom-guard's command lines work as they stand:";

function tableOf(
  options: readonly OptionDefinition[],
  keyOf: (option: OptionDefinition) => string | undefined,
): string {
  return [
    "| option | default | environment | file | meaning |",
    "| --- | --- | --- | --- | --- |",
    ...options.map((option) => {
      const { short, long, value, description, choices, repeatable, variable } = option;
      const name = value ? value.optional ? ` [${value.name}]` : ` <${value.name}>` : "";
      const key = keyOf(option);
      const more = [
        ...choices.length > 0 ? [`one of ${choices.join(", ")}`] : [],
        ...repeatable && !description.includes("repeatable") ? ["may be repeated"] : [],
      ];
      return `| ${
        [
          code(`${short ? `${short}, ` : ""}${long}${name}`),
          option.default ? cell(option.default.replaceAll(",", ", ")) : "",
          variable ? code(variable) : "",
          key ? code(key) : "",
          cell([description, ...more].join("; ")),
        ].join(" | ")
      } |`;
    }),
  ].join("\n");
}

const code = (text: string) => `\`${text.replaceAll("|", "\\|")}\``;

const cell = (text: string) => text.replace(/[|*_<>\\]/g, "\\$&");
