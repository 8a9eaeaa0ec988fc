import assert from "node:assert/strict";
import fc from "fast-check";
import { CappedCounts } from "../../../../core/receivers/prometheus/event_counts.ts";

const all = (counts: CappedCounts) => Object.fromEntries(counts.entries());

Deno.test("beyond the bound the name that was counted longest ago is added to other", () => {
  const counts = new CappedCounts(2);
  for (const name of ["a", "b", "a", "c"]) counts.add(name);
  assert.deepEqual(all(counts), { a: 2n, c: 1n, other: 1n });
});

Deno.test("a protected name is not dropped, however long ago it was counted", () => {
  const counts = new CappedCounts(2, (name) => name === "a");
  for (const name of ["a", "b", "c", "d"]) counts.add(name);
  assert.deepEqual(all(counts), { a: 1n, d: 1n, other: 2n });
});

Deno.test("for any input the names are bounded, the sum is exact, and no count falls while its name stays", () => {
  const names = fc.array(fc.integer({ min: 0, max: 20 }).map((n) => n === 0 ? "other" : `/${n}`));
  fc.assert(fc.property(names, fc.integer({ min: 1, max: 5 }), (added, most) => {
    const counts = new CappedCounts(most);
    let before = all(counts);
    for (const [at, name] of added.entries()) {
      counts.add(name);
      const now = all(counts);
      assert.ok(Object.keys(now).filter((each) => each !== "other").length <= most);
      assert.equal(Object.values(now).reduce((a, b) => a + b, 0n), BigInt(at + 1));
      for (const [each, count] of Object.entries(now)) assert.ok(count >= (before[each] ?? 0n));
      before = now;
    }
  }));
});
