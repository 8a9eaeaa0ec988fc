/** Options that all the commands have are described once. */

import type { CommandDefinition, OptionDefinition } from "../../cli/options/definitions.ts";

export interface Described {
  /** What every command with options of its own has. */
  readonly shared: readonly OptionDefinition[];
  /** With the options that only they have; `help` is left out. */
  readonly commands: readonly (CommandDefinition & { readonly takesShared: boolean })[];
}

export function shared(all: readonly CommandDefinition[]): Described {
  const told = all.filter(({ name }) => name !== "help");
  const full = told.filter(({ options }) => options.length > 1);
  const [first] = full;
  const isShared = ({ long }: OptionDefinition) =>
    full.every(({ options }) => options.some((each) => each.long === long));
  const common = first!.options.filter(isShared);
  return {
    shared: common,
    commands: told.map((command) => ({
      ...command,
      takesShared: full.includes(command),
      options: command.options.filter(({ long }) => !common.some((each) => each.long === long)),
    })),
  };
}
