/** How to be in time in one cgroup, and the change that it takes. */

import { type Cgroup, isThere, readControl, readSummary } from "../cgroup/cgroup.ts";
import type { Journal } from "../control/journal.ts";
import { OomkitError } from "../errors.ts";
import { type GuardPolicy, killLevel, type Mode } from "./policy.ts";
import type { GuardedCgroup } from "./registry.ts";
import { isInSubtree } from "../cgroup_path.ts";
import type { GuardedLimit } from "./targets.ts";

export interface Modes {
  /** What is asked for there. */
  requested(limit: GuardedLimit, policy: GuardPolicy): Mode;
  /** Changes the cgroup as `mode` asks for; the mode that it is in then. */
  settle(limitOwner: Cgroup, mode: Mode, imminent: number): Mode;
  /** False when somebody has undone what the mode needs, as systemd does when it is reloaded. */
  isAsSet(limitOwner: Cgroup, mode: Mode): boolean;
}

/** The kernel rounds to pages, of which these are the largest (arm64); so what is set is what is read. */
const PAGE = 65536;

export function createModes(
  journal: Journal,
  reportFallback: (cgroup: Cgroup, requested: string, fallback: string, reason: string) => void,
): Modes {
  /** Why it cannot be set up there. */
  const obstacle = (limitOwner: Cgroup, mode: Mode, imminent: number): string | undefined => {
    const { dir, inode, hierarchy: { own } } = limitOwner;
    if (mode === "hold" && own !== undefined && isInSubtree(own, limitOwner.path)) {
      return "oomkit runs in it, and would be held as well";
    }
    const file = fileOf(mode);
    const other = journal.holder(dir, file);
    if (other !== undefined) return `the guard with pid ${other} has changed ${file}`;
    if (mode === "throttle" && !journal.isOurs(dir, file)) {
      const high = readSummary(limitOwner)?.limits.high ?? Infinity;
      if (high <= imminent) return `its own memory.high of ${high} slows it down before`;
    }
    try {
      const value = mode === "hold" ? "1" : String(Math.floor(imminent / PAGE) * PAGE);
      const refused = journal.change(dir, inode, file, value);
      return refused === undefined ? undefined : `${dir}/${file}: ${refused}`;
    } catch (error) {
      // It cannot be recorded, and so must not be changed.
      if (error instanceof OomkitError) return error.message;
      throw error;
    }
  };

  return {
    requested({ limitOwner }, policy) {
      if (policy.dryRun) return "notify";
      if (policy.mode !== "auto") return policy.mode;
      const { canThrottle } = limitOwner.hierarchy.version;
      // Nothing is changed for what only tells; and the soft limit of v2 is the very file that it would take.
      const kills = killLevel(policy.actions) !== undefined;
      return canThrottle && kills && !policy.softLimit ? "throttle" : "notify";
    },
    settle(limitOwner, mode, imminent) {
      if (mode === "notify") return mode;
      const reason = obstacle(limitOwner, mode, imminent);
      if (reason === undefined) return mode;
      if (isThere(limitOwner)) reportFallback(limitOwner, mode, "notify", reason);
      return "notify";
    },
    isAsSet: ({ dir }, mode) => mode === "notify" || journal.isOurs(dir, fileOf(mode)),
  };
}

const fileOf = (mode: Mode) => mode === "throttle" ? "memory.high" : "memory.oom_control";

/* Under `hold` nobody dies by the kernel's hand, so that nobody goes on unless the guard does something. */

/**
 * @param timeout milliseconds that allocators may wait.
 * @param letLoose called for a cgroup in which they have waited longer.
 * @returns to be called again and again.
 */
export function createHoldWatchdog(
  timeout: number,
  reenableOomKiller: (guarded: GuardedCgroup, reason: string) => void,
): (entries: readonly GuardedCgroup[]) => void {
  const waitingSince = new Map<number, number>();
  return (entries) => {
    const now = performance.now();
    for (const guarded of entries.filter(({ settings }) => settings.mode === "hold")) {
      const { id } = guarded;
      const since = waitingSince.get(id);
      if (!isWaiting(guarded)) waitingSince.delete(id);
      else if (since === undefined) waitingSince.set(id, now);
      else if (now - since > timeout) {
        waitingSince.delete(id);
        reenableOomKiller(guarded, `its allocators have been waiting for more than ${timeout} ms`);
      }
    }
  };
}

function isWaiting({ limitOwner }: GuardedCgroup): boolean {
  return /^under_oom 1$/m.test(readControl(limitOwner, "memory.oom_control") ?? "");
}
