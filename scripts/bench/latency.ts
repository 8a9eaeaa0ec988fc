/** From the kernel's notification to the event: inside the program, and at a reader of its output. */

import type { Cgroup } from "../../core/cgroup/cgroup.ts";
import { microseconds } from "../../core/kernel/clock.ts";
import { EPOLLIN, openEpoll } from "../../core/kernel/epoll.ts";
import { openEventfd, signalEventfd, takeEventfd } from "../../core/kernel/fd.ts";
import { delay } from "../../core/timing.ts";
import { MIB, setLimit } from "../cgroups.ts";
import { createBenchCgroup, makeChildren } from "./cleanup.ts";
import { startWatch } from "./programs.ts";
import { type Measured, row, summarize } from "./statistics.ts";

const SIGNALS = 1000;
const WRITES = 200;
/** Milliseconds between two: the waiter must wait again, and kernfs notifies a file at most once in 10 ms. */
const PAUSE = 30;

export async function latency(): Promise<Measured> {
  const [cgroup] = makeChildren(createBenchCgroup(), 1);
  const floor = await echoed((echo) => echo.roundTrip());
  const posted = await echoed((echo) => echo.postedRoundTrip());
  const woken = await signalled();
  const { emitted, read } = await limitChanged(cgroup!);
  const medianOf = (times: number[]) => summarize(times).median;
  const times = (own: number[]) => `${(medianOf(own) / medianOf(floor)).toFixed(2)} × the floor`;
  const rows = [
    row("eventfd → a thread that blocks, half an echo", floor, "the floor: FFI without oomkit"),
    row("postMessage → a thread, half an echo", posted, `the naive way, ${times(posted)}`),
    row("eventfd signalled → waiter runs", woken, `core/kernel/epoll.ts, ${times(woken)}`),
    row("limit written → ts of limit_changed", emitted, "oomkit watch --json, inotify"),
    row("limit written → line at the reader", read, "through a pipe"),
  ];
  return { tables: [{ title: "notification to event", unit: "µs", rows }], lines: [] };
}

/** Half of a round trip in microseconds: the other thread only waits and answers. */
async function echoed(roundTrip: (echo: Echo) => number | Promise<number>): Promise<number[]> {
  await using echo = new Echo();
  await echo.start();
  const times: number[] = [];
  for (let n = -20; n < SIGNALS; n++) {
    await delay(2);
    const time = await roundTrip(echo) / 2;
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
    await delay(2);
    const start = performance.now();
    signalEventfd(eventfd);
    await waiting;
    if (n >= 0) times.push(1000 * (performance.now() - start));
    takeEventfd(eventfd);
  }
  return times;
}

/** Microseconds from just before the write, by the wall clock, since two processes take part. */
async function limitChanged(cgroup: Cgroup): Promise<{ emitted: number[]; read: number[] }> {
  const emitted: number[] = [];
  const read: number[] = [];
  await using watch = await startWatch([cgroup.path]);
  for (let n = -5; n < WRITES; n++) {
    await delay(PAUSE);
    const start = microseconds();
    setLimit(cgroup, (64 + Math.abs(n) % 2) * MIB);
    const { line, at } = await watch.nextLine();
    const event = JSON.parse(line);
    if (event.type !== "limit_changed") throw new Error(`expected limit_changed, got ${line}`);
    if (n < 0) continue;
    emitted.push(microsecondsOf(event.ts) - start);
    read.push(at - start);
  }
  return { emitted, read };
}

/** Microseconds since the epoch of an RFC 3339 time with up to six decimals. */
function microsecondsOf(timestamp: string): number {
  const [, seconds = "", fraction = ""] = /^(.*:\d\d)(?:\.(\d+))?Z$/.exec(timestamp) ?? [];
  return Date.parse(`${seconds}Z`) * 1000 + Number(fraction.padEnd(6, "0"));
}

const symbols = {
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The thread blocks only on request, since a blocked thread receives no messages. */
const SCRIPT = `
const { write, read, poll } = Deno.dlopen("libc.so.6", ${JSON.stringify(symbols)}).symbols;
const one = new BigUint64Array([1n]);
const taken = new BigUint64Array(1);
self.onmessage = ({ data }) => {
  if (data === "echo") return self.postMessage(data);
  const waiting = new Int32Array([data.there, 1]);
  for (self.postMessage("ready");;) {
    poll(waiting, 1n, -1);
    read(data.there, taken, 8n);
    if (taken[0] > 1n) break;
    write(data.back, one, 8n);
  }
};`;

/** A count above 1 asks the thread to stop blocking. */
const END = new BigUint64Array([2n]);
const ONE = new BigUint64Array([1n]);

/** The floor for waking another thread, through the same FFI: an eventfd there and another one back. */
class Echo implements AsyncDisposable {
  readonly #library = Deno.dlopen("libc.so.6", symbols);
  readonly #there = openEventfd();
  readonly #back = openEventfd();
  readonly #waiting = new Int32Array([this.#back.number, 1]);
  readonly #worker = new Worker(`data:text/javascript,${encodeURIComponent(SCRIPT)}`, {
    type: "module",
  });
  #isBlocking = false;

  /** The thread blocks from now on. */
  async start(): Promise<void> {
    await this.#answerTo({ there: this.#there.number, back: this.#back.number });
    this.#isBlocking = true;
  }

  /** Microseconds until an eventfd is answered; both threads block in poll(2). */
  roundTrip(): number {
    const { write, poll, read } = this.#library.symbols;
    const start = performance.now();
    write(this.#there.number, ONE, 8n);
    poll(this.#waiting, 1n, -1);
    const time = 1000 * (performance.now() - start);
    read(this.#back.number, new BigUint64Array(1), 8n);
    return time;
  }

  /** The same by `postMessage`. */
  async postedRoundTrip(): Promise<number> {
    this.#unblock();
    const start = performance.now();
    await this.#answerTo("echo");
    return 1000 * (performance.now() - start);
  }

  #answerTo(message: unknown): Promise<void> {
    const answered = new Promise<void>((resolve) => this.#worker.onmessage = () => resolve());
    this.#worker.postMessage(message);
    return answered;
  }

  #unblock(): void {
    if (this.#isBlocking) this.#library.symbols.write(this.#there.number, END, 8n);
    this.#isBlocking = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unblock();
    await this.#answerTo("echo");
    this.#worker.terminate();
    this.#library.close();
    this.#there.close();
    this.#back.close();
  }
}
