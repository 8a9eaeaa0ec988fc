import assert from "node:assert/strict";
import fc from "fast-check";
import { append, emptySeries, halve, hold, type Series } from "../../../core/picture/series.ts";
import { snapped, thin, valueAt } from "../../../core/picture/page/thin.js";

const figures = fc.array(fc.integer({ min: 0, max: 1e9 }), { minLength: 1, maxLength: 400 });

function seriesOf(values: readonly number[], maxPoints?: number): Series {
  const series = emptySeries();
  values.forEach((value, at) => append(series, at, value, maxPoints));
  return series;
}

const shown = ({ t, v, length }: Series) =>
  Array.from({ length }, (_, at) => [t[at]!, v[at]!] as const);

Deno.test("a series with room keeps every value", () => {
  fc.assert(fc.property(figures, (values) => {
    assert.deepEqual(shown(seriesOf(values)), values.map((value, at) => [at, value]));
  }));
});

Deno.test("halving keeps minimum, maximum, first and last point in order", () => {
  fc.assert(fc.property(figures, (values) => {
    const series = seriesOf(values);
    halve(series);
    const kept = shown(series);
    const valuesKept = kept.map(([, value]) => value);
    assert.equal(Math.max(...valuesKept), Math.max(...values));
    assert.equal(Math.min(...valuesKept), Math.min(...values));
    assert.deepEqual(kept[0], [0, values[0]]);
    assert.deepEqual(kept.at(-1), [values.length - 1, values.at(-1)]);
    assert.deepEqual(kept.map(([at]) => at), kept.map(([at]) => at).toSorted((a, b) => a - b));
    for (const [at, value] of kept) assert.equal(values[at], value);
    assert.ok(
      kept.length <= Math.ceil(values.length / 2) + 3,
      `${kept.length} of ${values.length}`,
    );
  }));
});

Deno.test("a series never exceeds its maximum, and no peak is lost", () => {
  const series = emptySeries();
  for (let at = 0; at < 250_000; at++) append(series, at, at === 123_457 ? 9e9 : at % 977, 1000);
  assert.ok(series.length <= 1000 && series.length >= 400, String(series.length));
  assert.ok(series.t.length <= 1000);
  assert.ok(shown(series).some(([at, value]) => at === 123_457 && value === 9e9));
  assert.equal(series.t[series.length - 1], 249_999);
});

Deno.test("a clock that is set back does not reverse a curve", () => {
  const series = emptySeries();
  for (const at of [5, 9, 3, 10]) append(series, at, at);
  assert.deepEqual([...series.t.subarray(0, 4)], [5, 9, 9, 10]);
});

Deno.test("the points of an interval include its minimum and maximum, and one beyond each edge", () => {
  const values = Array.from({ length: 10_000 }, (_, at) => at === 4321 ? 5000 : (at * 7919) % 1000);
  const times = values.map((_, at) => at);
  const { t, v } = thin(times, values, 1000, 9000, 100);
  assert.ok(t.length <= 4 * 101 + 2, String(t.length));
  assert.equal(t[0], 999);
  assert.equal(t.at(-1), 9000);
  assert.equal(Math.max(...v), 5000);
  assert.deepEqual(t, t.toSorted((a, b) => a - b));
});

Deno.test("an interval with few points or none is unchanged", () => {
  assert.deepEqual(thin([1, 2, 3], [7, 8, 9], 0, 10, 100), { t: [1, 2, 3], v: [7, 8, 9] });
  assert.deepEqual(thin([], [], 0, 10, 100), { t: [], v: [] });
  assert.deepEqual(thin([1, 50], [7, 8], 10, 20, 100), { t: [1, 50], v: [7, 8] });
});

Deno.test("curves on a grid have the maximum of each column, and then hold the last value", () => {
  assert.deepEqual(snapped({ t: [0, 3, 9, 12, 31], v: [5, 9, 4, null, 1] }, 0, 10), {
    t: [0, 10, 20, 30],
    v: [9, 4, null, 1],
  });
  assert.deepEqual(snapped({ t: [0, 3, 90], v: [5, 9, 9] }, 0, 10), { t: [0, 90], v: [9, 9] });
  assert.deepEqual(snapped({ t: [0, 3, 4, 90], v: [5, 90, 5, 5] }, 0, 10), {
    t: [0, 10, 90],
    v: [90, 5, 5],
  });
});

/** The value of a curve of steps. */
const valueOf = (t: ArrayLike<number>, v: ArrayLike<number>, length: number, at: number) =>
  v[Array.from({ length }, (_, index) => t[index]!).findLastIndex((time) => time <= at)];

Deno.test("the last of several values at one time holds", () => {
  const line = { t: [0, 5, 5, 9], v: [1, 2, 3, 4] };
  assert.deepEqual([-1, 0, 4, 5, 8, 9, 99].map((at) => valueAt(line, at)), [
    undefined,
    ...[1, 1, 3, 3, 4, 4],
  ]);
});

Deno.test("a thinner or halved curve holds the same value at the end of each interval", () => {
  // A value of each second, but none for a minute after every 80th.
  const times = Array.from({ length: 4000 }, (_, at) => at + 60 * Math.floor(at / 80));
  const values = times.map((_, at) => (at * 7919) % 1000);
  const gaps = times.filter((_, at) => at % 80 === 79).map((at) => at + 30);
  const { t, v } = thin(times, values, 0, times.at(-1)!, 100);
  assert.ok(t.length < times.length / 2, String(t.length));
  const series = emptySeries();
  times.forEach((at, index) => append(series, at, values[index]!));
  halve(series);
  for (const at of gaps) {
    const held = valueOf(times, values, times.length, at);
    assert.equal(valueOf(t, v, t.length, at), held);
    assert.equal(valueOf(series.t, series.v, series.length, at), held);
  }
});

Deno.test("the last value of a series holds to the end, and nothing is added to an empty one", () => {
  const series = seriesOf([5, 7]);
  for (const end of [9, 9, 4]) hold(series, end);
  assert.deepEqual(shown(series), [[0, 5], [1, 7], [9, 7]]);
  const empty = emptySeries();
  hold(empty, 9);
  assert.equal(empty.length, 0);
});
