/**
 * Where the sentry waits. The kernel tells of a crossing on the CPU of who crosses it: a thread with SCHED_FIFO that sleeps
 * there is put in the allocator's place at once, so that nothing more is taken while it looks and strikes. To another CPU it
 * takes an interrupt, and in a virtual machine whose host has lent that CPU to somebody else milliseconds (docs/performance.md).
 */

import { tryOpenControlFile } from "../../kernel/control_file.ts";
import { hasCpu, mainCpus, oneCpu, setAffinity } from "../../kernel/scheduling.ts";
import { parsePlacing } from "../../parse/procfs.ts";

export interface CpuFollower {
  /** Whether this thread shares the CPU of somebody whom it followed. */
  readonly sharesCpu: boolean;
  /** Goes where the main thread of `pid` ran last, unless that was asked within the last millisecond. */
  follow(pid: number, now: number): void;
  /** May run again where the main thread may. */
  leave(): void;
  /** Leaves when nobody was to be followed for a while, whatever else there is to look at. */
  releaseIfIdle(now: number): void;
}

const FOLLOW_MS = 1;
/** Whoever is at the limit sooner than this, as fast as he was of late, is followed (milliseconds). */
export const MAX_MS_TO_LIMIT_TO_FOLLOW = 100;

export function createCpuFollower(): CpuFollower {
  let cpu: number | undefined;
  let followedAt = -Infinity;
  const leave = () => {
    if (cpu === undefined) return;
    cpu = undefined;
    // As it is now: what a cpuset has gained or lost since does not reach a thread that was sent to a CPU.
    const cgroupFd = mainCpus();
    if (cgroupFd !== undefined) setAffinity(cgroupFd);
  };
  return {
    get sharesCpu() {
      return cpu !== undefined;
    },
    follow(pid, now) {
      if (now - followedAt < FOLLOW_MS) return;
      followedAt = now;
      using stat = tryOpenControlFile(`/proc/${pid}/stat`);
      const placing = parsePlacing(stat?.text() ?? "");
      // One with a priority like this thread's would not make room.
      if (placing === undefined || placing.isRealtime) return;
      const there = placing.cpu;
      if (there === cpu) return;
      const cgroupFd = mainCpus();
      if (cgroupFd !== undefined && hasCpu(cgroupFd, there) && setAffinity(oneCpu(there))) {
        cpu = there;
      }
    },
    leave,
    releaseIfIdle: (now) => now - followedAt > MAX_MS_TO_LIMIT_TO_FOLLOW && leave(),
  };
}

/** For a thread without SCHED_FIFO, which would have to share the allocator's CPU with it. */
export const noCpuFollower: CpuFollower = {
  sharesCpu: false,
  follow() {},
  leave() {},
  releaseIfIdle() {},
};
