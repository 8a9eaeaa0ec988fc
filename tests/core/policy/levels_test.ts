import assert from "node:assert/strict";
import fc from "fast-check";
import { actingLevels } from "../../../core/guard/policy.ts";
import { type Level, levelOf, LEVELS } from "../../../core/policy/levels.ts";
import {
  initialLevelStates,
  nextTriggerAt,
  triggeredLevels,
  type TriggerPolicy,
} from "../../../core/policy/levels.ts";

const levelBytes = { warn: 650, critical: 900, imminent: 980 };
const once: TriggerPolicy = { hysteresis: 0.05, cooldown: 100, repeat: false };
const all: ReadonlySet<Level> = new Set(LEVELS);
/** As OOMHero has it. */
const lower: ReadonlySet<Level> = new Set<Level>(["warn", "critical"]);

type UsageHistory = readonly (readonly [at: number, value: number])[];

/** What rings, by time, when usage takes these values at these times. */
function ringsAmong(
  acting: ReadonlySet<Level>,
  triggerPolicy: TriggerPolicy,
  ...course: UsageHistory
) {
  let levelStates = initialLevelStates;
  return course.flatMap(([at, value]) => {
    const result = triggeredLevels(levelStates, levelBytes, value, at, triggerPolicy, acting);
    levelStates = result.levelStates;
    return result.levels.map((level) => [at, level]);
  });
}
const rings = ringsAmong.bind(undefined, all);

Deno.test("a level rings when it is reached, and not again while usage stays above it", () => {
  const course = [0, 1, 2, 1000, 5000].map((at) => [at, 700] as const);
  assert.deepEqual(rings(once, [-1, 649], ...course), [[0, "warn"]]);
});

Deno.test("on the way up each level rings in its turn", () => {
  assert.deepEqual(rings(once, [0, 650], [1, 900], [2, 980]), [
    [0, "warn"],
    [1, "critical"],
    [2, "imminent"],
  ]);
});

Deno.test("who jumps to the last level is told of that one alone, also on the way down", () => {
  assert.deepEqual(rings(once, [0, 990], [1, 950], [2, 860], [500, 920], [501, 700]), [
    [0, "imminent"],
  ]);
});

Deno.test("to fall by less than the hysteresis is not to have left", () => {
  const least = 650 * 0.95;
  assert.deepEqual(rings(once, [0, 650], [200, least], [400, 650]), [[0, "warn"]]);
  assert.deepEqual(rings(once, [0, 650], [200, least - 1], [400, 650]), [[0, "warn"], [
    400,
    "warn",
  ]]);
});

Deno.test("a level that was left and is reached again within the cooldown rings when that is over", () => {
  assert.deepEqual(rings(once, [0, 650], [10, 0], [20, 650], [99, 650], [100, 650], [101, 650]), [
    [0, "warn"],
    [100, "warn"],
  ]);
});

Deno.test("when the next ring may be is known beforehand, also without any change of usage", () => {
  const after = (triggerPolicy: TriggerPolicy, ...values: readonly number[]) => {
    let levelStates = initialLevelStates;
    for (const [at, value] of values.entries()) {
      levelStates =
        triggeredLevels(levelStates, levelBytes, value, at, triggerPolicy, lower).levelStates;
    }
    return nextTriggerAt(levelStates, levelBytes, values.at(-1)!, triggerPolicy, lower);
  };
  assert.equal(after(once, 650), Infinity);
  assert.equal(after(once, 650, 0, 650), 100);
  assert.equal(after({ ...once, repeat: true }, 650), 100);
  assert.equal(after(once, 980), Infinity);
  assert.equal(after(once, 980, 0, 980), 100);
  assert.equal(after({ ...once, repeat: true }, 980), 100);
  // Critical rang first, and is due first though the threshold has been reached.
  assert.equal(after({ ...once, repeat: true }, 900, 980), 100);
  assert.equal(after(once, 900, 980, 0, 980), 100);
  assert.equal(after({ ...once, repeat: true }, 0), Infinity);
});

Deno.test("with repeat, a level rings each time the cooldown is over, the last one too", () => {
  const repeat = { ...once, repeat: true };
  const at = (value: number) => [0, 50, 100, 150, 200].map((at) => [at, value] as const);
  for (const value of [700, 920, 990]) {
    assert.deepEqual(rings(repeat, ...at(value)).map(([at]) => at), [0, 100, 200]);
  }
});

Deno.test("who jumps to a level without actions is told of the nearest one below that has some, too", () => {
  assert.deepEqual(ringsAmong(lower, once, [0, 990], [200, 990]), [[0, "critical"], [
    0,
    "imminent",
  ]]);
  const warn = new Set<Level>(["warn"]);
  assert.deepEqual(ringsAmong(warn, once, [0, 920]), [[0, "warn"], [0, "critical"]]);
  assert.deepEqual(ringsAmong(warn, once, [0, 990]), [[0, "warn"], [0, "imminent"]]);
  assert.deepEqual(ringsAmong(new Set(), once, [0, 990]), [[0, "imminent"]]);
});

Deno.test("a level acts where anything is asked for, be it noop", () => {
  const signal = { kind: "signal", signal: "SIGUSR1" } as const;
  const acting = (imminent: readonly { kind: "noop" }[]) =>
    actingLevels({ warn: [signal], critical: [], imminent });
  assert.deepEqual(acting([]), new Set(["warn"]));
  assert.deepEqual(acting([{ kind: "noop" }]), new Set(["warn", "imminent"]));
  assert.deepEqual(ringsAmong(acting([{ kind: "noop" }]), once, [0, 990]), [[0, "imminent"]]);
});

Deno.test("who climbs to a level without actions is not acted on again", () => {
  assert.deepEqual(ringsAmong(lower, once, [0, 900], [500, 980]), [[0, "critical"], [
    500,
    "imminent",
  ]]);
});

Deno.test("with repeat, what is done below goes on at a level without actions, at its own pace", () => {
  const repeat = { ...once, repeat: true };
  const course = [[0, 920], [30, 990], [100, 990], [130, 990], [199, 990], [200, 990]] as const;
  assert.deepEqual(ringsAmong(lower, repeat, ...course), [
    [0, "critical"],
    [30, "imminent"],
    [100, "critical"],
    [130, "imminent"],
    [200, "critical"],
  ]);
});

Deno.test("cooldowns are each level's own", () => {
  assert.deepEqual(rings(once, [0, 650], [1, 0], [2, 900]), [[0, "warn"], [2, "critical"]]);
});

const value = fc.nat(1000);
const course = fc.array(fc.tuple(fc.nat(60), value), { maxLength: 60 }).map((steps) => {
  let at = 0;
  return steps.map(([wait, value]) => [at += wait, value] as const);
});
const among = fc.subarray([...LEVELS]).map((levels): ReadonlySet<Level> => new Set(levels));
const triggerPolicy = fc.record({
  hysteresis: fc.double({ min: 0, max: 1, noNaN: true }),
  cooldown: fc.nat(200),
  repeat: fc.boolean(),
});

Deno.test("no course makes a level ring twice within the cooldown, and only what is reached and heard rings", () => {
  fc.assert(fc.property(course, triggerPolicy, among, (course, triggerPolicy, acting) => {
    const last = new Map<Level, number>();
    let levelStates = initialLevelStates;
    for (const [at, value] of course) {
      const result = triggeredLevels(levelStates, levelBytes, value, at, triggerPolicy, acting);
      levelStates = result.levelStates;
      const reached = levelOf(levelBytes, value);
      const doer = LEVELS.findLast((level) => acting.has(level) && value >= levelBytes[level]);
      for (const level of result.levels) {
        assert.ok(level === reached || level === doer, level);
        assert.ok(
          at - (last.get(level) ?? -Infinity) >= triggerPolicy.cooldown,
          `${level} at ${at}`,
        );
        last.set(level, at);
      }
    }
  }));
});

Deno.test("without repeat a level rings twice only if usage was below it in between", () => {
  fc.assert(fc.property(course, triggerPolicy, among, (course, triggerPolicy, acting) => {
    const leftSince = new Map<Level, boolean>();
    let levelStates = initialLevelStates;
    for (const [at, value] of course) {
      const result = triggeredLevels(levelStates, levelBytes, value, at, {
        ...triggerPolicy,
        repeat: false,
      }, acting);
      levelStates = result.levelStates;
      for (const level of leftSince.keys()) {
        if (value < levelBytes[level]) leftSince.set(level, true);
      }
      for (const level of result.levels) {
        assert.ok(leftSince.get(level) ?? true, `${level} at ${at}`);
        leftSince.set(level, false);
      }
    }
  }));
});

Deno.test("what first reaches the last level rings, whatever came before below it", () => {
  fc.assert(fc.property(course, triggerPolicy, among, (course, triggerPolicy, acting) => {
    let levelStates = initialLevelStates;
    for (const [at, value] of course) {
      const below = Math.min(value, levelBytes.imminent - 1);
      levelStates =
        triggeredLevels(levelStates, levelBytes, below, at, triggerPolicy, acting).levelStates;
    }
    const { levels } = triggeredLevels(
      levelStates,
      levelBytes,
      levelBytes.imminent,
      1e9,
      triggerPolicy,
      acting,
    );
    assert.equal(levels.at(-1), "imminent");
  }));
});

Deno.test("with repeat, something is done each time the cooldown is over, however high usage is", () => {
  fc.assert(
    fc.property(course, value, triggerPolicy, among, (course, value, triggerPolicy, acting) => {
      const doer = LEVELS.findLast((level) => acting.has(level) && value >= levelBytes[level]);
      fc.pre(doer !== undefined);
      const repeat = { ...triggerPolicy, repeat: true };
      let levelStates = initialLevelStates;
      let now = 0;
      for (const [at, value] of course) {
        levelStates =
          triggeredLevels(levelStates, levelBytes, value, now = at, repeat, acting).levelStates;
      }
      for (let times = 0; times < 3; times++) {
        const result = triggeredLevels(
          levelStates,
          levelBytes,
          value,
          now += repeat.cooldown,
          repeat,
          acting,
        );
        levelStates = result.levelStates;
        assert.ok(result.levels.includes(doer!));
      }
    }),
  );
});

Deno.test("nothing rings before the time at which it may, as long as usage stays as it is", () => {
  const later = fc.integer({ min: 0, max: 500 });
  fc.assert(
    fc.property(
      course,
      value,
      triggerPolicy,
      among,
      later,
      (course, value, triggerPolicy, acting, wait) => {
        let levelStates = initialLevelStates;
        let now = 0;
        for (const [at, value] of course) {
          levelStates =
            triggeredLevels(levelStates, levelBytes, value, now = at, triggerPolicy, acting)
              .levelStates;
        }
        levelStates =
          triggeredLevels(levelStates, levelBytes, value, now, triggerPolicy, acting).levelStates;
        const next = nextTriggerAt(levelStates, levelBytes, value, triggerPolicy, acting);
        const { levels } = triggeredLevels(
          levelStates,
          levelBytes,
          value,
          now + wait,
          triggerPolicy,
          acting,
        );
        assert.equal(levels.length > 0, now + wait >= next);
      },
    ),
  );
});
