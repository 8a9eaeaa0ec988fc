/** How much is allocated on V8's heap, whether or not it is collected in between. */

/** V8 compiles hot code in background threads; code that is not compiled yet allocates more. */
const ROUNDS = 5;

/**
 * Bytes that each run of `action` allocates on the heap in steady state: the average rise from one run to the next,
 * in the best of several rounds. A run with a garbage collection counts as 0; with little garbage that is rare.
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
