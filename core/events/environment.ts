/** An event as environment variables, for hooks that would rather not read JSON. */

import type { OomkitEvent } from "./event.ts";

/** More than this is in the JSON alone: execve(2) has a limit for all of them together. */
const LONGEST = 4096;

/**
 * Each field that is a text, a number or a truth: `OOMKIT_EVENT_TYPE`, `OOMKIT_EVENT_CGROUP`, …, and the victim's pid and name as
 * `OOMKIT_EVENT_VICTIM_PID` and `OOMKIT_EVENT_VICTIM_COMM`. What is not known is not set.
 */
export function environmentOf(event: OomkitEvent): Record<string, string> {
  const found: Record<string, string> = {};
  const set = (name: string, value: unknown) => {
    if (value === null || value === undefined || typeof value === "object") return;
    // No variable can hold a NUL.
    const text = String(value).replaceAll("\0", "");
    if (text.length <= LONGEST) found[`OOMKIT_EVENT_${name.toUpperCase()}`] = text;
  };
  for (const [name, value] of Object.entries(event)) set(name, value);
  if ("victim" in event && event.victim) {
    set("victim_pid", event.victim.pid);
    set("victim_comm", event.victim.comm);
  }
  return found;
}
