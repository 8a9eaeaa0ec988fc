import assert from "node:assert/strict";
import fc from "fast-check";
import { actingLevels } from "../../../core/guard/policy.ts";
import {
  initialLevelStates,
  type Level,
  levelBytesIn,
  levelBytesOf,
  levelOf,
  LEVELS,
  marginOf,
  nextTriggerAt,
  notificationThreshold,
  NOTIFY_MARGIN,
  THROTTLE_MARGIN,
  triggeredLevels,
  type TriggerPolicy,
} from "../../../core/policy/levels.ts";

const MIB = 1024 ** 2;
const notify = { warn: 65, critical: 90, margin: NOTIFY_MARGIN };
const throttle = { ...notify, margin: THROTTLE_MARGIN };
const marginBytes = (limit: number, policy = notify) =>
  limit - levelBytesOf(limit, policy)!.imminent;

Deno.test("at a limit of 200 MiB the imminent level is oom-guard's threshold, 205520896 bytes", () => {
  assert.deepEqual(levelBytesOf(209715200, notify), {
    warn: 136314880,
    critical: 188743680,
    imminent: 205520896,
  });
});

Deno.test("the margin is 2 % of the limit, but at least 1 MiB or an eighth of the limit, and at most 30 MiB", () => {
  assert.equal(marginBytes(1000 * MIB), 20 * MIB);
  assert.equal(marginBytes(20 * MIB), MIB);
  assert.equal(marginBytes(8 * MIB), MIB);
  assert.equal(marginBytes(4 * MIB), MIB / 2);
  assert.equal(marginBytes(50 * MIB), MIB);
  assert.equal(marginBytes(1500 * MIB), 30 * MIB);
  assert.equal(marginBytes(1024 ** 4), 30 * MIB);
});

Deno.test("in mode throttle the margin is 5 %, at least 3 MiB or an eighth, and at most 512 MiB", () => {
  assert.equal(marginBytes(1000 * MIB, throttle), 50 * MIB);
  assert.equal(marginBytes(24 * MIB, throttle), 3 * MIB);
  assert.equal(marginBytes(4 * MIB, throttle), MIB / 2);
  assert.equal(marginBytes(1024 ** 4, throttle), 512 * MIB);
  const given = { levels: { ...notify, margin: {} } };
  assert.deepEqual(levelBytesIn(given, 1000 * MIB, "throttle"), levelBytesOf(1000 * MIB, throttle));
  assert.deepEqual(levelBytesIn(given, 1000 * MIB, "hold"), levelBytesOf(1000 * MIB, notify));
});

/** A requested minimum is no share of the limit. */
const requested = { ...notify, margin: marginOf(NOTIFY_MARGIN, { min: MIB }) };

Deno.test("no limit, or a limit of which the margin leaves nothing, has no levels", () => {
  assert.equal(levelBytesOf(MIB, requested), undefined);
  assert.equal(levelBytesOf(0, notify), undefined);
  assert.equal(levelBytesOf(Infinity, notify), undefined);
  assert.equal(levelBytesOf(NaN, notify), undefined);
  assert.equal(levelBytesOf(MIB + 1, requested)?.imminent, 1);
});

Deno.test("no level lies above the imminent one, also when the margin of a small limit is wide", () => {
  assert.deepEqual(levelBytesOf(2 * MIB, requested), { warn: MIB, critical: MIB, imminent: MIB });
  assert.equal(levelBytesOf(1000 * MIB, { ...notify, critical: 100 })?.critical, 980 * MIB);
});

Deno.test("what a margin leaves out is the default, which yields to what is given", () => {
  const defaults = { ratio: 0.02, min: MIB, max: 30 * MIB };
  assert.deepEqual(marginOf(defaults, {}), defaults);
  assert.deepEqual(marginOf(defaults, { ratio: 0.1 }), { ...defaults, ratio: 0.1 });
  assert.deepEqual(marginOf(defaults, { min: 64 * MIB }), {
    ratio: 0.02,
    min: 64 * MIB,
    max: 64 * MIB,
  });
  assert.deepEqual(marginOf(defaults, { max: 1024 }), { ratio: 0.02, min: 1024, max: 1024 });
});

Deno.test("the notification threshold is 128 pages lower for each of up to 4 CPUs", () => {
  assert.equal(notificationThreshold(100 * MIB, 1, 4096), 99.5 * MIB);
  assert.equal(notificationThreshold(100 * MIB, 64, 4096), 98 * MIB);
  assert.equal(notificationThreshold(100 * MIB, 1, 65536), 92 * MIB);
  assert.equal(notificationThreshold(1, 1, 4096), 1);
});

Deno.test("a level is reached at the byte at which it begins, and the highest one counts", () => {
  const levelBytes = { warn: 10, critical: 20, imminent: 30 };
  const levels = [9, 10, 19, 20, 29, 30, 99].map((value) => levelOf(levelBytes, value));
  assert.deepEqual(levels, [
    undefined,
    "warn",
    "warn",
    "critical",
    "critical",
    "imminent",
    "imminent",
  ]);
  assert.equal(levelOf({ warn: 10, critical: 10, imminent: 10 }, 10), "imminent");
});

const limit = fc.oneof(fc.integer({ min: 1, max: 2 ** 40 }), fc.integer({ min: 1, max: 64 * MIB }));
const percents = fc.tuple(fc.double({ min: 0.1, max: 100, noNaN: true }), fc.nat(100))
  .map(([one, other]) => [Math.min(one, other), Math.max(one, other)] as const);
const margin = fc.record({
  ratio: fc.double({ min: 0.001, max: 0.999, noNaN: true }),
  min: fc.integer({ min: 1, max: 64 * MIB }),
  max: fc.nat(1024 * MIB),
}).map((each) => ({ ...each, max: each.min + each.max }));

Deno.test("whatever the policy, warn <= critical <= imminent < limit, in whole bytes", () => {
  fc.assert(fc.property(limit, percents, margin, (limit, [warn, critical], margin) => {
    const levelBytes = levelBytesOf(limit, { warn, critical, margin });
    if (levelBytes === undefined) {
      return assert.ok(limit <= Math.max(margin.min, limit * margin.ratio));
    }
    const { imminent } = levelBytes;
    assert.ok(levelBytes.warn <= levelBytes.critical && levelBytes.critical <= imminent);
    assert.ok(0 < imminent && imminent < limit);
    assert.ok(LEVELS.every((level) => Number.isSafeInteger(levelBytes[level])));
    assert.ok(limit - imminent >= margin.min && limit - imminent <= margin.max);
  }));
});

const levelBytes = { warn: 650, critical: 900, imminent: 980 };
const once: TriggerPolicy = { hysteresis: 0.05, cooldown: 100, repeat: false };
const repeat: TriggerPolicy = { ...once, repeat: true };
const all: ReadonlySet<Level> = new Set(LEVELS);
/** As in OOMHero. */
const lower: ReadonlySet<Level> = new Set<Level>(["warn", "critical"]);

type UsageHistory = readonly (readonly [at: number, value: number])[];

/** Calls `see` with what triggers at each sample. @returns the states at the end. */
function follow(
  acting: ReadonlySet<Level>,
  triggerPolicy: TriggerPolicy,
  history: UsageHistory,
  see: (levels: readonly Level[], at: number, value: number) => void = () => {},
) {
  let levelStates = initialLevelStates;
  for (const [at, value] of history) {
    const result = triggeredLevels(levelStates, levelBytes, value, at, triggerPolicy, acting);
    levelStates = result.levelStates;
    see(result.levels, at, value);
  }
  return levelStates;
}

/** The time and level of each trigger. */
function triggersAmong(
  acting: ReadonlySet<Level>,
  triggerPolicy: TriggerPolicy,
  ...history: UsageHistory
) {
  const triggers: [number, Level][] = [];
  follow(acting, triggerPolicy, history, (levels, at) => {
    for (const level of levels) triggers.push([at, level]);
  });
  return triggers;
}
const triggers = triggersAmong.bind(undefined, all);

Deno.test("a level triggers when it is reached, and not again while usage stays above it", () => {
  const history = [0, 1, 2, 1000, 5000].map((at) => [at, 700] as const);
  assert.deepEqual(triggers(once, [-1, 649], ...history), [[0, "warn"]]);
});

Deno.test("on the way up each level triggers in turn", () => {
  assert.deepEqual(triggers(once, [0, 650], [1, 900], [2, 980]), [
    [0, "warn"],
    [1, "critical"],
    [2, "imminent"],
  ]);
});

Deno.test("a jump to the imminent level triggers that one alone, also on the way down", () => {
  assert.deepEqual(triggers(once, [0, 990], [1, 950], [2, 860], [500, 920], [501, 700]), [
    [0, "imminent"],
  ]);
});

Deno.test("a level does not re-arm when usage falls by less than the hysteresis", () => {
  const rearmAt = 650 * 0.95;
  assert.deepEqual(triggers(once, [0, 650], [200, rearmAt], [400, 650]), [[0, "warn"]]);
  assert.deepEqual(triggers(once, [0, 650], [200, rearmAt - 1], [400, 650]), [
    [0, "warn"],
    [400, "warn"],
  ]);
});

Deno.test("a level that is reached again within the cooldown triggers when that is over", () => {
  const history = [[0, 650], [10, 0], [20, 650], [99, 650], [100, 650], [101, 650]] as const;
  assert.deepEqual(triggers(once, ...history), [[0, "warn"], [100, "warn"]]);
});

Deno.test("the time of the next trigger is known beforehand while usage does not change", () => {
  const after = (triggerPolicy: TriggerPolicy, ...values: readonly number[]) => {
    const history = values.map((value, at) => [at, value] as const);
    const levelStates = follow(lower, triggerPolicy, history);
    return nextTriggerAt(levelStates, levelBytes, values.at(-1)!, triggerPolicy, lower);
  };
  assert.equal(after(once, 650), Infinity);
  assert.equal(after(once, 650, 0, 650), 100);
  assert.equal(after(repeat, 650), 100);
  assert.equal(after(once, 980), Infinity);
  assert.equal(after(once, 980, 0, 980), 100);
  assert.equal(after(repeat, 980), 100);
  // Critical triggered first, and is due first though the imminent level is reached.
  assert.equal(after(repeat, 900, 980), 100);
  assert.equal(after(once, 900, 980, 0, 980), 100);
  assert.equal(after(repeat, 0), Infinity);
});

Deno.test("with repeat a level triggers each time the cooldown is over, the imminent one too", () => {
  const at = (value: number) => [0, 50, 100, 150, 200].map((at) => [at, value] as const);
  for (const value of [700, 920, 990]) {
    assert.deepEqual(triggers(repeat, ...at(value)).map(([at]) => at), [0, 100, 200]);
  }
});

Deno.test("a jump to a level without actions also triggers the nearest one below that has some", () => {
  assert.deepEqual(triggersAmong(lower, once, [0, 990], [200, 990]), [
    [0, "critical"],
    [0, "imminent"],
  ]);
  const warn = new Set<Level>(["warn"]);
  assert.deepEqual(triggersAmong(warn, once, [0, 920]), [[0, "warn"], [0, "critical"]]);
  assert.deepEqual(triggersAmong(warn, once, [0, 990]), [[0, "warn"], [0, "imminent"]]);
  assert.deepEqual(triggersAmong(new Set(), once, [0, 990]), [[0, "imminent"]]);
});

Deno.test("a level has actions if any is given, noop included", () => {
  const signal = { kind: "signal", signal: "SIGUSR1" } as const;
  const acting = (imminent: readonly { kind: "noop" }[]) =>
    actingLevels({ warn: [signal], critical: [], imminent });
  assert.deepEqual(acting([]), new Set(["warn"]));
  assert.deepEqual(acting([{ kind: "noop" }]), new Set(["warn", "imminent"]));
  assert.deepEqual(triggersAmong(acting([{ kind: "noop" }]), once, [0, 990]), [[0, "imminent"]]);
});

Deno.test("a climb to a level without actions does not repeat the actions below", () => {
  assert.deepEqual(triggersAmong(lower, once, [0, 900], [500, 980]), [
    [0, "critical"],
    [500, "imminent"],
  ]);
});

Deno.test("with repeat the actions below continue at a level without actions, at their own pace", () => {
  const history = [[0, 920], [30, 990], [100, 990], [130, 990], [199, 990], [200, 990]] as const;
  assert.deepEqual(triggersAmong(lower, repeat, ...history), [
    [0, "critical"],
    [30, "imminent"],
    [100, "critical"],
    [130, "imminent"],
    [200, "critical"],
  ]);
});

Deno.test("each level has its own cooldown", () => {
  assert.deepEqual(triggers(once, [0, 650], [1, 0], [2, 900]), [[0, "warn"], [2, "critical"]]);
});

const value = fc.nat(1000);
const history = fc.array(fc.tuple(fc.nat(60), value), { maxLength: 60 }).map((steps) => {
  let at = 0;
  return steps.map(([wait, value]) => [at += wait, value] as const);
});
const among = fc.subarray([...LEVELS]).map((levels): ReadonlySet<Level> => new Set(levels));
const triggerPolicy = fc.record({
  hysteresis: fc.double({ min: 0, max: 1, noNaN: true }),
  cooldown: fc.nat(200),
  repeat: fc.boolean(),
});
const actorAt = (value: number, acting: ReadonlySet<Level>) =>
  LEVELS.findLast((level) => acting.has(level) && value >= levelBytes[level]);

Deno.test("no level triggers twice within the cooldown, and none that is not reached", () => {
  fc.assert(fc.property(history, triggerPolicy, among, (history, triggerPolicy, acting) => {
    const last = new Map<Level, number>();
    follow(acting, triggerPolicy, history, (levels, at, value) => {
      for (const level of levels) {
        assert.ok(level === levelOf(levelBytes, value) || level === actorAt(value, acting), level);
        const since = at - (last.get(level) ?? -Infinity);
        assert.ok(since >= triggerPolicy.cooldown, `${level} at ${at}`);
        last.set(level, at);
      }
    });
  }));
});

Deno.test("without repeat a level triggers twice only if usage was below it in between", () => {
  fc.assert(fc.property(history, triggerPolicy, among, (history, triggerPolicy, acting) => {
    const leftSince = new Map<Level, boolean>();
    const policy = { ...triggerPolicy, repeat: false };
    follow(acting, policy, history, (levels, at, value) => {
      for (const level of leftSince.keys()) {
        if (value < levelBytes[level]) leftSince.set(level, true);
      }
      for (const level of levels) {
        assert.ok(leftSince.get(level) ?? true, `${level} at ${at}`);
        leftSince.set(level, false);
      }
    });
  }));
});

Deno.test("the imminent level triggers when it is first reached, whatever came before below it", () => {
  fc.assert(fc.property(history, triggerPolicy, among, (history, triggerPolicy, acting) => {
    const below = history.map(([at, value]) =>
      [at, Math.min(value, levelBytes.imminent - 1)] as const
    );
    let last: readonly Level[] = [];
    const reached = [...below, [1e9, levelBytes.imminent] as const];
    follow(acting, triggerPolicy, reached, (levels) => last = levels);
    assert.equal(last.at(-1), "imminent");
  }));
});

Deno.test("with repeat the level with actions triggers each time the cooldown is over, however high usage is", () => {
  fc.assert(
    fc.property(history, value, triggerPolicy, among, (history, value, triggerPolicy, acting) => {
      const actor = actorAt(value, acting);
      fc.pre(actor !== undefined);
      const policy = { ...triggerPolicy, repeat: true };
      const last = history.at(-1)?.[0] ?? 0;
      const later = [1, 2, 3].map((n) => [last + n * policy.cooldown, value] as const);
      const triggered: boolean[] = [];
      follow(acting, policy, [...history, ...later], (levels) => {
        triggered.push(levels.includes(actor!));
      });
      assert.deepEqual(triggered.slice(-3), [true, true, true]);
    }),
  );
});

Deno.test("nothing triggers before the time of the next trigger, as long as usage does not change", () => {
  const later = fc.integer({ min: 0, max: 500 });
  fc.assert(
    fc.property(
      history,
      value,
      triggerPolicy,
      among,
      later,
      (history, value, triggerPolicy, acting, wait) => {
        const now = history.at(-1)?.[0] ?? 0;
        const levelStates = follow(acting, triggerPolicy, [...history, [now, value]]);
        const next = nextTriggerAt(levelStates, levelBytes, value, triggerPolicy, acting);
        const at = now + wait;
        const result = triggeredLevels(levelStates, levelBytes, value, at, triggerPolicy, acting);
        assert.equal(result.levels.length > 0, at >= next);
      },
    ),
  );
});
