import assert from "node:assert/strict";
import {
  byHeadroom,
  type CgroupState,
  observe,
} from "../../../../core/guard/thread/cgroup_state.ts";
import { initialDecision } from "../../../../core/policy/kill_cycle.ts";
import { noTrend, noUnreclaimableTrend } from "../../../../core/policy/usage_trend.ts";

/** @param usage as it is read now; the last poll read 0. */
function state(limit: number, usage: number | undefined): CgroupState {
  return {
    settings: { limit },
    memory: { usage: 0 },
    files: { usageFile: { number: () => usage } },
  } as CgroupState;
}

Deno.test("the cgroup with the least headroom comes first, by present usage", () => {
  const some = state(100, 50);
  const least = state(1000, 999);
  const less = state(100, 90);
  const gone = state(100, undefined);
  assert.deepEqual(byHeadroom([some, gone, less, least]), [least, less, some, gone]);
});

const MIB = 1024 ** 2;

/** Of the clock, which stands still. */
const NOW = 10_000;

/** Usage grows at 10 GiB/s and is 0.1 ms away from the limit; memory.stat was read at half of it. */
function racingState(pageCache: number, statAgeMs: number): CgroupState {
  const memory = {
    ...noTrend,
    ...noUnreclaimableTrend,
    usage: 15 * MIB,
    rate: 10240 * MIB,
    reclaimStat: { reclaimable: pageCache },
    unreclaimable: 8 * MIB - pageCache,
    statAt: NOW - statAgeMs,
  };
  return {
    settings: { limit: 16 * MIB, levelBytes: { imminent: 15 * MIB }, canSwap: false },
    memory,
    policy: { metric: "usage", killSettings: {} },
    decision: initialDecision(),
    actions: {},
    hold: { isDisabled: false },
    limitOwner: { hierarchy: { version: { protectsPageCache: false } } },
    files: { statFile: { text: () => `inactive_file ${14 * MIB}\nactive_file 0\n` } },
  } as unknown as CgroupState;
}

Deno.test("close to the limit memory.stat is read again where page cache may be what grows", () => {
  const { now } = performance;
  using _clock = { [Symbol.dispose]: () => void (performance.now = now) };
  performance.now = () => NOW;
  const pageCacheSeen = (pageCache: number, statAgeMs: number) =>
    observe(racingState(pageCache, statAgeMs), NOW, "none").reclaimable;
  assert.equal(pageCacheSeen(7 * MIB, 0.5), 14 * MIB);
  // Anonymous memory: nothing is read, so that the kill is in time.
  assert.equal(pageCacheSeen(MIB, 0.01), MIB);
  assert.equal(pageCacheSeen(MIB, 5), 14 * MIB);
});
