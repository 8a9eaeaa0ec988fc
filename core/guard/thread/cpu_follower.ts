/**
 * Pins the monitor thread to the allocator's CPU. The kernel signals the eventfd there, and a SCHED_FIFO sleeper preempts the
 * allocator immediately, so that nothing more is allocated until the kill. Another CPU takes an interrupt, and in a virtual
 * machine, when the host has given that CPU to another guest, milliseconds (docs/performance.md).
 */

import { tryOpenControlFile } from "../../kernel/control_file.ts";
import { hasCpu, mainCpus, oneCpu, setAffinity } from "../../kernel/scheduling.ts";
import { parsePlacing } from "../../parse/procfs.ts";

/** A move reads /proc/PID/stat and changes the affinity (milliseconds, an estimate). */
const MIN_MS_BETWEEN_MOVES = 1;
/** The thread leaves the CPU when no process was followed for this long (milliseconds, an estimate). */
const MAX_MS_SINCE_FOLLOW = 100;

export class CpuFollower {
  #pinnedTo: number | undefined;
  #followedAt = -Infinity;

  /** Whether this thread is pinned to the CPU of a process that it followed. */
  get sharesCpu(): boolean {
    return this.#pinnedTo !== undefined;
  }

  /** Moves to the CPU on which the main thread of `pid` ran last. */
  follow(pid: number, now: number): void {
    if (now - this.#followedAt < MIN_MS_BETWEEN_MOVES) return;
    this.#followedAt = now;
    using stat = tryOpenControlFile(`/proc/${pid}/stat`);
    const placing = parsePlacing(stat?.text() ?? "");
    // A process with real-time priority would not be preempted.
    if (placing === undefined || placing.isRealtime) return;
    const { cpu } = placing;
    if (cpu === this.#pinnedTo) return;
    const cpus = mainCpus();
    if (cpus !== undefined && hasCpu(cpus, cpu) && setAffinity(oneCpu(cpu))) this.#pinnedTo = cpu;
  }

  /** Returns to all CPUs on which the main thread may run. */
  leave(): void {
    if (this.#pinnedTo === undefined) return;
    this.#pinnedTo = undefined;
    // Read it now: a change of the cpuset does not reach a thread that is pinned.
    const cpus = mainCpus();
    if (cpus !== undefined) setAffinity(cpus);
  }

  /** Leaves when no process was followed for {@link MAX_MS_SINCE_FOLLOW}, whatever else is polled. */
  releaseIfIdle(now: number): void {
    if (now - this.#followedAt > MAX_MS_SINCE_FOLLOW) this.leave();
  }
}
