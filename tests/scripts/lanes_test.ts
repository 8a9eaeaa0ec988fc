import assert from "node:assert/strict";
import { inLanes, shards } from "../../scripts/test_stages/lanes.ts";

Deno.test("at most one job per lane runs at a time, and results keep the order of the jobs", async () => {
  const ends: (() => void)[] = [];
  let [running, most] = [0, 0];
  const job = (name: string) => async () => {
    most = Math.max(most, ++running);
    await new Promise<void>((resolve) => ends.push(resolve));
    running--;
    return name;
  };
  const done = inLanes([job("a"), job("b"), job("c")], 2);
  // The second ends first, and the third takes its lane.
  ends[1]!();
  while (ends.length < 3) await Promise.resolve();
  ends[2]!();
  ends[0]!();
  assert.deepEqual(await done, ["a", "b", "c"]);
  assert.equal(most, 2);
});

Deno.test("a failing job rejects", async () => {
  const bad = () => Promise.reject(new Error("no"));
  await assert.rejects(inLanes([bad, () => Promise.resolve(1)], 2), /no/);
});

Deno.test("files are split by weight, the heaviest first, each into exactly one part", () => {
  const files = [["a", 5], ["b", 9], ["c", 4], ["d", 6]].map(([path, weight]) => ({
    path: String(path),
    weight: Number(weight),
  }));
  assert.deepEqual(shards(files, 2), [["b", "c"], ["a", "d"]]);
  assert.deepEqual(shards(files.slice(0, 1), 3), [["a"]]);
  assert.deepEqual(shards([], 1), []);
});
