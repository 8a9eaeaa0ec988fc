/** From the lines of the allocators to the few steps that are told. */

import { microseconds } from "../kernel/clock.ts";
import type { Progress } from "./allocation.ts";
import { createCoalescer } from "./coalesce.ts";
import { clock, type OnUsage, type SimulationBody } from "./event.ts";

export interface UsageHistory {
  evaluateLevels(pid: number, progress: Progress): void;
  /** Tells of the last step of a process, where it has not been told. */
  conclude(pid: number): void;
  /** Milliseconds since the epoch, by the clock of the watch: when the first allocator moved in, and the last sign of life. */
  readonly began: number | undefined;
  readonly last: number | undefined;
}

/** @param scale bytes that are the whole. */
export function createUsageHistory(
  scale: number,
  say: (at: number, body: SimulationBody) => void,
  see: OnUsage = () => {},
): UsageHistory {
  // The runtime's clock starts at a whole millisecond of the wall clock and is not set with it.
  const skew = microseconds() / 1000 - clock();
  const isNews = createCoalescer(scale);
  const untold = new Map<number, () => void>();
  let toldUsage = 0;
  let began: number | undefined;
  let last: number | undefined;

  const evaluateLevels = (pid: number, progress: Progress) => {
    const at = progress.at / 1000 - skew;
    if ("usage" in progress && progress.usage !== undefined) see(at, progress.usage);
    switch (progress.what) {
      case "ready":
        return;
      case "allocator_started":
        began = Math.min(began ?? at, at);
        return say(at, { type: "allocator_started", pid, usage: progress.usage ?? null });
      case "used": {
        // Each pipe is read for itself: what one process tells may be older than what another has told already.
        const isStale = last !== undefined && at < last;
        last = Math.max(last ?? at, at);
        const { allocated, usage = null } = progress;
        const size = usage ?? allocated;
        const isRow = !isStale && isNews(size);
        // The last step of all tells how far it came, unless a row has told nearly the same.
        if (!isRow && Math.abs(size - toldUsage) < scale / 64) return void untold.delete(pid);
        untold.set(pid, () => {
          toldUsage = size;
          say(at, { type: "step", pid, allocated, usage });
        });
        if (isRow) conclude(pid);
        return;
      }
      case "signal":
        return say(at, { type: "signal", pid, signal: progress.signal });
      case "done":
        conclude(pid);
        return say(at, { type: "finished", pid, reason: progress.why });
    }
  };
  const conclude = (pid: number) => {
    untold.get(pid)?.();
    untold.delete(pid);
  };
  return {
    evaluateLevels,
    conclude,
    get began() {
      return began;
    },
    get last() {
      return last;
    },
  };
}
