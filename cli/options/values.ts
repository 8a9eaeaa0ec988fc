/** What the value of an option can be, told by the placeholder in its flags: `--report <file>` takes a file. */

import { REQUIREMENTS } from "../../core/cgroup/requirements.ts";
import { EVENT_TYPES } from "../../core/events/event.ts";
import { ACTION_KINDS, actionWord } from "../../core/policy/actions.ts";
import type { OptionDefinition } from "./definitions.ts";
import { LEVELS } from "../watch/options.ts";

export type ValueWords =
  | { readonly kind: "file" | "folder" | "free" }
  | { readonly kind: "word"; readonly words: readonly string[] }
  /** A comma-separated list of them; of others too, unless it is closed. */
  | { readonly kind: "list"; readonly words: readonly string[]; readonly isClosed?: true };

const BY_PLACEHOLDER: Readonly<Record<string, ValueWords>> = {
  file: { kind: "file" },
  dir: { kind: "folder" },
  types: { kind: "list", words: EVENT_TYPES },
  requirements: { kind: "list", words: Object.keys(REQUIREMENTS), isClosed: true },
  pressures: { kind: "list", words: LEVELS },
  actions: {
    kind: "list",
    words: ACTION_KINDS.map(actionWord),
  },
};

/** @returns undefined for a switch, or where the value may be left out: the next word is another matter then. */
export function valueWords({ value, choices }: OptionDefinition): ValueWords | undefined {
  if (value === undefined || value.optional) return undefined;
  if (choices.length > 0) return { kind: "word", words: choices };
  return BY_PLACEHOLDER[value.name.toLowerCase()] ?? { kind: "free" };
}
