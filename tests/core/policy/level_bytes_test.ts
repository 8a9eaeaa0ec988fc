import assert from "node:assert/strict";
import fc from "fast-check";
import {
  levelBytesOf,
  levelOf,
  LEVELS,
  marginOf,
  NOTIFY_MARGIN,
  THROTTLE_MARGIN,
} from "../../../core/policy/levels.ts";

const MIB = 1024 ** 2;
const defaultPolicy = { warn: 65, critical: 90, margin: NOTIFY_MARGIN };
const braked = { ...defaultPolicy, margin: THROTTLE_MARGIN };
const kept = (limit: number, policy = defaultPolicy) =>
  limit - levelBytesOf(limit, policy)!.imminent;

Deno.test("of 200 MiB oom-guard's threshold is 205520896 bytes", () => {
  assert.deepEqual(levelBytesOf(209715200, defaultPolicy), {
    warn: 136314880,
    critical: 188743680,
    imminent: 205520896,
  });
});

Deno.test("the margin is a fiftieth of the limit, but at least 1 MiB and at most 30 MiB", () => {
  assert.equal(kept(1000 * MIB), 20 * MIB);
  assert.equal(kept(20 * MIB), MIB);
  assert.equal(kept(50 * MIB), MIB);
  assert.equal(kept(1500 * MIB), 30 * MIB);
  assert.equal(kept(1024 ** 4), 30 * MIB);
});

Deno.test("behind a throttle the margin is a twentieth, at least 3 MiB and at most 512 MiB", () => {
  assert.equal(kept(1000 * MIB, braked), 50 * MIB);
  assert.equal(kept(20 * MIB, braked), 3 * MIB);
  assert.equal(kept(1024 ** 4, braked), 512 * MIB);
});

Deno.test("a limit of which the margin leaves nothing, or that is none, has no levels", () => {
  assert.equal(levelBytesOf(MIB, defaultPolicy), undefined);
  assert.equal(levelBytesOf(0, defaultPolicy), undefined);
  assert.equal(levelBytesOf(Infinity, defaultPolicy), undefined);
  assert.equal(levelBytesOf(NaN, defaultPolicy), undefined);
  assert.equal(levelBytesOf(MIB + 1, defaultPolicy)?.imminent, 1);
});

Deno.test("where a small limit's margin is wide, the percentages end at the threshold", () => {
  assert.deepEqual(levelBytesOf(2 * MIB, defaultPolicy), {
    warn: MIB,
    critical: MIB,
    imminent: MIB,
  });
  assert.equal(levelBytesOf(1000 * MIB, { ...defaultPolicy, critical: 100 })?.critical, 980 * MIB);
});

Deno.test("what is not given of a margin is the mode's, and makes room for what is given", () => {
  const own = { ratio: 0.02, min: MIB, max: 30 * MIB };
  assert.deepEqual(marginOf(own, {}), own);
  assert.deepEqual(marginOf(own, { ratio: 0.1 }), { ...own, ratio: 0.1 });
  assert.deepEqual(marginOf(own, { min: 64 * MIB }), { ratio: 0.02, min: 64 * MIB, max: 64 * MIB });
  assert.deepEqual(marginOf(own, { max: 1024 }), { ratio: 0.02, min: 1024, max: 1024 });
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

Deno.test("whatever the policy, warn <= critical <= threshold < limit, in whole bytes", () => {
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
