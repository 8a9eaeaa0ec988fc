/**
 * The process that measures how responsive a machine stays while it is filled: it sleeps for 1 ms again and again. Its memory is not
 * locked, so that a pause includes the wait for its own pages, as for any program.
 */

import { MACHINE_FILES, readMachineUsage } from "../cgroup/machine.ts";
import { writeControl } from "../control/write.ts";
import { EPOLLIN, openEpoll } from "../kernel/epoll.ts";
import { borrowFd } from "../kernel/fd.ts";
import { uptimeMicroseconds } from "../kernel/clock.ts";
import { dieWithParent } from "../kernel/process.ts";

const SIGKILL = 9;
const TICK_MS = 1;
/** The first reads load and compile code. */
const WARM_UP_TICKS = 300;
/** A fast process fills 25 MiB in this time: core/policy/poll_interval.ts. */
const US_BETWEEN_READS = 10_000;

/** What it prints; the times are between two ticks. */
export interface Ticks {
  readonly ticks: number;
  readonly longest_pause_ms: number;
  /** The lowest MemAvailable that was read, less huge pages: bytes; `null` where it is unknown. */
  readonly available_min: number | null;
}

/** Runs in the child process: prints `ready`, ticks until stdin ends, and prints {@link Ticks}. */
export function tick(): void {
  dieWithParent(SIGKILL);
  writeControl("/proc/self/oom_score_adj", "-1000");
  const set = openEpoll();
  set.add(borrowFd(0, "stdin"), EPOLLIN, 0);
  let available = Infinity;
  let longest = 0;
  let count = 0;
  let readAt = 0;
  for (let last = uptimeMicroseconds();; count++) {
    const isOver = set.block(TICK_MS).events.length > 0;
    const now = uptimeMicroseconds();
    if (count === WARM_UP_TICKS) print("ready");
    if (count > WARM_UP_TICKS) longest = Math.max(longest, now - last);
    last = now;
    if (isOver) break;
    if (now - readAt < US_BETWEEN_READS) continue;
    readAt = now;
    const machine = readMachineUsage(MACHINE_FILES);
    if (machine) available = Math.min(available, machine.limit - machine.usage);
  }
  set.close();
  const ticks: Ticks = {
    ticks: Math.max(0, count - WARM_UP_TICKS),
    longest_pause_ms: longest / 1000,
    available_min: available === Infinity ? null : available,
  };
  print(JSON.stringify(ticks));
}

const print = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

/** The parent's side. */
export class Ticker {
  readonly #child: Deno.ChildProcess;
  readonly #reader: ReadableStreamDefaultReader<string>;

  private constructor(program: readonly string[]) {
    const [command, ...words] = program;
    this.#child = new Deno.Command(command!, {
      args: [...words, "__tick"],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Returns when it ticks. @param program the words that start this program. */
  static async start(program: readonly string[]): Promise<Ticker> {
    const ticker = new Ticker(program);
    await ticker.#reader.read();
    return ticker;
  }

  /** Ends it. `undefined` where it was killed. */
  async stop(): Promise<Ticks | undefined> {
    await this.#child.stdin.close().catch(() => {});
    let text = "";
    for (let each = await this.#reader.read(); !each.done; each = await this.#reader.read()) {
      text += each.value;
    }
    await this.#child.status;
    return text.endsWith("}\n") ? JSON.parse(text) : undefined;
  }
}
