import assert from "node:assert/strict";
import { type EarlierLook, holdThreshold, isLimitNear } from "../../../core/policy/hold.ts";
import { noTrend, updateTrend, type UsageTrend } from "../../../core/policy/usage_trend.ts";

const MIB = 1024 ** 2;
const limit = 512 * MIB;
const levels = { critical: 460 * MIB, limit };

/** Looks at these times (milliseconds) and usages (MiB). @returns whether the limit is near at the last one. */
function isNearAfter(...looks: readonly (readonly [at: number, usage: number])[]): boolean {
  const trend: UsageTrend = { ...noTrend };
  let earlier: EarlierLook = { usage: NaN, at: -Infinity };
  let isNear = false;
  for (const [at, usage] of looks) {
    updateTrend(trend, usage * MIB, at);
    isNear = isLimitNear(trend, levels, earlier, at);
    earlier = { usage: usage * MIB, at };
  }
  return isNear;
}

Deno.test("from the critical level on the limit is near, however slowly usage rises", () => {
  assert.equal(isNearAfter([0, 459]), false);
  assert.equal(isNearAfter([0, 460]), true);
  assert.equal(isNearAfter([0, 460], [1000, 460]), true);
  assert.equal(isNearAfter([0, 460], [1000, 459]), false);
  // Where the last tenth is little, 13 MiB or half of the limit count instead.
  const isNear = (limit: number, usage: number) => {
    const trend: UsageTrend = { ...noTrend };
    updateTrend(trend, usage * MIB, 0);
    const levels = { critical: 0.9 * limit * MIB, limit: limit * MIB };
    return isLimitNear(trend, levels, { usage: NaN, at: -Infinity }, 0);
  };
  assert.deepEqual([isNear(64, 51), isNear(64, 52)], [false, true]);
  assert.deepEqual([isNear(8, 3.9), isNear(8, 4)], [false, true]);
});

Deno.test("below the critical level it is near when the steepest rate of the last 250 ms reaches it within 100 ms", () => {
  // 1000 MiB/s, 112 MiB left, then 92.
  assert.equal(isNearAfter([0, 398], [2, 400]), false);
  assert.equal(isNearAfter([0, 418], [2, 420]), true);
  // It has paused since, as for a lack of CPU.
  assert.equal(isNearAfter([0, 418], [2, 420], [200, 420]), true);
  assert.equal(isNearAfter([0, 418], [2, 420], [300, 420]), false);
});

Deno.test("growth of which only the end may be seen counts as the fastest that is possible", () => {
  const threshold = holdThreshold(limit) / MIB;
  assert.ok(threshold > 455 && threshold < 512);
  // In a smaller cgroup the whole burst lies before the level: a quarter of the limit is the least.
  assert.equal(holdThreshold(64 * MIB), 16 * MIB);
  const small = { critical: 57 * MIB, limit: 64 * MIB };
  const trend: UsageTrend = { ...noTrend };
  updateTrend(trend, MIB, 0);
  updateTrend(trend, 20 * MIB, 900);
  assert.equal(isLimitNear(trend, small, { usage: MIB, at: 0 }, 900), true);
  // The look before was just now, so that the rate is known: it is slow.
  assert.equal(isLimitNear(trend, small, { usage: 19.9 * MIB, at: 898 }, 900), false);
  // Less than 1 MiB is no burst.
  assert.equal(isLimitNear(trend, small, { usage: 19.5 * MIB, at: 0 }, 900), false);
});

Deno.test("the limit is not near before usage is known", () => {
  assert.equal(isLimitNear({ ...noTrend }, levels, { usage: NaN, at: -Infinity }, 0), false);
});
