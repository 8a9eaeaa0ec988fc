/** Whether this program has the terminal to itself. */

import { parseTerminalGroups } from "../parse/proc_stat.ts";
import { peekText } from "./files.ts";

/**
 * False for a job that a shell runs in the background: to read from the terminal, or to set it up otherwise, would stop it
 * (termios(3), SIGTTIN and SIGTTOU). True where it cannot be told.
 */
export function isInForeground(): boolean {
  const groups = parseTerminalGroups(peekText("/proc/self/stat") ?? "");
  return groups === undefined || groups.own === groups.foreground;
}
