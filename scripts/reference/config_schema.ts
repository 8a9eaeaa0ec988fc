/**
 * The JSON Schema of the configuration file, for editors. It knows names, types and choices; whether a size or a duration
 * can be read only the program tells (`oomkit guard --check-config`).
 */

import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { keyOf } from "../../cli/config/config.ts";
import { isPaired } from "../../cli/options/option.ts";
import { RULE_OPTIONS, RULE_WORDS, SELECTORS } from "../../cli/config/rules.ts";
import { commandOf, type OptionDefinition } from "../../cli/options/definitions.ts";
import { valueWords } from "../../cli/options/values.ts";
import { fileKey } from "./file_key.ts";

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
        ...name === "guard" ? { rule: rules(options) } : {},
      },
    }])),
  };
}

const TEXT = { type: "string", minLength: 1 };

const TARGETS = {
  description: "what would stand on the command line",
  type: "array",
  items: TEXT,
};

function optionsOf(command: CommandUnknownOpts): Record<string, Schema> {
  return Object.fromEntries(
    commandOf(command).options.flatMap((option) => {
      const key = fileKey(command, option.long);
      // Of --live and --no-live the file has but one key.
      const isOpposite = option.long.startsWith("--no-") && isPaired(command, option.long);
      return key === undefined || isOpposite ? [] : [[key, propertyOf(option)]];
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
  const values = valueWords(option);
  const items = values?.kind === "list" && values.isClosed ? { enum: values.words } : one;
  return { anyOf: [one, { type: "array", items }] };
}

/** What looks like a number may be written as one. */
const withNumbers = (words: readonly string[]) =>
  words.flatMap((word) => /^\d+$/.test(word) ? [word, Number(word)] : [word]);

function rules(options: Readonly<Record<string, Schema>>): Schema {
  const policies = RULE_OPTIONS.map((name) => keyOf(`--${name}`));
  const texts = (item: Schema) => ({ anyOf: [item, { type: "array", items: item, minItems: 1 }] });
  return {
    description: "what holds for some cgroups; the first rule that fits counts",
    type: "array",
    items: {
      type: "object",
      additionalProperties: false,
      anyOf: SELECTORS.map((selector) => ({ required: [selector] })),
      if: { properties: { exempt: { const: true } }, required: ["exempt"] },
      then: { propertyNames: { enum: [...RULE_WORDS, ...SELECTORS] } },
      properties: {
        name: { description: "how it is called in what is told", ...TEXT },
        exempt: { description: "nothing is guarded where it fits", type: "boolean" },
        cgroup: {
          description: "paths, in which * and ** stand for more than one",
          ...texts({ type: "string", pattern: "^/" }),
        },
        unit: { description: "systemd units, with all below them", ...texts(TEXT) },
        "pod-labels": {
          description: "labels that the pod has, all of them",
          type: "object",
          minProperties: 1,
          additionalProperties: { type: "string" },
        },
        ...Object.fromEntries(policies.map((key) => [key, options[key]!])),
      },
    },
  };
}
