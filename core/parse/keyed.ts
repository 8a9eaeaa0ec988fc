/**
 * Flat keyed files: one `key value` a line (`memory.stat`, `memory.events`, `memory.oom_control`, `cgroup.events`).
 */

import { wholeLines } from "./whole_lines.ts";

/**
 * A line that is not exactly `key value` is skipped, and so is a last line without its newline. A key that comes twice keeps its first value.
 */
export function parseKeyed(text: string): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  for (const line of wholeLines(text)) {
    const space = line.indexOf(" ");
    const key = line.slice(0, space);
    const value = line.slice(space + 1);
    if (space <= 0 || value === "" || value.includes(" ") || entries.has(key)) continue;
    entries.set(key, value);
  }
  return entries;
}
