/** An event as environment variables, for hooks that do not parse JSON. */

import type { OomkitEvent } from "./event.ts";

/** Longer values are left out: execve(2) limits the size of all variables together. The JSON on stdin has them. */
const MAX_VALUE_CHARACTERS = 4096;

/**
 * One variable for each field that is a string, a number or a boolean: `OOMKIT_EVENT_TYPE`, `OOMKIT_EVENT_CGROUP`, …, and the
 * victim's pid and name as `OOMKIT_EVENT_VICTIM_PID` and `OOMKIT_EVENT_VICTIM_COMM`. Unknown values are not set.
 */
export function environmentOf(event: OomkitEvent): Record<string, string> {
  const variables: Record<string, string> = {};
  const set = (name: string, value: unknown) => {
    if (value === null || value === undefined || typeof value === "object") return;
    // A variable cannot contain a NUL.
    const text = String(value).replaceAll("\0", "");
    if (text.length <= MAX_VALUE_CHARACTERS) {
      variables[`OOMKIT_EVENT_${name.toUpperCase()}`] = text;
    }
  };
  for (const [name, value] of Object.entries(event)) set(name, value);
  if ("victim" in event && event.victim) {
    set("victim_pid", event.victim.pid);
    set("victim_comm", event.victim.comm);
  }
  return variables;
}
