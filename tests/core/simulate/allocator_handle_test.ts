import assert from "node:assert/strict";
import fc from "fast-check";
import { createStepFilter } from "../../../core/simulate/allocator_handle.ts";

Deno.test("a steady rise to the limit gives sixteen rows, whatever the step size", () => {
  fc.assert(fc.property(fc.integer({ min: 16, max: 5000 }), (steps) => {
    const isNews = createStepFilter(1e9);
    let rows = 0;
    for (let step = 1; step <= steps; step++) if (isNews(1e9 * step / steps)) rows++;
    assert.equal(rows, 16);
  }));
});

Deno.test("usage that wavers around a boundary gives one row", () => {
  const isNews = createStepFilter(1600);
  assert.equal(isNews(100), true);
  for (const usage of [99, 101, 60, 100, 120]) assert.equal(isNews(usage), false, String(usage));
});

Deno.test("a fall gives a row, and so does the rise after it", () => {
  const isNews = createStepFilter(1600);
  assert.equal(isNews(800), true);
  assert.equal(isNews(0), true);
  assert.equal(isNews(100), true);
});
