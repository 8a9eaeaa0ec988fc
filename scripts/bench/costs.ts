/** Costs of a running process: memory, CPU time and descriptors, from /proc; and allocations on this process's own heap. */

import { tryReadText } from "../../core/cgroup/files.ts";
import { delay } from "../../core/timing.ts";
import { figure, summarize } from "./statistics.ts";

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

/** Resident bytes: /proc/PID/status may be wrong by 64 pages for each thread (mm/memory.c, SPLIT_RSS_COUNTING). */
export const exactResident = (pid: number): number =>
  1024 *
  Number(/^Rss:\s+(\d+) kB/m.exec(Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`))?.[1]);

/** The unit of /proc on every architecture (kernel: USER_HZ). */
const TICKS_PER_SECOND = 100;

/** User and system time of all threads, exited ones included: proc(5), fields 14 and 15. */
export function cpuSeconds(pid: number): number {
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

/** Aims of the CPU time at rest, in percent of a core, up to so many cgroups. */
export const REST_TARGETS: ReadonlyMap<number, number> = new Map([
  [0, 0.02],
  [30, 0.1],
  [1000, 0.3],
]);

/** The threads of one kind during some time. */
interface ThreadRest {
  readonly name: string;
  /** Times a second that one slept and woke up: proc(5), voluntary_ctxt_switches. */
  readonly wakes: number;
  /** Milliseconds a minute. */
  readonly cpuMs: number;
}

export interface Rest {
  /** Percent of a core. */
  readonly share: number;
  readonly threads: readonly ThreadRest[];
}

export const restText = ({ threads }: Rest): string =>
  threads.map(({ name, wakes, cpuMs }) =>
    `${name} ${figure(wakes)} wakes/s, ${figure(cpuMs)} ms of CPU a minute`
  ).join("; ");

/** What the threads of a process do during the next `ms` milliseconds; those that end meanwhile are left out. */
export async function restOf(pid: number, ms: number): Promise<Rest> {
  const before = threadTimesOf(pid);
  const began = performance.now();
  await delay(ms);
  const minutes = (performance.now() - began) / 60_000;
  const byName = new Map<string, { wakes: number; cpuMs: number }>();
  for (const [id, { name, wakes, nanoseconds }] of threadTimesOf(pid)) {
    const earlier = before.get(id);
    const sum = byName.get(name) ?? { wakes: 0, cpuMs: 0 };
    sum.wakes += wakes - (earlier?.wakes ?? 0);
    sum.cpuMs += (nanoseconds - (earlier?.nanoseconds ?? 0)) / 1e6;
    byName.set(name, sum);
  }
  const threads = [...byName].map(([name, { wakes, cpuMs }]) => ({
    name,
    wakes: wakes / 60 / minutes,
    cpuMs: cpuMs / minutes,
  }));
  const cpuMs = threads.reduce((sum, thread) => sum + thread.cpuMs, 0);
  return { share: cpuMs / 600, threads };
}

interface ThreadTimes {
  readonly name: string;
  readonly wakes: number;
  /** On a CPU: kernel, Documentation/scheduler/sched-stats.rst. */
  readonly nanoseconds: number;
}

/** By thread id. */
function threadTimesOf(pid: number): Map<string, ThreadTimes> {
  const threads = new Map<string, ThreadTimes>();
  for (const { name: id } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const read = (file: string) => tryReadText(`/proc/${pid}/task/${id}/${file}`) ?? "";
    const wakes = Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(read("status"))?.[1] ?? 0);
    const nanoseconds = Number(read("schedstat").split(" ")[0]);
    const name = Number(id) === pid ? "main thread" : threadName(read("comm").trim());
    threads.set(id, { name, wakes, nanoseconds });
  }
  return threads;
}

/** The names are those of Deno, its asynchronous runtime and V8. */
function threadName(comm: string): string {
  if (comm.startsWith("worker-")) return "Worker";
  if (comm.startsWith("V8")) return "helper threads of V8";
  return comm.startsWith("tokio") ? "threads for blocking calls" : "other threads";
}

/** V8 compiles hot code in background threads; code that is not compiled yet allocates more. */
const ROUNDS = 5;

/**
 * Bytes that each run of `action` allocates on V8's heap in steady state, whether or not they are collected in between: the
 * average rise from one run to the next, in the median of several rounds: other work of the runtime falls into some of them. A run with a
 * garbage collection counts as 0; with little garbage that is rare.
 */
export function allocatedBy(action: () => void, runs: number): number {
  const rounds = Array.from({ length: ROUNDS }, () => ({
    all: rises(action, runs),
    idle: rises(() => {}, runs),
  }));
  const median = (values: readonly number[]) => summarize(values).median;
  const all = median(rounds.map((round) => round.all));
  return Math.max(0, all - median(rounds.map(({ idle }) => idle))) / runs;
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
