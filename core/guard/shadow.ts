/**
 * Where the sentry waits. The kernel tells of a crossing on the CPU of who crosses it: a thread with SCHED_FIFO that sleeps
 * there is put in the allocator's place at once, so that nothing more is taken while it looks and strikes. To another CPU it
 * takes an interrupt, and in a virtual machine whose host has lent that CPU to somebody else milliseconds (docs/performance.md).
 */

import { peekKept } from "../kernel/kept_file.ts";
import { hasCpu, mainCpus, oneCpu, runOn } from "../kernel/scheduling.ts";
import { parsePlacing } from "../parse/proc_stat.ts";

export interface Shadow {
  /** Whether this thread shares the CPU of somebody whom it followed. */
  readonly isBeside: boolean;
  /** Goes where the main thread of `pid` ran last, unless that was asked within the last millisecond. */
  follow(pid: number, now: number): void;
  /** May run again where the main thread may. */
  leave(): void;
  /** Leaves when nobody was to be followed for a while, whatever else there is to look at. */
  tire(now: number): void;
}

const FOLLOW_MS = 1;
/** Whoever is at the limit sooner than this, as fast as he was of late, is followed (milliseconds). */
export const FOLLOWED_MS = 100;

export function createShadow(): Shadow {
  let cpu: number | undefined;
  let followedAt = -Infinity;
  const leave = () => {
    if (cpu === undefined) return;
    cpu = undefined;
    // As it is now: what a cpuset has gained or lost since does not reach a thread that was sent to a CPU.
    const home = mainCpus();
    if (home !== undefined) runOn(home);
  };
  return {
    get isBeside() {
      return cpu !== undefined;
    },
    follow(pid, now) {
      if (now - followedAt < FOLLOW_MS) return;
      followedAt = now;
      using stat = peekKept(`/proc/${pid}/stat`);
      const placing = parsePlacing(stat?.text() ?? "");
      // One with a priority like this thread's would not make room.
      if (placing === undefined || placing.isRealtime) return;
      const there = placing.cpu;
      if (there === cpu) return;
      const home = mainCpus();
      if (home !== undefined && hasCpu(home, there) && runOn(oneCpu(there))) cpu = there;
    },
    leave,
    tire: (now) => now - followedAt > FOLLOWED_MS && leave(),
  };
}

/** For a thread without SCHED_FIFO, which would have to share the allocator's CPU with it. */
export const noShadow: Shadow = { isBeside: false, follow() {}, leave() {}, tire() {} };
