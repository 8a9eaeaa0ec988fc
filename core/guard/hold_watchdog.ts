/** Under `hold` nobody dies by the kernel's hand, so that nobody goes on unless the guard does something. */

import { readControl } from "../cgroup/cgroup.ts";
import type { Entry } from "./roster.ts";

/**
 * @param timeout milliseconds that allocators may wait.
 * @param letLoose called for a cgroup in which they have waited longer.
 * @returns to be called again and again.
 */
export function createHoldWatchdog(
  timeout: number,
  letLoose: (entry: Entry, reason: string) => void,
): (entries: readonly Entry[]) => void {
  const waitingSince = new Map<number, number>();
  return (entries) => {
    const now = performance.now();
    for (const entry of entries.filter(({ terms }) => terms.mode === "hold")) {
      const { id } = entry;
      const since = waitingSince.get(id);
      if (!isWaiting(entry)) waitingSince.delete(id);
      else if (since === undefined) waitingSince.set(id, now);
      else if (now - since > timeout) {
        waitingSince.delete(id);
        letLoose(entry, `its allocators have been waiting for more than ${timeout} ms`);
      }
    }
  };
}

function isWaiting({ measured }: Entry): boolean {
  return /^under_oom 1$/m.test(readControl(measured, "memory.oom_control") ?? "");
}
