/**
 * The parent's side of an allocator: starts the process, reads its progress, waits for its exit; and the few steps of that progress
 * that are worth an event.
 */

import { microseconds } from "../kernel/clock.ts";
import type { Allocation } from "./allocator.ts";
import { parseProgress, type Progress } from "./allocator_protocol.ts";
import { clock, type OnUsage, type SimulationBody } from "./event.ts";

export interface AllocatorExit {
  readonly pid: number;
  /** As a shell reports it: 137 after SIGKILL. */
  readonly code: number;
  readonly signal: Deno.Signal | null;
  /** The last line on its stderr. */
  readonly errorText?: string;
}

export class AllocatorHandle {
  readonly #child: Deno.ChildProcess;
  readonly #ready = Promise.withResolvers<boolean>();
  readonly pid: number;
  /** Resolves to true when the process is warmed up and waits; to false when it exited instead. */
  readonly ready = this.#ready.promise;
  /** Resolves after all progress has been passed on. Rejects with what `onProgress` throws. */
  readonly exit: Promise<AllocatorExit>;

  /**
   * @param program the words that start this program.
   * @param onProgress called for each line, in order.
   */
  constructor(
    program: readonly string[],
    allocation: Allocation,
    onProgress: (pid: number, progress: Progress) => void,
  ) {
    const [command, ...words] = program;
    this.#child = new Deno.Command(command!, {
      args: [...words, "__allocate", JSON.stringify(allocation)],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.exit = this.#run(onProgress);
  }

  /** Lets the process move into its cgroup and allocate. */
  async begin(): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    // A process that is gone already is reported by `exit`.
    await writer.write(new TextEncoder().encode("go\n")).catch(() => {});
    writer.releaseLock();
  }

  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // Gone already.
    }
  }

  async #run(onProgress: (pid: number, progress: Progress) => void): Promise<AllocatorExit> {
    const { pid, stdin, stdout, stderr, status } = this.#child;
    const errorText = lastLine(stderr);
    // Not one after the other: what `onProgress` throws must end the simulation while the allocator still runs.
    const [{ code, signal }] = await Promise.all([status, this.#readProgress(stdout, onProgress)]);
    this.#ready.resolve(false);
    await stdin.close().catch(() => {});
    const last = await errorText;
    return { pid, code, signal, ...(last !== undefined && { errorText: last }) };
  }

  async #readProgress(
    stdout: ReadableStream<Uint8Array>,
    onProgress: (pid: number, progress: Progress) => void,
  ): Promise<void> {
    for await (const line of linesOf(stdout)) {
      const progress = parseProgress(line);
      if (progress === undefined) continue;
      onProgress(this.pid, progress);
      if (progress.type === "ready") this.#ready.resolve(true);
    }
  }
}

async function lastLine(stream: ReadableStream<Uint8Array>): Promise<string | undefined> {
  let last: string | undefined;
  for await (const line of linesOf(stream)) if (line !== "") last = line;
  return last;
}

/** Lines without their ends; what follows the last newline counts as one. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  // Not TextDecoderStream: its two additional queues cost more than the reading, and delay the watch on the same thread.
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}

/** On one screen; a 20 MiB run takes about 320 steps. */
const ROWS = 16;

/**
 * Returns whether usage has entered another sixteenth of `scale` (bytes), up or down, since this was last true. Pure but for
 * what it remembers.
 */
export function createStepFilter(scale: number): (usage: number) => boolean {
  let row = 0;
  return (usage) => {
    // Usage that wavers around a boundary is no news: it must fall halfway into the row below.
    const exact = usage / scale * ROWS;
    const moved = exact >= row + 1 || exact < row - 0.5;
    if (moved) row = Math.floor(exact);
    return moved;
  };
}

export class StepReporter {
  /** The runtime's clock starts at a whole millisecond of the wall clock and is not adjusted with it. */
  readonly #skew = microseconds() / 1000 - clock();
  readonly #isNews: (usage: number) => boolean;
  /** The last step of each process, until it is emitted. */
  readonly #pending = new Map<number, () => void>();
  #emittedUsage = 0;
  /** Milliseconds since the epoch, by the clock of the watch: when the first allocator moved in. */
  firstPageAt: number | undefined;
  /** Milliseconds since the epoch: when the last page was touched, as far as it was reported. */
  lastPageAt: number | undefined;

  /** @param scale the bytes that count as full. */
  constructor(
    private readonly scale: number,
    private readonly emit: (at: number, body: SimulationBody) => void,
    private readonly onUsage: OnUsage,
  ) {
    this.#isNews = createStepFilter(scale);
  }

  add(pid: number, progress: Progress): void {
    const at = progress.at / 1000 - this.#skew;
    if ("usage" in progress && progress.usage !== undefined) this.onUsage(at, progress.usage);
    switch (progress.type) {
      case "ready":
        return;
      case "allocator_started":
        this.firstPageAt = Math.min(this.firstPageAt ?? at, at);
        return this.emit(at, { type: "allocator_started", pid, usage: progress.usage ?? null });
      case "used":
        return this.#addStep(at, pid, progress.allocated, progress.usage ?? null);
      case "signal":
        return this.emit(at, { type: "signal", pid, signal: progress.signal });
      case "done":
        this.flush(pid);
        return this.emit(at, { type: "finished", pid, reason: progress.reason });
    }
  }

  #addStep(at: number, pid: number, allocated: number, usage: number | null): void {
    // Each process has its own pipe: its line may be older than one that another process has sent already.
    const isStale = this.lastPageAt !== undefined && at < this.lastPageAt;
    this.lastPageAt = Math.max(this.lastPageAt ?? at, at);
    const size = usage ?? allocated;
    const isRow = !isStale && this.#isNews(size);
    // The last step shows how far the process came, unless an emitted step shows nearly the same.
    if (!isRow && Math.abs(size - this.#emittedUsage) < this.scale / 64) {
      return void this.#pending.delete(pid);
    }
    this.#pending.set(pid, () => {
      this.#emittedUsage = size;
      this.emit(at, { type: "step", pid, allocated, usage });
    });
    if (isRow) this.flush(pid);
  }

  /** Emits the last step of a process unless it was emitted already. */
  flush(pid: number): void {
    this.#pending.get(pid)?.();
    this.#pending.delete(pid);
  }
}
