import assert from "node:assert/strict";
import fc from "fast-check";
import { createCoalescer } from "../../../core/simulate/coalesce.ts";

Deno.test("a steady rise to the limit is sixteen rows, however fine its steps", () => {
  fc.assert(fc.property(fc.integer({ min: 16, max: 5000 }), (steps) => {
    const isNews = createCoalescer(1e9);
    let rows = 0;
    for (let step = 1; step <= steps; step++) if (isNews(1e9 * step / steps)) rows++;
    assert.equal(rows, 16);
  }));
});

Deno.test("usage that wavers around a boundary is one row", () => {
  const isNews = createCoalescer(1600);
  assert.equal(isNews(100), true);
  for (const usage of [99, 101, 60, 100, 120]) assert.equal(isNews(usage), false, String(usage));
});

Deno.test("a fall is news, and so is the rise after it", () => {
  const isNews = createCoalescer(1600);
  assert.equal(isNews(800), true);
  assert.equal(isNews(0), true);
  assert.equal(isNews(100), true);
});
