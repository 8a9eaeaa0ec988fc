import assert from "node:assert/strict";
import { noUnreclaimableTrend, updateUnreclaimable } from "../../../core/policy/usage_trend.ts";

const MIB = 1024 ** 2;

Deno.test("memory.stat that is read twice at one usage shows no growth of 0", () => {
  const trend = { ...noUnreclaimableTrend };
  updateUnreclaimable(trend, 10 * MIB, 0);
  assert.equal(trend.unreclaimableRate, undefined);
  updateUnreclaimable(trend, 20 * MIB, 10);
  assert.equal(trend.unreclaimableRate, 1000 * MIB);
  for (const now of [10, 10.1]) {
    updateUnreclaimable(trend, 20 * MIB, now);
    assert.equal(trend.unreclaimableRate, 1000 * MIB, `at ${now} ms`);
    assert.equal(trend.statAt, now);
  }
  updateUnreclaimable(trend, 20 * MIB, 20);
  assert.equal(trend.unreclaimableRate, 0);
});
