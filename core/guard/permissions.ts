/** Asked before it matters: whether a guard could do what it is there for. */

import { pidsIn } from "../control/kill.ts";
import { type Cgroup, tryReadControl, walk } from "../cgroup/cgroup.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd, signalPidfd } from "../kernel/process.ts";
import type { GuardedCgroup } from "./registry.ts";
import { isInSubtree } from "../cgroup_path.ts";

/** Enough to know; in a crowd they are of the same user. */
const ASKED = 20;

/**
 * Why none of the processes in a cgroup may be signalled; `undefined` when one may, or when there is none that could be asked.
 */
export function signalDenied(
  cgroup: Cgroup,
  protectedPids: ReadonlySet<number>,
): string | undefined {
  let refused: string | undefined;
  let asked = 0;
  for (const each of walk(cgroup)) {
    for (const pid of pidsIn(tryReadControl(each, "cgroup.procs") ?? "")) {
      if (protectedPids.has(pid)) continue;
      if (++asked > ASKED) return refused;
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

/** What may keep a guard from its work there: what is wanted, what it is instead, and why. */
export function permissionWarnings(
  { cgroup, limitOwner, settings: { mode }, policy: { protectedPids } }: GuardedCgroup,
): [string, string, string][] {
  const { own } = cgroup.hierarchy;
  const isInside = mode === "throttle" && own !== undefined && isInSubtree(own, limitOwner.path);
  const slowed = "oomkit runs in it, and is slowed down as well when it needs memory itself";
  const refused = signalDenied(cgroup, protectedPids);
  return [
    ...isInside
      ? [["a guard from outside", "one from within", slowed] as [string, string, string]]
      : [],
    ...refused ? [["to end its processes", "nothing", refused] as [string, string, string]] : [],
  ];
}
