/** Turns the progress lines of the allocators into the few step events that are worth a line. */

import { microseconds } from "../kernel/clock.ts";
import type { Progress } from "./allocator_protocol.ts";
import { clock, type OnUsage, type SimulationBody } from "./event.ts";

/** On one screen; a 20 MiB run takes some 320 steps. */
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
  #firstPageAt: number | undefined;
  #lastPageAt: number | undefined;

  /** @param scale the bytes that count as full. */
  constructor(
    private readonly scale: number,
    private readonly emit: (at: number, body: SimulationBody) => void,
    private readonly onUsage: OnUsage = () => {},
  ) {
    this.#isNews = createStepFilter(scale);
  }

  /** Milliseconds since the epoch, by the clock of the watch: when the first allocator moved in. */
  get firstPageAt(): number | undefined {
    return this.#firstPageAt;
  }

  /** Milliseconds since the epoch: when the last page was touched, as far as it was reported. */
  get lastPageAt(): number | undefined {
    return this.#lastPageAt;
  }

  add(pid: number, progress: Progress): void {
    const at = progress.at / 1000 - this.#skew;
    if ("usage" in progress && progress.usage !== undefined) this.onUsage(at, progress.usage);
    switch (progress.type) {
      case "ready":
        return;
      case "allocator_started":
        this.#firstPageAt = Math.min(this.#firstPageAt ?? at, at);
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
    const isStale = this.#lastPageAt !== undefined && at < this.#lastPageAt;
    this.#lastPageAt = Math.max(this.#lastPageAt ?? at, at);
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
