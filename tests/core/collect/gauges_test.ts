import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { createUsageHistory, KEPT } from "../../../core/collect/usage_history.ts";
import { createGauges } from "../../../core/collect/gauges.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const open = (tree: Tree, ...paths: string[]) =>
  paths.map((path) => openCgroup(discover(tree.dir), path)!);

function gauged() {
  const clock = { now: 0 };
  const gauges = createGauges({ now: () => clock.now, rest: () => Promise.resolve() });
  return { clock, gauges };
}

for (const version of [1, 2] as const) {
  const [usage, limit] = version === 1
    ? ["memory.usage_in_bytes", "memory.limit_in_bytes"]
    : ["memory.current", "memory.max"];

  Deno.test(`v${version}: the limit that is hit next counts, and how fast its owner fills`, async () => {
    using tree = makeTree(version, {
      "/pod": { [limit]: 100_000, [usage]: 50_000 },
      "/pod/c": { [limit]: 90_000, [usage]: 10_000 },
    });
    const { clock, gauges } = gauged();
    const cgroups = open(tree, "/pod/c");
    await gauges.round(cgroups);
    assert.deepEqual(gauges.of("/pod/c"), {
      usage: 10_000,
      limit: 90_000,
      headroom: 50_000,
      rate: undefined,
      timeLeft: undefined,
    });
    clock.now = 1000;
    tree.write("/pod", usage, "60000\n");
    tree.write("/pod/c", usage, "12000\n");
    await gauges.round(cgroups);
    const { headroom, rate, timeLeft } = gauges.of("/pod/c")!;
    assert.deepEqual([headroom, rate, timeLeft], [40_000, 2000, 4]);
    assert.equal(gauges.of("/pod"), undefined, "nobody asked for it");
  });
}

Deno.test("what does not grow never gets there, what is at its limit is there, without a limit nothing is known", async () => {
  using tree = makeTree(2, {
    "/a": { "memory.max": 1000, "memory.current": 500 },
    "/b": { "memory.max": 1000, "memory.current": 1000 },
    "/c": { "memory.current": 5 },
  });
  const { clock, gauges } = gauged();
  for (clock.now of [0, 1000]) await gauges.round(open(tree, "/a", "/b", "/c"));
  assert.deepEqual(["/a", "/b", "/c"].map((path) => gauges.of(path)?.timeLeft), [
    Infinity,
    0,
    undefined,
  ]);
  assert.equal(gauges.of("/c")?.limit, Infinity);
});

Deno.test("a limit that is changed is seen within five seconds, though it is not read each time", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 1000, "memory.current": 500 } });
  const { clock, gauges } = gauged();
  await gauges.round(open(tree, "/a"));
  tree.write("/a", "memory.max", "2000\n");
  const seen: (number | undefined)[] = [];
  for (clock.now = 1; clock.now <= 5001; clock.now += 1000) {
    await gauges.round(open(tree, "/a"));
    seen.push(gauges.of("/a")?.limit);
  }
  assert.equal(seen[0], 1000);
  assert.equal(seen.at(-1), 2000);
});

Deno.test("who is gone, torn or not asked for any more is not known, and others have their turn", async () => {
  using tree = makeTree(2, { "/a": { "memory.current": 1 }, "/b": { "memory.current": "" } });
  let turns = 0;
  let now = 0;
  const rest = () => {
    turns += 1;
    return Promise.resolve();
  };
  const gauges = createGauges({ now: () => now += 3, rest });
  const [a, b] = open(tree, "/a", "/b") as [never, never];
  await gauges.round([a, b]);
  assert.equal(gauges.of("/a")?.usage, 1);
  assert.equal(gauges.of("/b"), undefined);
  assert.ok(turns > 0);
  tree.remove("/a");
  await gauges.round([a, b]);
  assert.equal(gauges.of("/a"), undefined);
  await gauges.round([]);
  assert.deepEqual(gauges.course("/a"), []);
});

Deno.test("a course keeps the peak of each three seconds, three minutes long, with gaps where nothing was seen", () => {
  const course = createUsageHistory();
  assert.deepEqual([course.values(), course.rate()], [[], undefined]);
  for (const [at, value] of [[0, 1], [1000, 5], [2000, 2], [3000, 3], [9500, 4]] as const) {
    course.note(at, value);
  }
  assert.deepEqual(course.values(), [5, 3, undefined, 4]);
  for (let at = 12_000; at < 400_000; at += 1000) course.note(at, at);
  assert.equal(course.values().length, KEPT);
  assert.equal(course.values().at(-1), 399_000);
  course.note(10_000_000, 7);
  assert.deepEqual(course.values().filter((value) => value !== undefined), [7]);
  assert.equal(course.values().length, KEPT);
});

Deno.test("a rate is that of the last few notes, and not across a long silence", () => {
  const course = createUsageHistory();
  for (let second = 0; second < 10; second++) {
    course.note(second * 1000, second < 5 ? 0 : 100 * second);
  }
  assert.equal(course.rate(), 100);
  course.note(100_000, 5000);
  assert.equal(course.rate(), undefined);
});
