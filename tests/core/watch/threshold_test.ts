import assert from "node:assert/strict";
import { type ReportedCrossing, Threshold } from "../../../core/watch/threshold.ts";

/** A threshold of 1000 bytes, and what it reports as `[time, direction, suppressed]`. */
function makeThreshold(bytes = 1000) {
  const threshold = new Threshold(bytes);
  const found: [number, string, number][] = [];
  const add = (now: number, crossing: ReportedCrossing | undefined) => {
    if (crossing) found.push([now, crossing.direction, crossing.suppressed]);
  };
  return {
    threshold,
    found,
    read(now: number, usage: number, newPeak?: number) {
      add(now, threshold.takeDue(now));
      const reading = { usage, newPeak, limit: null, source: "eventfd" } as const;
      add(now, threshold.rise(reading, now));
      add(now, threshold.fall(reading, now));
    },
    end(now: number) {
      add(now, threshold.takeDue(now, true));
    },
  };
}

Deno.test("the first crossing in each direction is reported immediately", () => {
  const { read, found } = makeThreshold();
  [[0, 900], [1, 1000], [2, 2000], [3, 100]].forEach(([now, usage]) => read(now!, usage!));
  assert.deepEqual(found, [[1, "above", 0], [3, "below", 0]]);
});

Deno.test("usage has fallen below a threshold when it is 5 % below it", () => {
  const { read, found, threshold } = makeThreshold();
  for (let now = 0; now < 100_000; now += 1000) {
    read(now, 1001);
    read(now + 500, 950);
  }
  assert.deepEqual(found, [[0, "above", 0]]);
  assert.ok(threshold.isInHysteresis(950));
  read(100_000, 949);
  assert.deepEqual(found.at(-1), [100_000, "below", 0]);
  assert.ok(!threshold.isInHysteresis(949));
});

Deno.test("usage that swings across a threshold is reported once in ten seconds and direction, and every crossing is counted", () => {
  const { read, found, end } = makeThreshold();
  let crossings = 0;
  for (let now = 0; now < 25_000; now += 8) read(now, crossings++ % 2 === 0 ? 1500 : 500);
  const { length } = found;
  assert.ok(length <= 6, `${length} reports in 25 s`);
  end(25_000);
  const reported = found.reduce((sum, [, , suppressed]) => sum + 1 + suppressed, 0);
  assert.equal(reported, crossings);
});

Deno.test("a crossing that was held back is reported when ten seconds are over, with the number of the others", () => {
  const { read, found, threshold } = makeThreshold();
  [[0, 1500], [1, 500], [2, 1500], [3, 500], [4, 1500]].forEach(([now, usage]) =>
    read(now!, usage!)
  );
  assert.deepEqual(found.splice(0), [[0, "above", 0], [1, "below", 0]]);
  assert.equal(threshold.dueAt, 10_000);
  read(9999, 1500);
  assert.deepEqual(found, []);
  read(10_000, 1500);
  assert.deepEqual(found, [[10_000, "above", 2]]);
  assert.equal(threshold.dueAt, Infinity);
});

Deno.test("a crossing that is over before usage is read is found in the peak", () => {
  const { read, found } = makeThreshold();
  read(0, 500, 1200);
  assert.deepEqual(found, [[0, "above", 0], [0, "below", 0]]);
});

Deno.test("a held back crossing has the usage at which it happened", () => {
  const threshold = new Threshold(1000);
  const reading = (usage: number) => ({ usage, limit: 2000, source: "eventfd" } as const);
  threshold.rise(reading(1100), 0);
  threshold.fall(reading(100), 1);
  threshold.rise(reading(1234), 2);
  const crossing = threshold.takeDue(20_000)!;
  assert.deepEqual([crossing.usage, crossing.limit, crossing.threshold], [1234, 2000, 1000]);
});
