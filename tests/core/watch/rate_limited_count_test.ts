import assert from "node:assert/strict";
import { RateLimitedCount } from "../../../core/watch/rate_limited_count.ts";

/** Adds 1 at each of the times, as a wake-up would, and takes what is due. */
function reports(count: RateLimitedCount, times: readonly number[]): [number, bigint][] {
  return times.flatMap((now): [number, bigint][] => {
    count.add(1n, now);
    const taken = count.take(now);
    return taken > 0n ? [[now, taken]] : [];
  });
}

Deno.test("the first rise is reported immediately, and the next one too after a quiet second", () => {
  const count = new RateLimitedCount();
  assert.equal(count.dueAt, Infinity, "nothing to report");
  assert.deepEqual(reports(count, [5, 1005, 9000]), [[5, 1n], [1005, 1n], [9000, 1n]]);
});

Deno.test("rises within a second are reported once, with all of their count", () => {
  const count = new RateLimitedCount();
  const tenPerSecond = Array.from({ length: 25 }, (_, n) => n * 100);
  assert.deepEqual(reports(count, tenPerSecond), [[0, 1n], [1000, 10n], [2000, 10n]]);
  assert.equal(count.dueAt, 3000);
  assert.equal(count.take(2999), 0n);
  assert.equal(count.take(3000), 4n);
  assert.equal(count.dueAt, Infinity);
});

Deno.test("at the end everything that was added is reported", () => {
  const count = new RateLimitedCount();
  const total = reports(count, [0, 1, 2, 3]).reduce((sum, [, each]) => sum + each, 0n);
  assert.equal(total + count.take(4, true), 4n);
  assert.equal(count.take(5, true), 0n, "only once");
});

Deno.test("a counter that was reset takes nothing back", () => {
  const count = new RateLimitedCount();
  assert.equal(reports(count, [0]).length, 1);
  count.add(3n, 1);
  count.add(-100n, 2);
  assert.equal(count.take(1000), 3n);
});
