import assert from "node:assert/strict";
import fc from "fast-check";
import { formatBytes } from "../../../cli/options/units.ts";
import { bytesText, bytesTick, clockText, spanText } from "../../../core/figures.js";
import { byKey, panned, within, zoomed } from "../../../core/picture/page/gestures.js";
import { withRoom } from "../../../core/picture/page/glyphs.js";
import {
  byteStep,
  heightFor,
  percentStep,
  spread,
  ticksBetween,
  timeStep,
} from "../../../core/picture/page/axis.js";
import { contentOf, shareOf } from "../../../core/picture/page/content.js";
import { START } from "../../helpers/recorded_run.ts";

const MIB = 1024 ** 2;

Deno.test("sizes are formatted as on the command line", () => {
  fc.assert(fc.property(fc.integer({ min: -(2 ** 50), max: 2 ** 53 - 1 }), (bytes) => {
    if (Math.abs(bytes) < 2 ** 60) assert.equal(bytesText(bytes), formatBytes(bytes));
  }));
  assert.equal(bytesText(null), "–");
  assert.equal(bytesTick(512 * MIB), "512 MiB");
  assert.equal(bytesTick(0), "0");
});

Deno.test("times are UTC, and as precise as required", () => {
  assert.equal(clockText(START), "04:56:02.350");
  assert.equal(clockText(START, 1000), "04:56:02");
  assert.equal(clockText(START, 60_000), "04:56");
  assert.equal(clockText(START, 86_400_000), "11-22 04:56");
  assert.equal(spanText(2350), "2.35 s");
  assert.equal(spanText(65_000), "1m 5s");
  assert.equal(spanText(7_500_000), "2h 5m");
});

Deno.test("an axis has round ticks, and no more than fit", () => {
  fc.assert(fc.property(fc.double({ min: 1, max: 1e13, noNaN: true }), (span) => {
    const step = timeStep(START, START + span, 8);
    assert.ok(ticksBetween(START, START + span, step).length <= 10);
  }));
  assert.deepEqual(ticksBetween(0, 530 * MIB, byteStep(0, 530 * MIB, 7)).map(bytesTick), [
    "0",
    "128 MiB",
    "256 MiB",
    "384 MiB",
    "512 MiB",
  ]);
  assert.equal(percentStep(106), 25);
});

Deno.test("a limit far above all usage does not flatten the curves", () => {
  assert.ok(heightFor([100 * MIB], [128 * MIB]) > 128 * MIB);
  assert.ok(heightFor([5 * MIB], [1024 * MIB]) < 6 * MIB);
  assert.ok(heightFor([], []) > 0);
});

Deno.test("labels keep order and distance, and stay within the chart", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -50, max: 400, noNaN: true }), { maxLength: 12 }),
      (ys) => {
        const placed = spread(ys.map((y) => ({ y })), 15, 0, 300);
        placed.forEach(({ at }, n) => {
          assert.ok(at >= -1e-9 && at <= 300 + 1e-9, String(at));
          if (n > 0) assert.ok(at - placed[n - 1]!.at >= 15 - 1e-9);
        });
        assert.equal(placed.length, Math.min(ys.length, 21));
      },
    ),
  );
});

const lineOf = (t: readonly number[], v: readonly number[]) => ({
  t: Float64Array.from(t),
  v: Float64Array.from(v),
});

Deno.test("a share is of the limit at that time, and changes with the limit alone", () => {
  const limits = lineOf([0, 10, 20], [200, 400, -1]);
  const { t, v } = shareOf(lineOf([0, 5, 15], [100, 150, 300]), limits);
  assert.deepEqual([...t], [0, 5, 10, 15, 20]);
  assert.deepEqual([...v], [50, 75, 37.5, 75, -1]);
});

Deno.test("a share is not drawn while there is no limit", () => {
  const [curve] = contentOf("share", [{
    name: "a",
    usage: lineOf([0, 30], [100, 100]),
    working: lineOf([], []),
    some: lineOf([], []),
    full: lineOf([], []),
    limits: lineOf([0, 10, 20], [200, -1, 400]),
    marks: [],
    removedAt: null,
    colour: "g0",
  }]).curves;
  assert.deepEqual(curve!.points(0, 30, 100), {
    t: [0, 9.999, 10, 19.999, 20, 30],
    v: [50, 50, null, null, 25, 25],
  });
});

Deno.test("zoom and pan stay within the run", () => {
  const whole = { from: 1000, to: 2000 };
  const keys = fc.constantFrom("+", "-", "ArrowLeft", "ArrowRight", "0");
  fc.assert(fc.property(fc.array(keys), (pressed) => {
    let view = whole;
    for (const key of pressed) view = within(byKey(key, view, whole)!, whole);
    assert.ok(view.from >= 1000 && view.to <= 2000 && view.to > view.from, JSON.stringify(view));
  }));
  assert.deepEqual(zoomed({ from: 0, to: 100 }, 0.5, 0), { from: 0, to: 50 });
  assert.deepEqual(panned({ from: 0, to: 100 }, 0.2), { from: 20, to: 120 });
  assert.equal(byKey("x", whole, whole), undefined);
});

Deno.test("of overlapping marks the most severe is drawn, and no two overlap", () => {
  const at = (x: number, kind: string) => ({ x, kind });
  const seen = withRoom(
    [at(1, "note"), at(5, "level"), at(8, "kill"), at(30, "note"), at(36, "note")],
    ({ x }) => x,
  );
  assert.deepEqual(seen, [at(8, "kill"), at(30, "note")]);
});
