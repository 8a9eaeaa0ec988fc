/**
 * V8 does not know the limit of its cgroup and collects garbage late. The main thread collects early (docs/performance.md,
 * footprint). The monitor thread does not: a collection takes 10 ms, which lost races at 1 % of a CPU. malloc_trim(3) is not
 * called once the guard runs: it also takes the locks of the monitor thread's memory.
 */

import { trimHeap } from "../kernel/mapped_pages.ts";

/** There when V8 runs with `--expose-gc`, as in the executable. */
const { gc } = globalThis as { gc?: () => void };

/** A collection takes about 10 ms. */
const MIN_BYTES_TO_COLLECT = 2 * 1024 ** 2;
/** Reading the heap size takes about 50 µs. */
const MIN_MS_BETWEEN_CHECKS = 100;

export class GarbageCollector {
  #checkedAt = performance.now();
  #bytesAfterCollection = Deno.memoryUsage().heapTotal;

  /** Collects this thread's garbage when the heap has grown. To be called regularly, also within long loops. */
  collect(): void {
    const now = performance.now();
    if (gc === undefined || now - this.#checkedAt < MIN_MS_BETWEEN_CHECKS) return;
    this.#checkedAt = now;
    const growth = Deno.memoryUsage().heapTotal - this.#bytesAfterCollection;
    if (growth >= MIN_BYTES_TO_COLLECT) this.#collectNow();
  }

  /**
   * Frees this thread's garbage and the C library's free memory of all threads. To be called once everything is set up: the set-up
   * takes a fifth of a guard's memory, and neither V8 nor the library returns it (docs/performance.md). Garbage of the monitor
   * thread is not collected, since that discards the code compiled by its warm-up: 3 of 40 races were lost after a collection,
   * none without.
   */
  tidyUp(): void {
    this.#collectNow();
    trimHeap();
  }

  #collectNow(): void {
    gc?.();
    this.#bytesAfterCollection = Deno.memoryUsage().heapTotal;
  }
}
