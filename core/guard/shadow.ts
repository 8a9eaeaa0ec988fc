/**
 * Where the sentry waits. The kernel tells of a crossing on the CPU of who crosses it: a thread with SCHED_FIFO that sleeps
 * there is put in the allocator's place at once, so that nothing more is taken while it looks and strikes. To another CPU it
 * takes an interrupt, and in a virtual machine whose host has lent that CPU to somebody else milliseconds (docs/performance.md).
 */

import { peekKept } from "../kernel/kept_file.ts";
import { type CpuSet, hasCpu, oneCpu, ownCpus, runOn } from "../kernel/scheduling.ts";
import { parsePlacing } from "../parse/proc_stat.ts";

export interface Shadow {
  /** Whether this thread shares the CPU of somebody whom it followed. */
  readonly isBeside: boolean;
  /** Goes where the main thread of `pid` ran last, unless that was asked within the last millisecond. */
  follow(pid: number, now: number): void;
  /** May run again where it might before. */
  leave(): void;
}

const FOLLOW_MS = 1;

export function createShadow(): Shadow {
  let before: CpuSet | undefined;
  let cpu: number | undefined;
  let followedAt = -Infinity;
  return {
    get isBeside() {
      return before !== undefined;
    },
    follow(pid, now) {
      if (now - followedAt < FOLLOW_MS) return;
      followedAt = now;
      using stat = peekKept(`/proc/${pid}/stat`);
      const placing = parsePlacing(stat?.text() ?? "");
      // One with a priority like this thread's would not make room.
      if (placing === undefined || placing.isRealtime) return;
      const there = placing.cpu;
      if (before !== undefined && there === cpu) return;
      // Asked each time: whoever runs this program may have changed it.
      const own = before ?? ownCpus();
      if (own === undefined || !hasCpu(own, there) || !runOn(oneCpu(there))) return;
      before = own;
      cpu = there;
    },
    leave() {
      if (before === undefined) return;
      runOn(before);
      before = undefined;
    },
  };
}

/** For a thread without SCHED_FIFO, which would have to share the allocator's CPU with it. */
export const noShadow: Shadow = { isBeside: false, follow() {}, leave() {} };
