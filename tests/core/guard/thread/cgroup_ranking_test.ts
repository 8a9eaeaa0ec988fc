import assert from "node:assert/strict";
import { openCgroup } from "../../../../core/cgroup/cgroup.ts";
import { discover } from "../../../../core/cgroup/hierarchy.ts";
import { CgroupRanking } from "../../../../core/guard/thread/cgroup_ranking.ts";
import type { CgroupOrder } from "../../../../core/policy/victim_order.ts";
import { makeTree, type Tree } from "../../../helpers/trees.ts";

/** Milliseconds; a reading takes less than a hundredth of that. */
const LATER = 1_000_000;

const scanned = (pages: number) => ({ "memory.stat": `anon 0\nfile 0\npgscan ${pages}\n` });

const rankingOf = (tree: Tree, order: CgroupOrder) =>
  new CgroupRanking(openCgroup(discover(tree.dir), "/")!, order);

const placesIn = (ranking: CgroupRanking, now: number) =>
  Object.fromEntries([...ranking.ranks(now)].map(([path, { place }]) => [path, place]));

Deno.test("pages count from the last reading, a second ago or more, and from the beginning in a new cgroup", () => {
  using tree = makeTree(2, { "/old": scanned(1000), "/other": scanned(500) });
  const ranking = rankingOf(tree, "pgscan");
  assert.deepEqual(placesIn(ranking, 0), { "/old": 0, "/other": 1 });
  tree.write("/other", "memory.stat", "pgscan 520\n");
  assert.deepEqual(placesIn(ranking, LATER / 2), { "/other": 0 });
  tree.write("/old", "memory.stat", "pgscan 1030\n");
  tree.add("/new", scanned(25));
  assert.deepEqual(placesIn(ranking, LATER / 2 + 500), { "/other": 0 }, "less than a second later");
  assert.deepEqual(placesIn(ranking, LATER), { "/old": 0, "/new": 1 });
});

Deno.test("pages that were scanned before the last ten seconds below the warn level do not count", () => {
  using tree = makeTree(2, { "/backup": scanned(9000), "/thrashing": scanned(0) });
  const ranking = rankingOf(tree, "pgscan");
  ranking.keepBaseline(0);
  tree.write("/thrashing", "memory.stat", "pgscan 50\n");
  assert.deepEqual(placesIn(ranking, 2000), { "/thrashing": 0 });
  const other = rankingOf(tree, "pgscan");
  other.keepBaseline(0);
  tree.write("/thrashing", "memory.stat", "pgscan 60\n");
  other.keepBaseline(LATER);
  assert.deepEqual(placesIn(other, LATER + 1), { "/thrashing": 0 }, "a moment after a reading");
});

Deno.test("a cgroup with less than before is another one of its name", () => {
  using tree = makeTree(2, { "/a": scanned(1000), "/b": scanned(1) });
  const ranking = rankingOf(tree, "pgscan");
  placesIn(ranking, 0);
  tree.write("/a", "memory.stat", "pgscan 9\n");
  tree.write("/b", "memory.stat", "pgscan 6\n");
  assert.deepEqual(placesIn(ranking, LATER), { "/a": 0, "/b": 1 });
});

Deno.test("the lowest cgroups are ranked, or the one with memory.oom.group for all below it", () => {
  const swap = (bytes: number) => ({ "memory.swap.current": bytes });
  using tree = makeTree(2, {
    "/slice": swap(9000),
    "/slice/leaf": swap(5000),
    "/slice/leaf/no-controller": { "memory.stat": undefined, "memory.swap.current": undefined },
    "/group": { ...swap(8000), "memory.oom.group": 1 },
    "/group/a": swap(1000),
    "/group/a/b": swap(1000),
  });
  assert.deepEqual(placesIn(rankingOf(tree, "swap"), 0), {
    "/group": 0,
    "/group/a": 0,
    "/group/a/b": 0,
    "/slice/leaf": 1,
    "/slice/leaf/no-controller": 1,
  });
});

Deno.test("v1 has the use of swap", () => {
  const stat = (swap: number) => ({ "memory.stat": `total_swap ${swap}\n` });
  using tree = makeTree(1, { "/a": stat(10), "/b": stat(20) });
  assert.deepEqual(placesIn(rankingOf(tree, "swap"), 0), { "/b": 0, "/a": 1 });
});

Deno.test("pressure is the share of the last 10 s in which all processes waited", () => {
  const pressed = (avg10: string) => ({
    ...scanned(1),
    "memory.pressure": `some avg10=99.00 avg60=0.00 avg300=0.00 total=0\n` +
      `full avg10=${avg10} avg60=0.00 avg300=0.00 total=0\n`,
  });
  using tree = makeTree(2, { "/a": pressed("1.50"), "/b": pressed("12.25") });
  assert.deepEqual(Object.fromEntries(rankingOf(tree, "pressure").ranks(0)), {
    "/a": { by: "pressure", place: 1, value: 1.5 },
    "/b": { by: "pressure", place: 0, value: 12.25 },
  });
});

const holding = (bytes: number, cache = 0, swap = 0) => ({
  "memory.current": bytes + cache,
  "memory.stat": `anon ${bytes}\nfile ${cache}\ninactive_file ${cache}\nactive_file 0\n`,
  "memory.swap.current": swap,
});

function hold(tree: Tree, path: string, ...figures: Parameters<typeof holding>): void {
  for (const [file, text] of Object.entries(holding(...figures))) tree.write(path, file, text);
}

Deno.test("growth counts from the first reading, also in swap, and page cache is none", () => {
  using tree = makeTree(2, {
    "/big": holding(9000),
    "/leak": holding(10),
    "/swapped": holding(10),
  });
  const ranking = rankingOf(tree, "growth");
  ranking.keepBaseline(0);
  hold(tree, "/big", 9000, 5000);
  hold(tree, "/leak", 400);
  hold(tree, "/swapped", 0, 0, 200);
  assert.deepEqual(placesIn(ranking, 1), { "/leak": 0, "/swapped": 1 }, "at once");
});

Deno.test("below the warn level there is a reading every ten seconds, and none for the use of swap", () => {
  using tree = makeTree(2, { "/a": holding(10) });
  const ranking = rankingOf(tree, "growth");
  ranking.keepBaseline(0);
  hold(tree, "/a", 60);
  ranking.keepBaseline(9_999);
  assert.deepEqual([...ranking.ranks(10_999)].length, 1);
  const other = rankingOf(tree, "swap");
  other.keepBaseline(0);
  hold(tree, "/a", 60, 0, 5);
  assert.equal(other.ranks(0).size, 1, "nothing was read before");
});

Deno.test("many cgroups are read in parts, and until then the ranks before apply", () => {
  using tree = makeTree(2, { "/a": scanned(1), "/b": scanned(2), "/c": scanned(3) });
  const ranking = new CgroupRanking(openCgroup(discover(tree.dir), "/")!, "pgscan", 0);
  assert.deepEqual(placesIn(ranking, 0), { "/c": 0, "/b": 1, "/a": 2 }, "the first one whole");
  assert.ok(!ranking.isReading);
  tree.write("/a", "memory.stat", "pgscan 900\n");
  assert.equal(ranking.keepUpToDate(LATER), false);
  assert.deepEqual(placesIn(ranking, LATER), { "/c": 0, "/b": 1, "/a": 2 });
  while (ranking.isReading) ranking.keepUpToDate(LATER);
  assert.deepEqual(placesIn(ranking, LATER), { "/a": 0 });
});

Deno.test("a baseline that is read in parts is complete before another is begun", () => {
  using tree = makeTree(2, { "/a": holding(10), "/b": holding(10) });
  const ranking = new CgroupRanking(openCgroup(discover(tree.dir), "/")!, "growth", 0);
  do ranking.keepBaseline(0); while (ranking.isReading);
  hold(tree, "/b", 60);
  assert.deepEqual(placesIn(ranking, 1), {}, "a reading has begun");
  while (ranking.isReading) ranking.keepUpToDate(2);
  assert.deepEqual(placesIn(ranking, 3), { "/b": 0 });
});

Deno.test("victims are selected by the growth of now, where usage has changed by a mebibyte", () => {
  using tree = makeTree(2, { "/a": holding(10), "/b": holding(10) });
  const ranking = new CgroupRanking(openCgroup(discover(tree.dir), "/")!, "growth", 0);
  do ranking.keepBaseline(0); while (ranking.isReading);
  hold(tree, "/b", 2 ** 21);
  assert.deepEqual(placesIn(ranking, 150), { "/b": 0 });
  assert.ok(ranking.isReading, "the next reading is not complete");
  hold(tree, "/a", 2 ** 22);
  hold(tree, "/b", 2 ** 21 + 1000);
  const ranks = ranking.ranks(300);
  assert.deepEqual([...ranks].map(([path, { value }]) => [path, value]), [
    ["/a", 2 ** 22 - 10],
    ["/b", 2 ** 21 - 10],
  ]);
});
