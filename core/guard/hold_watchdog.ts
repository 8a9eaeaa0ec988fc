/** Under `hold` nobody dies by the kernel's hand, so that nobody goes on unless the guard does something. */

import { readControl } from "../cgroup/cgroup.ts";
import type { GuardedCgroup } from "./roster.ts";

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
