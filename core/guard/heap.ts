/**
 * V8 knows nothing of the cgroup that it runs in, and collects garbage when that suits its own heap: late. The main thread does
 * so soon (docs/performance.md, footprint). Not the sentry: the 10 ms that it takes lost races at 1 % of a CPU; nor is
 * malloc_trim(3) called once it guards, which takes the locks of the sentry's memory too.
 */

import { trimHeap } from "../kernel/mapped_pages.ts";

/** There where V8 was told `--expose-gc`, as in the executable. */
const { gc } = globalThis as { gc?: () => void };

export interface Collector {
  /** To be called again and again, also in the midst of what takes long. */
  collect(): void;
  /**
   * Of the main thread's heap, and of the C library's of all threads. Once everything is set up: what that took is a fifth of
   * a guard's memory, and neither V8 nor the library gives it back by itself (docs/performance.md). A collection in the
   * sentry's thread throws away what its rehearsal had compiled: 3 of 40 races were lost after one, and none without.
   */
  tidyUp(): void;
}

/** Bytes of heap more than the last time were worth a collection, which takes some 10 ms. */
const GROWTH = 2 * 1024 ** 2;
/** To ask how large the heap is takes some 50 µs (milliseconds). */
const ASKED_MS = 100;

/** Of this thread's heap. */
export function createCollector(): Collector {
  let askedAt = performance.now();
  let left = Deno.memoryUsage().heapTotal;
  const collectNow = () => {
    gc?.();
    left = Deno.memoryUsage().heapTotal;
  };
  return {
    collect() {
      const now = performance.now();
      if (gc === undefined || now - askedAt < ASKED_MS) return;
      askedAt = now;
      if (Deno.memoryUsage().heapTotal - left >= GROWTH) collectNow();
    },
    tidyUp() {
      collectNow();
      trimHeap();
    },
  };
}
