/** Whether this program has the terminal to itself. */

import { parseTerminalGroups } from "../parse/proc_stat.ts";
import { peekText } from "./files.ts";

/**
 * False for a job that a shell runs in the background: to read from the terminal, or to set it up otherwise, would stop it
 * (termios(3), SIGTTIN and SIGTTOU). True where it cannot be told.
 */
export function isInForeground(): boolean {
  const groups = parseTerminalGroups(peekText("/proc/self/stat") ?? "");
  // Neither has a number where it lies outside of this pid namespace, or there is no such terminal to be stopped by.
  return groups === undefined || groups.own <= 0 || groups.foreground <= 0 ||
    groups.own === groups.foreground;
}
