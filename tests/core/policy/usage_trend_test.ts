import assert from "node:assert/strict";
import { noUnreclaimableTrend, updateUnreclaimable } from "../../../core/policy/usage_trend.ts";

const MIB = 1024 ** 2;

Deno.test("memory.stat that is read twice at one usage shows no growth of 0", () => {
  const trend = { ...noUnreclaimableTrend };
  updateUnreclaimable(trend, 10 * MIB, 0);
  updateUnreclaimable(trend, 20 * MIB, 10);
  updateUnreclaimable(trend, 30 * MIB, 20);
  assert.equal(trend.unreclaimableRate, 1000 * MIB);
  for (const now of [20, 20.1]) {
    updateUnreclaimable(trend, 30 * MIB, now);
    assert.equal(trend.unreclaimableRate, 1000 * MIB, `at ${now} ms`);
    assert.equal(trend.statAt, now);
  }
  updateUnreclaimable(trend, 30 * MIB, 30);
  assert.equal(trend.unreclaimableRate, 0);
});

Deno.test("memory that seems unreclaimable in a single reading has no rate", () => {
  const trend = { ...noUnreclaimableTrend };
  const ratesOf = (...readings: readonly (readonly [number, number])[]) =>
    readings.map(([now, mib]) => {
      updateUnreclaimable(trend, mib * MIB, now);
      return trend.unreclaimableRate;
    });
  assert.deepEqual(ratesOf([0, 1], [2, 1]), [undefined, undefined]);
  // Measured while a file is read in a cgroup of 16 MiB: 2.5 MiB of page cache are isolated for reclaim.
  assert.deepEqual(ratesOf([4, 3.5], [6, 1]), [0, -1250 * MIB]);
  // Anonymous memory keeps growing.
  assert.deepEqual(ratesOf([8, 3], [10, 6], [12, 10]), [-1250 * MIB, 1000 * MIB, 1500 * MIB]);
  // The last reading is long ago: what has happened meanwhile is unknown.
  assert.deepEqual(ratesOf([9000, 20], [9002, 22]), [undefined, undefined]);
});

Deno.test("memory that leaves the lists while nothing is charged is being reclaimed", () => {
  const trend = { ...noUnreclaimableTrend };
  // Measured while a file is copied in a cgroup of 16 MiB, at a usage of 15 MiB: 7 MiB of page cache are isolated in two readings.
  const readings = [[0, 0.3, 18], [2, 2.5, 18], [4, 6.7, 18], [6, 9, 21], [8, 12, 24]] as const;
  const rates = readings.map(([now, mib, charged]) => {
    updateUnreclaimable(trend, mib * MIB, now, charged * MIB);
    return trend.unreclaimableRate;
  });
  assert.deepEqual(rates.slice(0, 4), [undefined, undefined, 0, 0]);
  assert.equal(Math.round(rates[4]! / MIB), 1150);
});
