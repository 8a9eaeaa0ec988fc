/** Detects control files that no kernel wrote: an empty, torn or invalid one must not pass for a number. Pure. */

import { KEYED_FILES } from "./fields.ts";

/** Empty without processes, with PSI disabled, or with no controller enabled. */
const MAY_BE_EMPTY = /^(cgroup\.procs|memory\.pressure|cgroup\.(controllers|subtree_control))$/;
const KEYED_ROW = /^\S+ (\d+$|avg10=\d)/m;
/** Searched for, because a match of the whole text would remember each of 100,000 lines. */
const NOT_PIDS = /[^\d\n]|\d{11}|\n\n|^\n/;

/** Why the text of a control file cannot be trusted; `undefined` if it can. */
export function invalidReason(name: string, text: string): string | undefined {
  if (text === "") return MAY_BE_EMPTY.test(name) ? undefined : "it is empty";
  if (!text.endsWith("\n")) return "it is cut off: its last line has no newline";
  if (name === "cgroup.procs") return NOT_PIDS.test(text) ? "it lists more than pids" : undefined;
  // One valid row is enough: a future kernel may add rows of another form.
  if (name === "memory.pressure" || KEYED_FILES.has(name)) {
    return KEYED_ROW.test(text) ? undefined : "no line of it is a key and a number";
  }
  const value = text.trim();
  if (/^(\d{1,20}|max)$/.test(value)) return undefined;
  return `"${value.slice(0, 20)}" is not a size`;
}
