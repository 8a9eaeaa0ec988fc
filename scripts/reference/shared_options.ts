/** Options that several commands have are described once. */

import {
  type CommandDefinition,
  headingOf,
  type OptionDefinition,
  type ProgramDefinition,
} from "../../cli/options/definitions.ts";
import { GROUPS } from "../../cli/options/option.ts";

const HEADINGS = Object.values(GROUPS).map(headingOf);

export interface SharedOptions {
  readonly group: string;
  /** The commands that have all of them. */
  readonly commands: readonly string[];
  readonly options: readonly OptionDefinition[];
}

export interface DescribedProgram {
  readonly alone: CommandDefinition;
  /** With the options that no other command has, or has with another meaning; commander's `help` is left out. */
  readonly commands: readonly CommandDefinition[];
  /** In the order of the help. */
  readonly shared: readonly SharedOptions[];
}

export function described({ alone, commands: all }: ProgramDefinition): DescribedProgram {
  const commands = all.filter(({ name }) => name !== "help");
  const users = new Map<string, { option: OptionDefinition; names: string[] }>();
  for (const { name, options } of commands) {
    for (const option of options) {
      const key = JSON.stringify(option);
      const entry = users.get(key);
      if (entry) entry.names.push(name);
      else users.set(key, { option, names: [name] });
    }
  }
  const shared = Map.groupBy(
    [...users.values()].filter(({ names }) => names.length > 1),
    ({ option, names }) => JSON.stringify([option.group, names]),
  );
  return {
    alone,
    commands: commands.map((command) => ({
      ...command,
      options: command.options.filter((option) =>
        users.get(JSON.stringify(option))!.names.length === 1
      ),
    })),
    shared: [...shared.values()].map((entries) => ({
      group: entries[0]!.option.group,
      commands: entries[0]!.names,
      options: entries.map(({ option }) => option),
    })).toSorted((one, other) => HEADINGS.indexOf(one.group) - HEADINGS.indexOf(other.group)),
  };
}
