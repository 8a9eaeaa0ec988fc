/** The parts of a command's help beside its options, and the order of the options. Both are read by the help and by the man page. */

import { detailsOf, GROUPS } from "./option.ts";

export interface CommandHelp {
  /** Shown by `-h` as well, so a few lines of at most 80 columns. */
  readonly examples: readonly string[];
  /** Paragraphs of at most 80 columns, separated by empty lines; an indented one is shown as it is. */
  readonly notes?: string;
  /** By status. */
  readonly exitStatus: Readonly<Record<string, string>>;
}

const helpTexts = new WeakMap<object, CommandHelp>();

export const helpTextOf = (command: object): CommandHelp | undefined => helpTexts.get(command);

export function withHelp<C extends object>(command: C, text: CommandHelp): C {
  helpTexts.set(command, text);
  return command;
}

const GROUP_NAMES = Object.keys(GROUPS);

/** For `toSorted`: by group, the basic options of each group first, otherwise unchanged. */
export function compareOptions(one: object, other: object): number {
  return groupRank(one) - groupRank(other) || basicRank(one) - basicRank(other);
}

/** commander's own options, such as `--help`, come last. */
function groupRank(option: object): number {
  const details = detailsOf(option);
  return details === undefined ? GROUP_NAMES.length : GROUP_NAMES.indexOf(details.group);
}

const basicRank = (option: object) => detailsOf(option)?.isBasic ? 0 : 1;
