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

function stoppedClock(): Disposable {
  const { now } = performance;
  performance.now = () => NOW;
  return { [Symbol.dispose]: () => void (performance.now = now) };
}

Deno.test("close to the limit memory.stat is read again where page cache may be what grows", () => {
  using _clock = stoppedClock();
  const pageCacheSeen = (pageCache: number, statAgeMs: number) =>
    observe(racingState(pageCache, statAgeMs), NOW, "none").reclaimable;
  assert.equal(pageCacheSeen(7 * MIB, 0.5), 14 * MIB);
  // Anonymous memory: nothing is read, so that the kill is in time.
  assert.equal(pageCacheSeen(MIB, 0.01), MIB);
  assert.equal(pageCacheSeen(MIB, 5), 14 * MIB);
});

Deno.test("while an allocator waits at the limit no kernel memory counts as reclaimable", () => {
  using _clock = stoppedClock();
  const kernelMemoryAt = (usage: number, underOom: 0 | 1, isDisabled = true) =>
    observe(
      {
        ...racingState(0, 5),
        memory: { ...racingState(0, 5).memory, usage },
        hold: { isDisabled },
        files: {
          statFile: { text: () => "inactive_file 0\nactive_file 0\n" },
          kernelMemoryFile: { number: () => 8 * MIB },
          underOomFile: {
            text: () => `oom_kill_disable 1\nunder_oom ${underOom}\noom_kill 0\n`,
          },
        },
      } as unknown as CgroupState,
      NOW,
      "none",
    ).kernelMemory;
  assert.equal(kernelMemoryAt(16 * MIB, 1), 0);
  assert.equal(kernelMemoryAt(16 * MIB, 0), 8 * MIB);
  // Another process has failed at the limit, and given back some.
  assert.equal(kernelMemoryAt(15.2 * MIB, 1), 0);
  // Below the level, where the file is not read.
  assert.equal(kernelMemoryAt(12 * MIB, 1), 8 * MIB);
  assert.equal(kernelMemoryAt(16 * MIB, 1, false), 8 * MIB);
});
