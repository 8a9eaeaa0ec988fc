import assert from "node:assert/strict";
import { PressureWindow } from "../../../core/policy/pressure_window.ts";

const TEN_PERCENT = { kind: "full", share: 0.1, window: 10_000 } as const;

/** Samples every 100 ms. @param stalls whether processes wait at this time. @returns when the condition was first reached. */
function reachedAt(stalls: (at: number) => boolean, until: number): number | undefined {
  const window = new PressureWindow(TEN_PERCENT);
  let total = 5_000_000;
  for (let at = 0; at <= until; at += 100) {
    window.add(at, total);
    if (window.isReached(at, total)) return at;
    if (stalls(at)) total += 100_000;
  }
}

Deno.test("a share of stall is reached when it was that over the whole window", () => {
  assert.equal(reachedAt(() => true, 60_000), 10_000, "not before a window is over");
  assert.equal(reachedAt((at) => at % 1000 === 0, 60_000), 10_000, "a tenth of the time");
  assert.equal(reachedAt((at) => at % 1200 === 0, 60_000), undefined, "less than a tenth");
  assert.equal(reachedAt(() => false, 60_000), undefined);
  const late = reachedAt((at) => at >= 30_000, 60_000)!;
  assert.ok(late >= 31_000 && late <= 31_500, `a second of stall after a quiet time: ${late}`);
});

Deno.test("after a kill the stall of another whole window counts", () => {
  const window = new PressureWindow(TEN_PERCENT);
  for (let at = 0; at <= 10_000; at += 500) window.add(at, 1000 * at);
  assert.ok(window.isReached(10_000, 10_000_000));
  window.restart();
  window.add(10_000, 10_000_000);
  assert.ok(!window.isReached(15_000, 15_000_000));
  assert.ok(window.isReached(20_000, 20_000_000));
});

Deno.test("samples that are late make the window longer, not the share larger", () => {
  const window = new PressureWindow(TEN_PERCENT);
  window.add(0, 0);
  assert.ok(!window.isReached(100_000, 5_000_000));
  assert.ok(window.isReached(100_000, 10_000_000));
});
