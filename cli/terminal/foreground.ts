/** Whether this process is in the terminal's foreground process group, and whether a shell can resume it after a stop. */

import { parseTerminalGroups, type TerminalGroups } from "../../core/parse/procfs.ts";
import { tryReadText } from "../../core/cgroup/files.ts";

const groupsOf = (pid: number | "self") =>
  parseTerminalGroups(tryReadText(`/proc/${pid}/stat`) ?? "");

/**
 * False for a background job of a shell: reading from the terminal or changing its settings would stop the process (termios(3),
 * SIGTTIN and SIGTTOU). True where it is not known.
 */
export function isInForeground(): boolean {
  const groups = groupsOf("self");
  // A group outside this pid namespace has no number. Without a controlling terminal nothing can stop the process.
  return groups === undefined || groups.own <= 0 || groups.foreground <= 0 ||
    groups.own === groups.foreground;
}

/**
 * Whether a parent in the same session can resume this process after a stop. The kernel ignores SIGTSTP for an orphaned process
 * group, one without such a parent (setpgid(2)): this is the case under `ssh -t host oomkit guard` and in containers.
 *
 * @param of reads the terminal groups of a process; `undefined` if /proc has none
 */
export function hasJobControl(
  of: (pid: number | "self") => TerminalGroups | undefined = groupsOf,
): boolean {
  const own = of("self");
  if (own === undefined) return false;
  let ancestor: TerminalGroups | undefined = own;
  // A parent in the same group, such as a script, is stopped too.
  do ancestor = ancestor.parent > 0 ? of(ancestor.parent) : undefined; while (
    ancestor?.own === own.own
  );
  return ancestor?.session === own.session;
}
