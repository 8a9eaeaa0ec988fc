/**
 * The JSON Schema of the configuration file, for editors. It checks names, types and choices; only the program
 * (`oomkit guard --check-config`) checks the syntax of sizes and durations.
 */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { RULE_WORDS, ruleKeys, SELECTORS } from "../../cli/config/rules.ts";
import { commandOf, type OptionDefinition } from "../../cli/options/definitions.ts";
import { isPaired } from "../../cli/options/option.ts";

type Schema = Readonly<Record<string, unknown>>;

export function configSchema(program: CommandUnknownOpts): Schema {
  const tables = program.commands.flatMap((command) => {
    const properties = optionsOf(command);
    return Object.keys(properties).length === 0
      ? []
      : [[command.name(), command, properties]] as const;
  });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "oomkit's configuration file",
    description: "TOML: a table for each command, with the long names of its options as keys.",
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(tables.map(([name, command, options]) => [name, {
      description: command.description(),
      type: "object",
      additionalProperties: false,
      properties: {
        ...command.registeredArguments.length === 0 ? {} : { targets: TARGETS },
        ...options,
        ...name === "guard" ? { rule: rules(ruleKeys(command), options) } : {},
      },
    }])),
  };
}

const TEXT = { type: "string", minLength: 1 };

const TARGETS = {
  description: "the targets, as on the command line",
  type: "array",
  items: TEXT,
};

function optionsOf(command: CommandUnknownOpts): Record<string, Schema> {
  return Object.fromEntries(
    commandOf(command).options.flatMap((option) => {
      // --live and --no-live share one key.
      const isOpposite = option.long.startsWith("--no-") && isPaired(command, option.long);
      return option.key === undefined || isOpposite ? [] : [[option.key, propertyOf(option)]];
    }),
  );
}

function propertyOf(option: OptionDefinition): Schema {
  const { long, description, hidden } = option;
  return {
    description: option.default === undefined
      ? description
      : `${description} (default: ${option.default})`,
    ...typeOf(option),
    ...long.startsWith("--no-") ? { default: true } : {},
    ...hidden ? { deprecated: true } : {},
  };
}

function typeOf(option: OptionDefinition): Schema {
  if (option.value === undefined) return { type: "boolean" };
  if (option.choices.length > 0) return { enum: withNumbers(option.choices) };
  const one = { type: ["string", "number"] };
  if (!option.repeatable) return one;
  const { completion } = option;
  const items = completion?.kind === "list" && completion.isClosed
    ? { enum: completion.words }
    : one;
  return { anyOf: [one, { type: "array", items }] };
}

/** TOML may have a choice such as `2` as a number. */
const withNumbers = (words: readonly string[]) =>
  words.flatMap((word) => /^\d+$/.test(word) ? [word, Number(word)] : [word]);

function rules(keys: readonly string[], options: Readonly<Record<string, Schema>>): Schema {
  const texts = (item: Schema) => ({ anyOf: [item, { type: "array", items: item, minItems: 1 }] });
  return {
    description: "options for some cgroups; the first rule that matches applies",
    type: "array",
    items: {
      type: "object",
      additionalProperties: false,
      anyOf: SELECTORS.map((selector) => ({ required: [selector] })),
      if: { properties: { exempt: { const: true } }, required: ["exempt"] },
      then: { propertyNames: { enum: [...RULE_WORDS, ...SELECTORS] } },
      properties: {
        name: { description: "name of the rule in messages and events", ...TEXT },
        exempt: { description: "do not guard the matching cgroups", type: "boolean" },
        cgroup: {
          description: "cgroup paths or globs with * and **",
          ...texts({ type: "string", pattern: "^/" }),
        },
        unit: { description: "systemd units, with all of their descendants", ...texts(TEXT) },
        "pod-labels": {
          description: "labels of the pod, all of which must match",
          type: "object",
          minProperties: 1,
          additionalProperties: { type: "string" },
        },
        machine: { description: "guard the machine, under this rule", const: true },
        ...Object.fromEntries(keys.map((key) => [key, options[key]!])),
      },
    },
  };
}
