import assert from "node:assert/strict";
import { GrowthWindow } from "../../../../core/guard/thread/growth_window.ts";

const reading = (bytes: number) => new Map([["/a", bytes]]);

Deno.test("growth is counted from the last reading that is a minute old, or the first one", () => {
  const window = new GrowthWindow();
  assert.equal(window.of("/a", 5), undefined);
  for (let second = 0; second <= 100; second++) window.add(second * 1000, reading(second));
  assert.equal(window.of("/a", 100), 60);
  assert.equal(window.of("/new", 7), 7);
});

Deno.test("after a long time without a reading growth is counted from the one before it", () => {
  const window = new GrowthWindow();
  window.add(0, reading(1));
  window.add(10_000, reading(2));
  assert.equal(window.of("/a", 9), 8);
  window.add(500_000, reading(4));
  assert.equal(window.of("/a", 9), 7);
});

Deno.test("a cgroup that was removed and made again has grown from nothing", () => {
  const window = new GrowthWindow();
  window.add(0, reading(900));
  window.add(10_000, new Map());
  window.add(20_000, reading(300));
  assert.equal(window.of("/a", 400), 400);
});
