/** Whether this program has the terminal to itself, and a shell behind it that takes the terminal back. */

import { parseTerminalGroups, type TerminalGroups } from "../../core/parse/procfs.ts";
import { tryReadText } from "../../core/cgroup/files.ts";

const groupsOf = (pid: number | "self") =>
  parseTerminalGroups(tryReadText(`/proc/${pid}/stat`) ?? "");

/**
 * False for a job that a shell runs in the background: to read from the terminal, or to set it up otherwise, would stop it
 * (termios(3), SIGTTIN and SIGTTOU). True where it cannot be told.
 */
export function isInForeground(): boolean {
  const groups = groupsOf("self");
  // Neither has a number where it lies outside of this pid namespace, or there is no such terminal to be stopped by.
  return groups === undefined || groups.own <= 0 || groups.foreground <= 0 ||
    groups.own === groups.foreground;
}

/**
 * Whether somebody is there who lets it go on once it was stopped. Of a process group that nobody in its session started the kernel
 * ignores SIGTSTP (setpgid(2), "orphaned process group"): so it is beneath `ssh -t host oomkit guard` and in containers.
 *
 * @param of what /proc tells of a process, absent where it tells nothing.
 */
export function hasJobControl(
  of: (pid: number | "self") => TerminalGroups | undefined = groupsOf,
): boolean {
  const own = of("self");
  if (own === undefined) return false;
  let above: TerminalGroups | undefined = own;
  // A script is of the same group, and is stopped with it.
  do above = above.parent > 0 ? of(above.parent) : undefined; while (above?.own === own.own);
  return above?.session === own.session;
}
