/** Properties of decisions for any input: when nothing is done, and that more usage never reaches a lower level. */

import assert from "node:assert/strict";
import { checkHeadroom, checkUsage } from "../../core/policy/check.ts";
import {
  type KillCycle,
  type KillSettings,
  nextStep,
  type Observation,
  type Phase,
  startKillCycle,
} from "../../core/policy/kill_cycle.ts";
import {
  initialLevelStates,
  levelBytesOf,
  levelOf,
  LEVELS,
  marginOf,
  nextTriggerAt,
  notificationThreshold,
  NOTIFY_MARGIN,
  THROTTLE_MARGIN,
  triggeredLevels,
} from "../../core/policy/levels.ts";
import { effectiveLimit, headroom } from "../../core/policy/limits.ts";
import { maxPollInterval, nextPollIn } from "../../core/policy/poll_interval.ts";
import { fc } from "./cases.ts";
import { killCycle, killSettings, MIB, observation } from "../helpers/observations.ts";

const acting = fc.subarray([...LEVELS]).map((levels) => new Set(levels));
const triggerPolicy = fc.record({
  hysteresis: fc.double({ min: 0, max: 1, noNaN: true }),
  cooldown: fc.nat(200),
  repeat: fc.boolean(),
});
const levels = fc.record({
  warn: fc.double({ min: 0.1, max: 100, noNaN: true }),
  critical: fc.double({ min: 0.1, max: 100, noNaN: true }),
  margin: fc.constantFrom(NOTIFY_MARGIN, THROTTLE_MARGIN),
});
const size = fc.oneof(
  fc.integer({ min: 1, max: 64 * MIB }),
  fc.integer({ min: 1, max: 2 ** 40 }),
  fc.maxSafeNat(),
);
const unlimited = fc.constantFrom(Infinity, NaN, 0, -1, -Infinity);

Deno.test("without a finite positive limit there are no levels, and the effective limit is Infinity", () => {
  const ancestor = fc.record({
    path: fc.constantFrom("/a/b", "/a", "/"),
    limit: fc.constantFrom(undefined, Infinity),
    usage: fc.option(size, { nil: undefined }),
  });
  fc.assert(fc.property(unlimited, levels, fc.array(ancestor), (limit, levels, chain) => {
    assert.equal(levelBytesOf(limit, levels), undefined);
    assert.deepEqual(effectiveLimit(chain), { bytes: Infinity, scope: "system" });
    assert.equal(headroom(chain), undefined);
  }));
});

Deno.test("a percentage without a limit is unknown for any usage", () => {
  const room = fc.record({
    used: fc.option(size, { nil: undefined }),
    left: fc.option(size, { nil: undefined }),
    limit: fc.constantFrom(undefined, Infinity),
  });
  fc.assert(fc.property(room, fc.nat(100), (room, percent) => {
    assert.equal(checkUsage(room, { percent }), "unknown");
    assert.equal(checkHeadroom(room, { percent }), "unknown");
  }));
});

Deno.test("nothing triggers below the lowest level, and unknown usage reaches none", () => {
  const sample = fc.tuple(
    size,
    levels,
    fc.double({ min: 0, max: 1, noNaN: true }),
    acting,
    triggerPolicy,
  );
  fc.assert(fc.property(sample, ([limit, levels, share, acting, triggerPolicy]) => {
    const levelBytes = levelBytesOf(limit, levels);
    fc.pre(levelBytes !== undefined);
    const lowest = Math.min(...Object.values(levelBytes));
    for (const metricValue of [Math.ceil(lowest * share) - 1, NaN]) {
      assert.equal(levelOf(levelBytes, metricValue), undefined);
      assert.deepEqual(
        triggeredLevels(initialLevelStates, levelBytes, metricValue, 0, triggerPolicy, acting)
          .levels,
        [],
      );
      assert.equal(
        nextTriggerAt(initialLevelStates, levelBytes, metricValue, triggerPolicy, acting),
        Infinity,
      );
    }
  }));
});

Deno.test("more usage never reaches a lower level, and a higher limit never lies nearer", () => {
  const pair = (one: fc.Arbitrary<number>) =>
    fc.tuple(one, one).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  fc.assert(fc.property(pair(size), pair(size), levels, ([low, high], [tight, wide], levels) => {
    const [tighter, wider] = [levelBytesOf(tight, levels), levelBytesOf(wide, levels)];
    fc.pre(tighter !== undefined);
    assert.ok(wider !== undefined);
    for (const each of LEVELS) assert.ok(tighter[each] <= wider[each], each);
    const rank = (levelBytes: typeof tighter, metricValue: number) =>
      LEVELS.indexOf(levelOf(levelBytes, metricValue) ?? "warn") +
      (levelOf(levelBytes, metricValue) ? 1 : 0);
    assert.ok(rank(tighter, low) <= rank(tighter, high));
    assert.ok(rank(wider, high) <= rank(tighter, high));
  }));
});

Deno.test("the min of a margin is not above its max, unless both are given so", () => {
  const bytes = fc.option(fc.nat(1024 * MIB), { nil: undefined });
  const given = fc.record({ min: bytes, max: bytes }).map(({ min, max }) => ({
    ...min === undefined ? {} : { min },
    ...max === undefined ? {} : { max },
  }));
  fc.assert(
    fc.property(fc.constantFrom(NOTIFY_MARGIN, THROTTLE_MARGIN), given, (defaults, given) => {
      const { min, max } = marginOf(defaults, given);
      assert.deepEqual([given.min ?? min, given.max ?? max], [min, max]);
      assert.ok(min <= max || (given.min !== undefined && given.max !== undefined));
    }),
  );
});

Deno.test("the notification threshold is positive, and up to 2 MiB below the level with 4 KiB pages", () => {
  fc.assert(fc.property(size, fc.integer({ min: 1, max: 512 }), (levelBytes, cpus) => {
    fc.pre(levelBytes > 0);
    const threshold = notificationThreshold(levelBytes, cpus, 4096);
    assert.ok(threshold >= 1 && threshold <= levelBytes && levelBytes - threshold <= 2 * MIB);
  }));
});

/** For every state of a kill cycle, observation, settings and time. */
function forAnySample<T>(
  other: fc.Arbitrary<T>,
  holds: (
    state: KillCycle,
    seen: Observation,
    killSettings: KillSettings,
    now: number,
    other: T,
  ) => void,
): void {
  fc.assert(
    fc.property(
      killCycle,
      observation,
      killSettings,
      fc.nat(2000),
      other,
      (state, seen, killSettings, over, other) => {
        holds(state, seen, killSettings, state.since + over, other);
      },
    ),
  );
}

Deno.test("no kill, escalation or reclaim happens below the level, or when usage is unknown", () => {
  const unknown = fc.constantFrom({}, { metricValue: NaN, usage: NaN }, { metricValue: NaN });
  forAnySample(unknown, (state, known, killSettings, now, unknown) => {
    const seen = { ...known, ...unknown };
    fc.pre(!(seen.metricValue >= seen.killLevelBytes));
    const { step } = nextStep(state, seen, killSettings, now);
    assert.ok(step.do === "wait" || step.do === "end", `${state.phase}: ${step.do}`);
  });
});

Deno.test("a process that is killed is also killed with more usage", () => {
  const isKill = (step: string) => step === "kill" || step === "escalate";
  forAnySample(fc.nat(2 ** 30), (state, seen, killSettings, now, more) => {
    const grown = { ...seen, usage: seen.usage + more, metricValue: seen.metricValue + more };
    const before = nextStep(state, seen, killSettings, now).step.do;
    const after = nextStep(state, grown, killSettings, now).step.do;
    assert.ok(!isKill(before) || isKill(after), `${state.phase}: ${before}, then ${after}`);
  });
});

/** Full of unreclaimable memory, with no victim alive. */
const full = fc.tuple(observation, fc.constantFrom<Observation["victim"]>("none", "dead")).map((
  [seen, victim],
): Observation => ({
  ...seen,
  reclaimable: 0,
  swappable: 0,
  kernelMemory: 0,
  writeback: 0,
  usage: seen.limit,
  metricValue: seen.limit,
  victim,
}));

Deno.test("growth by more than a margin per second with no victim alive leads to a kill from any state", () => {
  fc.assert(
    fc.property(killCycle, full, killSettings, fc.nat(2000), (state, seen, killSettings, over) => {
      // An exhausted cycle waits for growth.
      fc.pre(state.phase !== "exhausted" || state.usage < seen.usage);
      const racing = { ...seen, rate: seen.limit - seen.killLevelBytes + 1 };
      assert.equal(nextStep(state, racing, killSettings, state.since + over).step.do, "kill");
    }),
  );
});

Deno.test("an exhausted cycle a page below the limit kills on growth, and not without", () => {
  const [limit, killLevelBytes, usage] = [100 * MIB, 98 * MIB, 100 * MIB - 4096];
  const seen: Observation = {
    metricValue: usage,
    killLevelBytes,
    usage,
    limit,
    reclaimable: 0,
    swappable: 0,
    kernelMemory: 0,
    reclaimed: undefined,
    writeback: 0,
    rate: 0,
    peakRate: 0,
    unreclaimableRate: 0,
    oomKillerDisabled: false,
    protectsPageCache: true,
    isThrottled: false,
    victim: "none",
  };
  const since = { ...startKillCycle(0), phase: "exhausted", usage } as const;
  const withoutGrace = { countSwap: true, reclaimFirst: true, graceMs: 0, exitTimeoutMs: 500 };
  assert.equal(nextStep(since, seen, withoutGrace, 10).step.do, "exhausted");
  const more = { ...seen, usage: limit, metricValue: limit };
  assert.equal(nextStep(since, more, withoutGrace, 10).step.do, "kill");
});

Deno.test("a process is killed from any state when allocators wait at the limit", () => {
  fc.assert(
    fc.property(killCycle, full, killSettings, fc.nat(2000), (state, seen, killSettings, over) => {
      fc.pre(seen.limit > seen.killLevelBytes);
      const stuck = { ...seen, oomKillerDisabled: true, rate: 0 };
      let now = state.since + 20 + over;
      let result = nextStep(state, stuck, killSettings, now);
      if (result.step.do === "reclaim") {
        now += 20;
        result = nextStep(result.killCycle, stuck, killSettings, now);
      }
      assert.equal(result.step.do, "kill");
    }),
  );
});

Deno.test("below the level a cycle ends immediately with no victim alive, else after 5 s or the grace period", () => {
  fc.assert(
    fc.property(
      killCycle,
      observation,
      killSettings,
      fc.nat(2000),
      (state, seen, killSettings, over) => {
        const below = { ...seen, metricValue: Math.min(seen.metricValue, seen.killLevelBytes - 1) };
        const late = over + (seen.victim === "alive" ? Math.max(5000, killSettings.graceMs) : 0);
        assert.equal(nextStep(state, below, killSettings, state.since + late).step.do, "end");
      },
    ),
  );
});

Deno.test("page cache that is left after a second of reclaim is skipped", () => {
  const phase = fc.constantFrom<Phase>("reclaiming", "skipped", "exhausted");
  fc.assert(
    fc.property(killCycle, phase, observation, killSettings, (state, phase, seen, killSettings) => {
      const reclaimed = (state.reclaimed ?? 0) + 2 ** 50;
      const cached = { ...seen, metricValue: seen.usage, reclaimable: seen.usage, reclaimed };
      fc.pre(cached.metricValue >= cached.killLevelBytes && (cached.unreclaimableRate ?? 0) <= 0);
      const { step } = nextStep(
        { ...state, phase, unreclaimed: undefined },
        cached,
        killSettings,
        state.since + 1000,
      );
      assert.equal(step.do, "skip", phase);
    }),
  );
});

Deno.test("no second process is signalled for what turns out to be page cache after the first has exited", () => {
  const phase = fc.constantFrom<Phase>("sigterm_sent", "sigkill_sent", "skipped", "exhausted");
  fc.assert(
    fc.property(
      killCycle,
      phase,
      observation,
      killSettings,
      fc.nat(2000),
      (state, phase, seen, killSettings, over) => {
        const cached: Observation = {
          ...seen,
          metricValue: seen.usage,
          reclaimable: seen.usage,
          unreclaimableRate: 0,
          victim: "dead",
        };
        fc.pre(cached.metricValue >= cached.killLevelBytes);
        const start = { ...state, phase, unreclaimed: undefined };
        const { step } = nextStep(start, cached, killSettings, state.since + over);
        assert.ok(["skip", "wait", "reclaim"].includes(step.do), `${phase}: ${step.do}`);
      },
    ),
  );
});

Deno.test("a step depends only on the arguments, and does not change them", () => {
  fc.assert(
    fc.property(
      killCycle,
      observation,
      killSettings,
      fc.nat(2000),
      (state, seen, killSettings, over) => {
        const given = structuredClone({ state, seen, killSettings });
        const first = nextStep(state, seen, killSettings, state.since + over);
        assert.deepEqual(nextStep(state, seen, killSettings, state.since + over), first);
        assert.deepEqual({ state, seen, killSettings }, given);
      },
    ),
  );
});

Deno.test("the next poll is always due, for any rate and distance", () => {
  const number = fc.double({ min: -(2 ** 60), max: 2 ** 60, noNaN: true });
  const distance = fc.oneof(number, fc.constant(Infinity));
  fc.assert(fc.property(distance, number, fc.nat(10 ** 6), (distance, rate, count) => {
    const longest = maxPollInterval(count);
    const wait = nextPollIn(distance, rate, longest, 1);
    assert.ok(wait >= 1 && wait <= longest, `${wait} ms of ${longest}`);
  }));
});
