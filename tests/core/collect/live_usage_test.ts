import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { MACHINE_FILES } from "../../../core/cgroup/machine.ts";
import { LiveUsage, MAX_INTERVALS, UsageHistory } from "../../../core/collect/live_usage.ts";
import { meminfoOf } from "../../helpers/meminfo.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const open = (tree: Tree, ...paths: string[]) =>
  paths.map((path) => openCgroup(discover(tree.dir), path)!);

function liveUsage() {
  const clock = { now: 0 };
  const live = new LiveUsage(() => clock.now, () => Promise.resolve());
  return { clock, live };
}

for (const version of [1, 2] as const) {
  const [usage, limit] = version === 1
    ? ["memory.usage_in_bytes", "memory.limit_in_bytes"]
    : ["memory.current", "memory.max"];

  Deno.test(`v${version}: headroom and time left are those of the limit that is reached next`, async () => {
    using tree = makeTree(version, {
      "/pod": { [limit]: 100_000, [usage]: 50_000 },
      "/pod/c": { [limit]: 90_000, [usage]: 10_000 },
    });
    const { clock, live } = liveUsage();
    const cgroups = open(tree, "/pod/c");
    await live.round(cgroups);
    assert.deepEqual(live.of("/pod/c"), {
      usage: 10_000,
      limit: 90_000,
      headroom: 50_000,
      rate: undefined,
      timeLeft: undefined,
    });
    clock.now = 1000;
    tree.write("/pod", usage, "60000\n");
    tree.write("/pod/c", usage, "12000\n");
    await live.round(cgroups);
    const { headroom, rate, timeLeft } = live.of("/pod/c")!;
    assert.deepEqual([headroom, rate, timeLeft], [40_000, 2000, 4]);
    assert.equal(live.of("/pod"), undefined, "it is only an ancestor");
  });
}

Deno.test("time left is infinite without growth, 0 at the limit, and unknown without a limit", async () => {
  using tree = makeTree(2, {
    "/a": { "memory.max": 1000, "memory.current": 500 },
    "/b": { "memory.max": 1000, "memory.current": 1000 },
    "/c": { "memory.current": 5 },
  });
  const { clock, live } = liveUsage();
  for (clock.now of [0, 1000]) await live.round(open(tree, "/a", "/b", "/c"));
  assert.deepEqual(["/a", "/b", "/c"].map((path) => live.of(path)?.timeLeft), [
    Infinity,
    0,
    undefined,
  ]);
  assert.equal(live.of("/c")?.limit, Infinity);
});

Deno.test("a changed limit is shown within five seconds, though it is not read in each round", async () => {
  using tree = makeTree(2, { "/a": { "memory.max": 1000, "memory.current": 500 } });
  const { clock, live } = liveUsage();
  await live.round(open(tree, "/a"));
  tree.write("/a", "memory.max", "2000\n");
  const seen: (number | undefined)[] = [];
  for (clock.now = 1; clock.now <= 5001; clock.now += 1000) {
    await live.round(open(tree, "/a"));
    seen.push(live.of("/a")?.limit);
  }
  assert.equal(seen[0], 1000);
  assert.equal(seen.at(-1), 2000);
});

Deno.test("a cgroup that is gone, truncated or no longer requested is unknown, and other work gets its turn", async () => {
  using tree = makeTree(2, { "/a": { "memory.current": 1 }, "/b": { "memory.current": "" } });
  let turns = 0;
  let now = 0;
  const yieldTurn = () => {
    turns += 1;
    return Promise.resolve();
  };
  const live = new LiveUsage(() => now += 3, yieldTurn);
  const [a, b] = open(tree, "/a", "/b") as [never, never];
  await live.round([a, b]);
  assert.equal(live.of("/a")?.usage, 1);
  assert.equal(live.of("/b"), undefined);
  assert.ok(turns > 0);
  tree.remove("/a");
  await live.round([a, b]);
  assert.equal(live.of("/a"), undefined);
  await live.round([]);
  assert.deepEqual(live.history("/a"), []);
});

Deno.test("a history keeps the peak of each three seconds for three minutes, with gaps where nothing was added", () => {
  const history = new UsageHistory();
  assert.deepEqual([history.peaks(), history.rate()], [[], undefined]);
  for (const [at, value] of [[0, 1], [1000, 5], [2000, 2], [3000, 3], [9500, 4]] as const) {
    history.add(at, value);
  }
  assert.deepEqual(history.peaks(), [5, 3, undefined, 4]);
  for (let at = 12_000; at < 400_000; at += 1000) history.add(at, at);
  assert.equal(history.peaks().length, MAX_INTERVALS);
  assert.equal(history.peaks().at(-1), 399_000);
  history.add(10_000_000, 7);
  assert.deepEqual(history.peaks().filter((value) => value !== undefined), [7]);
  assert.equal(history.peaks().length, MAX_INTERVALS);
});

Deno.test("a rate is that of the last few values, and unknown after a long gap", () => {
  const history = new UsageHistory();
  for (let second = 0; second < 10; second++) {
    history.add(second * 1000, second < 5 ? 0 : 100 * second);
  }
  assert.equal(history.rate(), 100);
  history.add(100_000, 5000);
  assert.equal(history.rate(), undefined);
});

Deno.test("the limit of the machine is above all others", async () => {
  using tree = makeTree(2, {
    "/a": { "memory.max": 900 * 2 ** 20, "memory.current": 100 * 2 ** 20 },
  });
  const meminfo = `${tree.dir}/meminfo`;
  Deno.writeTextFileSync(meminfo, meminfoOf({ MemTotal: 1000, MemAvailable: 300 }));
  const [root, cgroup] = open(tree, "/", "/a");
  const { live } = liveUsage();
  await live.round([{ ...root!, machine: { ...MACHINE_FILES, meminfo } }, cgroup!]);
  assert.equal(live.of("/")?.limit, 1000 * 2 ** 20);
  assert.equal(live.of("/")?.usage, 700 * 2 ** 20);
  assert.equal(live.of("/a")?.headroom, 300 * 2 ** 20);
});
