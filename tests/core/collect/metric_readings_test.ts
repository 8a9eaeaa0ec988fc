import assert from "node:assert/strict";
import { type Cgroup, openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { MACHINE_FILES } from "../../../core/cgroup/machine.ts";
import { collectAll, recentCollections } from "../../../core/collect/metric_readings.ts";
import { meminfoOf } from "../../helpers/meminfo.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const open = (tree: Tree, path: string) => openCgroup(discover(tree.dir), path)!;
const monitored = (cgroups: readonly Cgroup[]) => cgroups.map((cgroup) => ({ cgroup }));

const upTo = (max: number) => ({ select: "all", max }) as const;

const PRESSURE = (some: number, full: number) =>
  `some avg10=0.00 avg60=0.00 avg300=0.00 total=${some}\n` +
  `full avg10=0.00 avg60=0.00 avg300=0.00 total=${full}\n`;

Deno.test("usage, working set, effective limit, headroom and pressure are read of each cgroup", async () => {
  using tree = makeTree(2, {
    "/pod": {
      "memory.max": 1000,
      "memory.current": 700,
      // Page cache is dropped before the limit is hit.
      "memory.stat": "anon 300\ninactive_file 200\nactive_file 0\n",
    },
    "/pod/c": {
      "memory.current": 400,
      "memory.max": 5000,
      "memory.stat": "anon 300\ninactive_file 100\nactive_file 0\n",
      "memory.pressure": PRESSURE(1500000, 250000),
    },
  });
  const { readings } = await collectAll(
    [{ cgroup: open(tree, "/pod/c"), imminent: 950 }],
    upTo(10),
  );
  const [{ pressure, ...reading }] = readings as [(typeof readings)[0]];
  assert.deepEqual(reading, {
    path: "/pod/c",
    usage: 400,
    workingSet: 300,
    limit: 1000,
    headroom: 500,
    percentLeft: 50,
    imminent: 950,
  });
  assert.deepEqual([pressure?.some?.total, pressure?.full?.total], [1500000n, 250000n]);
});

Deno.test("v1 has no pressure, and includes the limit of an ancestor that is hidden", async () => {
  const stat = "inactive_file 5\ntotal_inactive_file 50\nhierarchical_memory_limit 900\n";
  using tree = makeTree(1, { "/c": { "memory.stat": stat, "memory.usage_in_bytes": 300 } });
  const hidden = openCgroup({ ...discover(tree.dir), hidden: true }, "/c")!;
  const { readings: [reading] } = await collectAll(monitored([hidden]), upTo(10));
  assert.deepEqual([reading?.limit, reading?.headroom, reading?.workingSet], [900, 650, 250]);
  assert.equal(reading?.pressure, undefined);
});

Deno.test("what cannot be read or is truncated is unknown, never zero", async () => {
  using tree = makeTree(2, {
    "/a": {
      "memory.current": "",
      "memory.stat": undefined,
      "memory.max": "10",
      "memory.pressure": "",
    },
  });
  const { readings: [reading] } = await collectAll(monitored([open(tree, "/a")]), upTo(10));
  assert.deepEqual(reading, {
    path: "/a",
    usage: undefined,
    workingSet: undefined,
    limit: Infinity,
    headroom: undefined,
    percentLeft: Infinity,
    pressure: undefined,
    imminent: undefined,
  });
});

Deno.test("a cgroup that is gone, or was replaced by another of the same path, is left out and not counted as omitted", async () => {
  using tree = makeTree(2, { "/a": {}, "/b": {}, "/c": {} });
  const cgroups = ["/a", "/b", "/c"].map((path) => open(tree, path));
  tree.remove("/a");
  // The old one is kept, because the new one could get its inode.
  Deno.renameSync(`${tree.dir}/b`, `${tree.dir}/old`);
  tree.add("/b");
  const { readings, omitted } = await collectAll(monitored(cgroups), upTo(10));
  assert.deepEqual([readings.map(({ path }) => path), omitted], [["/c"], 0]);
});

Deno.test("beyond the maximum, the cgroups with the smallest share of their limit left are read", async () => {
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
  const collection = await collectAll(monitored([...cgroups, ...cgroups]), upTo(3));
  assert.deepEqual(collection.readings.map(({ path }) => path), ["/nearest", "/near", "/next"]);
  assert.deepEqual([collection.monitored, collection.omitted], [6, 0]);
  const { omitted } = await collectAll(monitored(cgroups), upTo(0));
  // Less than half of the limit is left of one.
  assert.equal(omitted, 1);
});

Deno.test("modes are counted over all cgroups, including omitted ones", async () => {
  using tree = makeTree(2, { "/a": {}, "/b": {}, "/c": {} });
  const modes = ["hold", "notify", "hold"];
  const guarded = ["/a", "/b", "/c"].map((path, at) => ({
    cgroup: open(tree, path),
    mode: modes[at]!,
  }));
  const { byMode } = await collectAll(guarded, upTo(1));
  assert.deepEqual(Object.fromEntries(byMode), { hold: 2, notify: 1 });
});

Deno.test("requests within a second, or during a collection, get the same collection", async () => {
  using tree = makeTree(2, { "/a": {} });
  let now = 0;
  let collections = 0;
  const cgroups = () => {
    collections += 1;
    return monitored([open(tree, "/a")]);
  };
  const collect = recentCollections(cgroups, upTo(10), () => now);
  const [first, second] = await Promise.all([collect(), collect()]);
  assert.equal(first, second);
  now = 999;
  assert.equal(await collect(), first);
  assert.equal(collections, 1);
  now = 100_000;
  assert.notEqual(await collect(), first);
  assert.equal(collections, 2);
});

Deno.test("a failed collection rejects, and the next request tries again", async () => {
  let works = false;
  const cgroups = () => {
    if (!works) throw new Error("no tree");
    return [];
  };
  const collect = recentCollections(cgroups, upTo(10), () => 0);
  await assert.rejects(collect(), /no tree/);
  works = true;
  assert.deepEqual((await collect()).readings, []);
});

Deno.test("the machine has its own usage and limit, not those of the root cgroup", async () => {
  using tree = makeTree(1, { "/": { "memory.usage_in_bytes": 5 } });
  const meminfo = `${tree.dir}/meminfo`;
  Deno.writeTextFileSync(meminfo, meminfoOf({ MemTotal: 1000, MemAvailable: 300 }));
  const machine = { ...MACHINE_FILES, meminfo };
  const collected = await collectAll(monitored([{ ...open(tree, "/"), machine }]), {
    select: "all",
    max: 10,
  });
  const [reading] = collected.readings;
  const mib = [reading?.usage, reading?.workingSet, reading?.limit, reading?.headroom]
    .map((bytes) => bytes! / 1024 ** 2);
  assert.deepEqual(mib, [700, 700, 1000, 300]);
});

Deno.test("cgroups are selected by their limit, and by the share of it that the working set leaves", async () => {
  const stat = "anon 0\ninactive_file 80\nactive_file 0\n";
  using tree = makeTree(2, {
    "/free": { "memory.current": 90 },
    "/idle": { "memory.max": 100, "memory.current": 10 },
    "/cached": { "memory.max": 100, "memory.current": 90, "memory.stat": stat },
    "/used": { "memory.max": 100, "memory.current": 90 },
    "/used/inner": { "memory.current": 5 },
  });
  const cgroups = monitored(
    ["/free", "/idle", "/cached", "/used", "/used/inner"].map((path) => open(tree, path)),
  );
  const selected = async (select: "all" | "limited" | "near" | "off") =>
    (await collectAll(cgroups, { select, max: 10 })).readings.map(({ path }) => path);
  assert.deepEqual(await selected("near"), ["/used", "/used/inner"]);
  assert.deepEqual(await selected("limited"), ["/used", "/used/inner", "/cached", "/idle"]);
  assert.deepEqual(await selected("all"), ["/used", "/used/inner", "/cached", "/idle", "/free"]);
  assert.deepEqual(await selected("off"), []);
});
