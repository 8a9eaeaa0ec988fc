/** An event as variables: of the environment, for hooks that do not parse JSON, and of the journal. */

import type { OomkitEvent } from "./event.ts";

/** Longer values are left out: execve(2) limits the size of all variables together. The JSON on stdin has them. */
const MAX_VALUE_CHARACTERS = 4096;

/**
 * One variable for each field that is a string, a number or a boolean, after the prefix: TYPE, CGROUP, …, and the victim's pid and
 * name as VICTIM_PID and VICTIM_COMM. Unknown values are not set.
 */
export function variablesOf(event: OomkitEvent, prefix: string): Record<string, string> {
  const variables: Record<string, string> = {};
  const set = (name: string, value: unknown) => {
    if (value === null || value === undefined || typeof value === "object") return;
    // A variable cannot contain a NUL.
    const text = String(value).replaceAll("\0", "");
    if (text.length <= MAX_VALUE_CHARACTERS) variables[prefix + name.toUpperCase()] = text;
  };
  for (const [name, value] of Object.entries(event)) set(name, value);
  if ("victim" in event && event.victim) {
    set("victim_pid", event.victim.pid);
    set("victim_comm", event.victim.comm);
  }
  return variables;
}

export const environmentOf = (event: OomkitEvent): Record<string, string> =>
  variablesOf(event, "OOMKIT_EVENT_");
