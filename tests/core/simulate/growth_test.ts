import assert from "node:assert/strict";
import fc from "fast-check";
import { type Curve, growthAt, lifetime, SHAPES } from "../../../core/simulate/growth.ts";

const MIB = 1024 ** 2;
const linear: Curve = { shape: "linear", limit: 20 * MIB, rate: 10 * MIB };

const curves: fc.Arbitrary<Curve> = fc.record({
  shape: fc.constantFrom(...SHAPES),
  limit: fc.integer({ min: 4096, max: 2 ** 40 }),
  rate: fc.integer({ min: 4096, max: 2 ** 33 }),
  stopAt: fc.integer({ min: 0, max: 2 ** 41 }),
  restart: fc.integer({ min: 1, max: 60_000 }),
}, { requiredKeys: ["shape", "limit", "rate"], noNullPrototype: true });
const times = fc.double({ min: 0, max: 1e7, noNaN: true });

Deno.test("a linear curve grows at its rate, is killed at the limit and holds nothing afterwards", () => {
  assert.equal(growthAt(linear, 1000).usage, 10 * MIB);
  assert.equal(growthAt(linear, 1000).oomKill, 0n);
  const after = growthAt(linear, 2000);
  assert.equal(after.usage, 0);
  assert.equal(after.alive, false);
  assert.deepEqual([after.oom, after.oomKill, after.peak], [1n, 1n, 20 * MIB]);
});

Deno.test("a curve with a stop size stays there, and nothing is killed", () => {
  const moment = growthAt({ ...linear, stopAt: 15 * MIB }, 3_600_000);
  assert.deepEqual([moment.usage, moment.oomKill, moment.alive], [15 * MIB, 0n, true]);
});

Deno.test("a restarting curve is killed again and again, after the same time", () => {
  const curve = { ...linear, restart: 1000 };
  assert.equal(growthAt(curve, 3500).usage, 5 * MIB);
  assert.equal(growthAt(curve, 8500).oomKill, 3n);
});

Deno.test("steps keep usage constant between their rises", () => {
  const steps: Curve = { ...linear, shape: "steps" };
  assert.equal(growthAt(steps, 251).usage, 2.5 * MIB);
  assert.equal(growthAt(steps, 499).usage, 2.5 * MIB);
});

Deno.test("a saw-tooth never reaches the limit, a leak always does", () => {
  assert.equal(lifetime({ ...linear, shape: "saw-tooth" }), Infinity);
  assert.equal(growthAt({ ...linear, shape: "saw-tooth" }, 1e7).oomKill, 0n);
  assert.equal(growthAt({ ...linear, shape: "leak" }, 1e7).oomKill, 1n);
});

Deno.test("usage never exceeds peak or limit, at any time of any curve", () => {
  fc.assert(fc.property(curves, times, (curve, elapsed) => {
    const { usage, peak } = growthAt(curve, elapsed);
    assert.ok(Number.isInteger(usage) && usage >= 0, `usage ${usage}`);
    assert.ok(usage <= peak && peak <= curve.limit, `${usage} ${peak}`);
  }));
});

Deno.test("counters and peak never fall, and no process is killed without an oom", () => {
  fc.assert(fc.property(curves, times, times, (curve, one, other) => {
    const before = growthAt(curve, Math.min(one, other));
    const after = growthAt(curve, Math.max(one, other));
    for (const key of ["peak", "max", "oom", "oomKill"] as const) {
      assert.ok(before[key] <= after[key], `${key}: ${before[key]} ${after[key]}`);
    }
    assert.ok(after.oomKill <= after.oom && after.oom <= after.max);
  }));
});
