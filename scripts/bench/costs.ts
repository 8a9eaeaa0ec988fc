/** Costs of a running process: memory, CPU time and descriptors, from /proc; and allocations on this process's own heap. */

import { tryReadText } from "../../core/cgroup/files.ts";
import { delay } from "../../core/timing.ts";

export interface Costs {
  /** Anonymous and resident bytes: proc(5), RssAnon and VmRSS. */
  readonly anonymous: number;
  readonly resident: number;
  readonly descriptors: number;
  readonly epollEntries: number;
  readonly inotifyWatches: number;
}

export function costsOf(pid: number): Costs {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const bytes = (name: string) =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
  const descriptors = [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => name);
  // proc_pid_fdinfo(5): a line for each entry of an epoll set or inotify instance. A file may be closed since it was listed.
  const lines = descriptors.flatMap((fd) =>
    tryReadText(`/proc/${pid}/fdinfo/${fd}`)?.split("\n") ?? []
  );
  const count = (start: string) => lines.filter((line) => line.startsWith(start)).length;
  return {
    anonymous: bytes("RssAnon"),
    resident: bytes("VmRSS"),
    descriptors: descriptors.length,
    epollEntries: count("tfd:"),
    inotifyWatches: count("inotify wd:"),
  };
}

/** The unit of /proc on every architecture (kernel: USER_HZ). */
const TICKS_PER_SECOND = 100;

/** User and system time of all threads, exited ones included: proc(5), fields 14 and 15. */
function cpuSeconds(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Percent of a core during the next `ms` milliseconds. */
export async function cpuShare(pid: number, ms: number): Promise<number> {
  const before = cpuSeconds(pid);
  const began = performance.now();
  await delay(ms);
  return 100_000 * (cpuSeconds(pid) - before) / (performance.now() - began);
}

/** V8 compiles hot code in background threads; code that is not compiled yet allocates more. */
const ROUNDS = 5;

/**
 * Bytes that each run of `action` allocates on V8's heap in steady state, whether or not they are collected in between: the
 * average rise from one run to the next, in the best of several rounds. A run with a garbage collection counts as 0; with little
 * garbage that is rare.
 */
export function allocatedBy(action: () => void, runs: number): number {
  const each = Array.from({ length: ROUNDS }, () => rises(action, runs) - rises(() => {}, runs));
  return Math.max(0, Math.min(...each)) / runs;
}

function rises(action: () => void, runs: number): number {
  let sum = 0;
  let before = Deno.memoryUsage().heapUsed;
  for (let run = 0; run < runs; run++) {
    action();
    const after = Deno.memoryUsage().heapUsed;
    sum += Math.max(0, after - before);
    before = after;
  }
  return sum;
}
