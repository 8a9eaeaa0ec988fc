/** From the kernel's notification to the event: inside the program, and at a reader of its output. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { microseconds } from "../../core/kernel/clock.ts";
import { EPOLLIN, openEpoll } from "../../core/kernel/epoll.ts";
import { openEventfd, signalEventfd, takeEventfd } from "../../core/kernel/fd.ts";
import { startEcho } from "./echo.ts";
import { createBenchCgroup, makeChildren } from "./cgroups.ts";
import { type Measured, type Row, summarize } from "./statistics.ts";
import { startWatch } from "./watching.ts";

const SIGNALS = 1000;
const WRITES = 200;
/** Milliseconds between two: the waiter must wait again, and kernfs notifies a file at most once in 10 ms. */
const PAUSE = 30;

export async function latency(): Promise<Measured> {
  const [cgroup] = makeChildren(createBenchCgroup(), 1);
  const floor = await echoed();
  const posted = await postEchoed();
  const woken = await signalled();
  const { told, read } = await limitChanged(cgroup!);
  const row = (what: string, times: number[], remark: string): Row => ({
    what,
    summary: summarize(times),
    remark,
  });
  const times = (own: number[]) => `${(medianOf(own) / medianOf(floor)).toFixed(2)} × the floor`;
  const rows = [
    row("eventfd → a thread that blocks, half an echo", floor, "the floor: FFI without oomkit"),
    row("postMessage → a thread, half an echo", posted, `the naive way, ${times(posted)}`),
    row("eventfd signalled → waiter runs", woken, `core/kernel/epoll.ts, ${times(woken)}`),
    row("limit written → ts of limit_changed", told, "oomkit watch --json, inotify"),
    row("limit written → line at the reader", read, "through a pipe"),
  ];
  return { tables: [{ title: "notification to event", unit: "µs", rows }], lines: [] };
}

const medianOf = (times: number[]) => summarize(times).median;

/** Half of a round trip in microseconds: the other thread only waits and answers. */
async function echoed(): Promise<number[]> {
  await using echo = await startEcho();
  const times: number[] = [];
  for (let n = -20; n < SIGNALS; n++) {
    await pause(2);
    const time = echo.roundTrip() / 2;
    if (n >= 0) times.push(time);
  }
  return times;
}

/** The same by Deno's messages between threads. */
async function postEchoed(): Promise<number[]> {
  await using echo = await startEcho();
  const times: number[] = [];
  for (let n = -20; n < SIGNALS; n++) {
    await pause(2);
    const time = await echo.postedRoundTrip() / 2;
    if (n >= 0) times.push(time);
  }
  return times;
}

/** Microseconds within one process: the wait is in another thread, as in production. */
async function signalled(): Promise<number[]> {
  using epoll = openEpoll();
  using eventfd = openEventfd();
  epoll.add(eventfd, EPOLLIN, 1);
  const times: number[] = [];
  for (let n = -20; n < SIGNALS; n++) {
    const waiting = epoll.wait();
    await pause(2);
    const start = performance.now();
    signalEventfd(eventfd);
    await waiting;
    if (n >= 0) times.push(1000 * (performance.now() - start));
    takeEventfd(eventfd);
  }
  return times;
}

/** Microseconds from just before the write, by the wall clock, since two processes take part. */
async function limitChanged(cgroup: Cgroup): Promise<{ told: number[]; read: number[] }> {
  const file = `${cgroup.dir}/${cgroup.hierarchy.version.limitFile}`;
  const limits = [64, 65].map((mebibytes) => mebibytes * 1024 ** 2);
  const told: number[] = [];
  const read: number[] = [];
  await using watch = await startWatch([cgroup.path]);
  for (let n = -5; n < WRITES; n++) {
    await pause(PAUSE);
    const start = microseconds();
    Deno.writeTextFileSync(file, String(limits[Math.abs(n) % 2]));
    const { line, at } = await watch.nextLine();
    const event = JSON.parse(line);
    if (event.type !== "limit_changed") throw new Error(`expected limit_changed, got ${line}`);
    if (n < 0) continue;
    told.push(microsecondsOf(event.ts) - start);
    read.push(at - start);
  }
  return { told, read };
}

/** Microseconds since the epoch of an RFC 3339 time with up to six decimals. */
function microsecondsOf(timestamp: string): number {
  const [, seconds = "", fraction = ""] = /^(.*:\d\d)(?:\.(\d+))?Z$/.exec(timestamp) ?? [];
  return Date.parse(`${seconds}Z`) * 1000 + Number(fraction.padEnd(6, "0"));
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
