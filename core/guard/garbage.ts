/**
 * V8 knows nothing of the cgroup that it runs in, and collects garbage when that suits its own heap: at any moment, and late.
 * Here it is done when there is nothing else to do, and soon (docs/performance.md, footprint).
 */

import { libc } from "../kernel/libc.ts";

/** There where V8 was told `--expose-gc`, as in the executable. */
const { gc } = globalThis as { gc?: () => void };

/** Bytes of heap more than the last time were worth a collection, which takes some 10 ms. */
const GROWTH = 2 * 1024 ** 2;
/** To ask how large the heap is takes some 50 µs (milliseconds). */
const ASKED_MS = 1000;

/** @returns to be called when there is time; it looks once a second, of this thread's heap. */
export function createCollector(): () => void {
  let askedAt = performance.now();
  let left = 0;
  return () => {
    const now = performance.now();
    if (gc === undefined || now - askedAt < ASKED_MS) return;
    askedAt = now;
    if (Deno.memoryUsage().heapTotal - left < GROWTH) return;
    gc();
    // malloc(3) keeps what was freed, of each thread's arena.
    libc().malloc_trim(0n);
    left = Deno.memoryUsage().heapTotal;
  };
}
