/** Whether a guard has the permissions for its work, checked before it matters. */

import { type Cgroup, walk } from "../cgroup/cgroup.ts";
import { tryListPids } from "../cgroup/pids.ts";
import { isInSubtree } from "../cgroup_path.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd, signalPidfd } from "../kernel/process.ts";
import type { Fallback, GuardedCgroup } from "./registry.ts";

/** The processes of a cgroup mostly belong to one user; a few are enough to know. */
const MAX_PROCESSES_CHECKED = 20;

/** Why no process of the cgroup may be signalled; `undefined` when one may, or when there is none to check. */
export function signalDenied(
  cgroup: Cgroup,
  protectedPids: ReadonlySet<number>,
): string | undefined {
  let refused: string | undefined;
  let checked = 0;
  for (const each of walk(cgroup)) {
    for (const pid of tryListPids(each)) {
      if (protectedPids.has(pid)) continue;
      if (++checked > MAX_PROCESSES_CHECKED) return refused;
      try {
        using pidfd = openPidfd(pid);
        if (pidfd && signalPidfd(pidfd, 0)) return undefined;
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error;
        refused = `${error.call} ${pid}: ${error.code}`;
      }
    }
  }
  return refused;
}

/** What limits a guard that kills there. */
export function permissionWarnings(
  { cgroup, limitOwner, settings: { mode }, policy: { protectedPids } }: GuardedCgroup,
): Fallback[] {
  const { own } = cgroup.hierarchy;
  const warnings: Fallback[] = [];
  if (mode === "throttle" && own !== undefined && isInSubtree(own, limitOwner.path)) {
    warnings.push({
      requested: "guard outside the throttled cgroup",
      fallback: "guard inside it",
      reason: "oomkit runs in the cgroup and is throttled too when it needs memory",
    });
  }
  const reason = signalDenied(cgroup, protectedPids);
  if (reason) warnings.push({ requested: "kill processes", fallback: "none", reason });
  return warnings;
}
