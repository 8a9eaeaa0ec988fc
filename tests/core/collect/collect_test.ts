import assert from "node:assert/strict";
import { type Cgroup, openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { collectAll } from "../../../core/collect/collect.ts";
import { createCollectorLoop } from "../../../core/collect/collect.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const open = (tree: Tree, path: string) => openCgroup(discover(tree.dir), path)!;
const followed = (cgroups: readonly Cgroup[]) => cgroups.map((cgroup) => ({ cgroup }));

const PRESSURE = (some: number, full: number) =>
  `some avg10=0.00 avg60=0.00 avg300=0.00 total=${some}\n` +
  `full avg10=0.00 avg60=0.00 avg300=0.00 total=${full}\n`;

Deno.test("usage, working set, effective limit, headroom and pressure are read of each cgroup", async () => {
  using tree = makeTree(2, {
    "/pod": { "memory.max": 1000, "memory.current": 700 },
    "/pod/c": {
      "memory.current": 400,
      "memory.max": 5000,
      "memory.stat": "anon 300\ninactive_file 100\nactive_file 0\n",
      "memory.pressure": PRESSURE(1500000, 250000),
    },
  });
  const { readings } = await collectAll([{ cgroup: open(tree, "/pod/c"), threshold: 950 }], 10);
  const [{ pressure, ...reading }] = readings as [(typeof readings)[0]];
  assert.deepEqual(reading, {
    path: "/pod/c",
    usage: 400,
    workingSet: 300,
    limit: 1000,
    headroom: 300,
    threshold: 950,
  });
  assert.deepEqual([pressure?.some?.total, pressure?.full?.total], [1500000n, 250000n]);
});

Deno.test("v1 has no pressure, and counts the limit of an ancestor that cannot be seen", async () => {
  const stat = "inactive_file 5\ntotal_inactive_file 50\nhierarchical_memory_limit 900\n";
  using tree = makeTree(1, { "/c": { "memory.stat": stat, "memory.usage_in_bytes": 300 } });
  const hidden = openCgroup({ ...discover(tree.dir), hidden: true }, "/c")!;
  const { readings: [reading] } = await collectAll(followed([hidden]), 10);
  assert.deepEqual([reading?.limit, reading?.headroom, reading?.workingSet], [900, 600, 250]);
  assert.equal(reading?.pressure, undefined);
});

Deno.test("what cannot be read or is torn is not known, and never zero", async () => {
  using tree = makeTree(2, {
    "/a": {
      "memory.current": "",
      "memory.stat": undefined,
      "memory.max": "10",
      "memory.pressure": "",
    },
  });
  const { readings: [reading] } = await collectAll(followed([open(tree, "/a")]), 10);
  assert.deepEqual(reading, {
    path: "/a",
    usage: undefined,
    workingSet: undefined,
    limit: Infinity,
    headroom: undefined,
    pressure: undefined,
    threshold: undefined,
  });
});

Deno.test("a cgroup that is gone, or another with its name, is left out and not counted as unlisted", async () => {
  using tree = makeTree(2, { "/a": {}, "/b": {}, "/c": {} });
  const cgroups = ["/a", "/b", "/c"].map((path) => open(tree, path));
  tree.remove("/a");
  // Kept until the new one is there, so that the inode is another.
  Deno.renameSync(`${tree.dir}/b`, `${tree.dir}/old`);
  tree.add("/b");
  const { readings, omitted } = await collectAll(followed(cgroups), 10);
  assert.deepEqual([readings.map(({ path }) => path), omitted], [["/c"], 0]);
});

Deno.test("of more than the bound those with least headroom are told, and those left out are counted", async () => {
  const limits = { "/far": 1000, "/near": 200, "/free": "max\n", "/nearest": 150, "/next": 300 };
  using tree = makeTree(
    2,
    Object.fromEntries(
      Object.entries(limits).map(([path, max]) => [
        path,
        { "memory.max": max, "memory.current": 100 },
      ]),
    ),
  );
  const long = { ...open(tree, "/free"), path: `/${"x".repeat(2000)}` };
  const cgroups = [...Object.keys(limits).map((path) => open(tree, path)), long];
  const sweep = await collectAll(followed([...cgroups, ...cgroups]), 3);
  assert.deepEqual(sweep.readings.map(({ path }) => path), ["/nearest", "/near", "/next"]);
  assert.deepEqual([sweep.followed, sweep.omitted], [6, 3]);
});

Deno.test("modes are counted over all, also those that are not told", async () => {
  using tree = makeTree(2, { "/a": {}, "/b": {}, "/c": {} });
  const modes = ["hold", "notify", "hold"];
  const guarded = ["/a", "/b", "/c"].map((path, at) => ({
    cgroup: open(tree, path),
    mode: modes[at]!,
  }));
  const { byMode } = await collectAll(guarded, 1);
  assert.deepEqual(Object.fromEntries(byMode), { hold: 2, notify: 1 });
});

Deno.test("who asks within the second, or meanwhile, gets the same round", async () => {
  using tree = makeTree(2, { "/a": {} });
  let now = 0;
  let rounds = 0;
  const cgroups = () => {
    rounds += 1;
    return followed([open(tree, "/a")]);
  };
  const sweep = createCollectorLoop({ cgroups, most: 10, now: () => now });
  const [first, second] = await Promise.all([sweep(), sweep()]);
  assert.equal(first, second);
  now = 999;
  assert.equal(await sweep(), first);
  assert.equal(rounds, 1);
  now = 100_000;
  assert.notEqual(await sweep(), first);
  assert.equal(rounds, 2);
});

Deno.test("a round that failed is told to who asked, and the next is tried anew", async () => {
  let works = false;
  const cgroups = () => {
    if (!works) throw new Error("no tree");
    return [];
  };
  const sweep = createCollectorLoop({ cgroups, most: 10, now: () => 0 });
  await assert.rejects(sweep(), /no tree/);
  works = true;
  assert.deepEqual((await sweep()).readings, []);
});
