import assert from "node:assert/strict";
import fc from "fast-check";
import { type Level, levelOf } from "../../../core/policy/bounds.ts";
import { freshBells, nextRing, type Rearming, ring } from "../../../core/policy/levels.ts";

const bounds = { warn: 650, critical: 900, threshold: 980 };
const once: Rearming = { hysteresis: 0.05, cooldown: 100, repeat: false };

/** What rings, by time, when usage takes these values at these times. */
function rings(rearming: Rearming, ...course: readonly (readonly [at: number, value: number])[]) {
  let bells = freshBells;
  return course.flatMap(([at, value]) => {
    const result = ring(bells, bounds, value, at, rearming);
    bells = result.bells;
    return result.level === undefined ? [] : [[at, result.level]];
  });
}

Deno.test("a level rings when it is reached, and not again while usage stays above it", () => {
  const course = [0, 1, 2, 1000, 5000].map((at) => [at, 700] as const);
  assert.deepEqual(rings(once, [-1, 649], ...course), [[0, "warn"]]);
});

Deno.test("on the way up each level rings in its turn", () => {
  assert.deepEqual(rings(once, [0, 650], [1, 900], [2, 980]), [
    [0, "warn"],
    [1, "critical"],
    [2, "threshold"],
  ]);
});

Deno.test("who jumps to the last level is told of that one alone, also on the way down", () => {
  assert.deepEqual(rings(once, [0, 990], [1, 950], [2, 860], [500, 920], [501, 700]), [
    [0, "threshold"],
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
  const after = (rearming: Rearming, ...values: readonly number[]) => {
    let bells = freshBells;
    for (const [at, value] of values.entries()) {
      bells = ring(bells, bounds, value, at, rearming).bells;
    }
    return nextRing(bells, bounds, values.at(-1)!, rearming);
  };
  assert.equal(after(once, 650), Infinity);
  assert.equal(after(once, 650, 0, 650), 100);
  assert.equal(after({ ...once, repeat: true }, 650), 100);
  assert.equal(after({ ...once, repeat: true }, 980), Infinity);
  assert.equal(after({ ...once, repeat: true }, 0), Infinity);
});

Deno.test("the last level knows no cooldown", () => {
  assert.deepEqual(rings(once, [0, 980], [1, 0], [2, 980]), [[0, "threshold"], [2, "threshold"]]);
});

Deno.test("with repeat, a level rings each time the cooldown is over, but the last one does not", () => {
  const repeat = { ...once, repeat: true };
  const at = (value: number) => [0, 50, 100, 150, 200].map((at) => [at, value] as const);
  assert.deepEqual(rings(repeat, ...at(700)).map(([at]) => at), [0, 100, 200]);
  assert.deepEqual(rings(repeat, ...at(990)).map(([at]) => at), [0]);
});

Deno.test("cooldowns are each level's own", () => {
  assert.deepEqual(rings(once, [0, 650], [1, 0], [2, 900]), [[0, "warn"], [2, "critical"]]);
});

const value = fc.nat(1000);
const course = fc.array(fc.tuple(fc.nat(60), value), { maxLength: 60 }).map((steps) => {
  let at = 0;
  return steps.map(([wait, value]) => [at += wait, value] as const);
});
const rearming = fc.record({
  hysteresis: fc.double({ min: 0, max: 1, noNaN: true }),
  cooldown: fc.nat(200),
  repeat: fc.boolean(),
});

Deno.test("no course makes warn or critical ring twice within the cooldown, and only what is reached rings", () => {
  fc.assert(fc.property(course, rearming, (course, rearming) => {
    const last = new Map<Level, number>();
    let bells = freshBells;
    for (const [at, value] of course) {
      const result = ring(bells, bounds, value, at, rearming);
      bells = result.bells;
      const { level } = result;
      if (level === undefined) continue;
      assert.equal(level, levelOf(bounds, value));
      if (level === "threshold") continue;
      assert.ok(at - (last.get(level) ?? -Infinity) >= rearming.cooldown, `${level} at ${at}`);
      last.set(level, at);
    }
  }));
});

Deno.test("without repeat a level rings twice only if usage was below it in between", () => {
  fc.assert(fc.property(course, rearming, (course, rearming) => {
    const leftSince = new Map<Level, boolean>();
    let bells = freshBells;
    for (const [at, value] of course) {
      const result = ring(bells, bounds, value, at, { ...rearming, repeat: false });
      bells = result.bells;
      for (const level of leftSince.keys()) if (value < bounds[level]) leftSince.set(level, true);
      if (result.level === undefined) continue;
      assert.ok(leftSince.get(result.level) ?? true, `${result.level} at ${at}`);
      leftSince.set(result.level, false);
    }
  }));
});

Deno.test("what first reaches the last level rings, whatever came before below it", () => {
  fc.assert(fc.property(course, rearming, (course, rearming) => {
    let bells = freshBells;
    for (const [at, value] of course) {
      const below = Math.min(value, bounds.threshold - 1);
      bells = ring(bells, bounds, below, at, rearming).bells;
    }
    assert.equal(ring(bells, bounds, bounds.threshold, 1e9, rearming).level, "threshold");
  }));
});

Deno.test("nothing rings before the time at which it may, as long as usage stays as it is", () => {
  const later = fc.integer({ min: 0, max: 500 });
  fc.assert(fc.property(course, value, rearming, later, (course, value, rearming, wait) => {
    let bells = freshBells;
    let now = 0;
    for (const [at, value] of course) bells = ring(bells, bounds, value, now = at, rearming).bells;
    bells = ring(bells, bounds, value, now, rearming).bells;
    const next = nextRing(bells, bounds, value, rearming);
    const { level } = ring(bells, bounds, value, now + wait, rearming);
    assert.equal(level !== undefined, now + wait >= next);
  }));
});
