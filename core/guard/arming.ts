/** The kernel's notifications for a guarded cgroup: usage thresholds, on v1. */

import { type Cgroup, isThere } from "../cgroup/cgroup.ts";
import type { EpollSet } from "../kernel/epoll.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { type LevelBytes, notificationThreshold } from "../policy/bounds.ts";
import { armAsync } from "../watch/arm.ts";
import { reasonOf, shortageOf } from "../watch/describe.ts";

export interface ArmedEventfd {
  readonly token: number;
  disarm(): void;
  /** It tells that the kernel reclaims, which concerns only who is full of page cache. */
  readonly isHint: boolean;
}

/** Cgroups at once; each takes a thread. */
const AT_ONCE = 16;

/**
 * @param refuse told why a threshold cannot be notified.
 * @returns arms one cgroup; resolves to nothing where the kernel has no such notifications, or refuses them.
 */
export function createArming(
  epoll: EpollSet,
  reportFallback: (cgroup: Cgroup, requested: string, fallback: string, reason: string) => void,
): (cgroup: Cgroup, levelBytes: LevelBytes, kills: boolean) => Promise<ArmedEventfd[]> {
  let nextToken = 1;
  let underway = 0;
  let isShort = false;
  const waiting: (() => void)[] = [];

  const armOne = async (
    cgroup: Cgroup,
    trigger: Parameters<typeof armAsync>[1],
  ): Promise<ArmedEventfd[]> => {
    const token = nextToken++;
    const isHint = trigger.tells === "pressure";
    try {
      const { disarm } = await armAsync(cgroup, trigger, token, { epoll });
      return [{ token, disarm, isHint }];
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      // Of one there are thousands to follow.
      const isKnown = isShort;
      isShort ||= shortageOf(error) !== undefined;
      if (!isHint && !isKnown && isThere(cgroup)) {
        reportFallback(cgroup, "a notification at the threshold", "a poll", reasonOf(error));
      }
      return [];
    }
  };

  return async (cgroup, { warn, critical, imminent }, kills) => {
    const { version } = cgroup.hierarchy;
    if (!version.notifiesThresholds) return [];
    if (underway >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
    underway += 1;
    try {
      const early = kills ? [notificationThreshold(imminent, navigator.hardwareConcurrency)] : [];
      const thresholds = [...new Set([imminent, ...early, critical, warn])];
      const pressure = kills ? [{ level: "low", mode: "local" } as const] : [];
      const triggers = version.triggers({ thresholds, pressure, psi: [] }).flatMap((trigger) =>
        trigger.kind === "eventfd" && trigger.tells !== "oom" ? [trigger] : []
      );
      const all: ArmedEventfd[] = [];
      // One after the other: of those that are registered at once for one cgroup some stay silent (measured on 6.18).
      for (const trigger of triggers) all.push(...await armOne(cgroup, trigger));
      return all;
    } finally {
      underway -= 1;
      waiting.shift()?.();
    }
  };
}
