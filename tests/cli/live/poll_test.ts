import assert from "node:assert/strict";
import { Poller, type Subject } from "../../../cli/live/poll.ts";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { pageSize } from "../../../core/kernel/page_size.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";
import { kill, MIB } from "./rows.ts";

// Loads libc before the tests, which would report it as a leak.
pageSize();

const subjectOf = (tree: Tree, path: string, rest: Partial<Subject> = {}): Subject => {
  const cgroup = openCgroup(discover(tree.dir), path)!;
  return { cgroup, limitOwner: cgroup, marks: () => [], ...rest };
};

const FILES = {
  "memory.max": 64 * MIB,
  "memory.current": 40 * MIB,
  "memory.stat": `anon 1\ninactive_file ${10 * MIB}\nactive_file 0\n`,
};

Deno.test("a few values are read of every cgroup, and the rest of those on the screen", async () => {
  using tree = makeTree(2, { "/a": FILES, "/b": FILES });
  const subjects = ["/a", "/b"].map((path) => subjectOf(tree, path));
  const poller = new Poller(() => subjects, () => 0);
  assert.ok(await poller.round() >= 1000);
  const [a, b] = poller.rows();
  assert.equal(a?.usage, 40 * MIB);
  assert.deepEqual([a?.workingSet, a?.pressure, a?.history], [undefined, undefined, []]);
  const [readShown] = poller.readShown([b!]);
  assert.equal(readShown?.workingSet, 30 * MIB);
  assert.equal(readShown?.pressure?.some?.avg10, 0);
  assert.deepEqual(readShown?.history, [40 * MIB]);
});

Deno.test("a guard's row has its limit and levels, and the usage of the limit's owner", async () => {
  using tree = makeTree(2, { "/pod": { ...FILES, "memory.current": 50 * MIB }, "/pod/c": FILES });
  const usage_cgroup = openCgroup(discover(tree.dir), "/pod")!;
  const marks = () => [{ name: "imminent", bytes: 55 * MIB }];
  const subject = subjectOf(tree, "/pod/c", {
    victims: () => [" 1  pid 7 (a)"],
    limitOwner: usage_cgroup,
    limit: 60 * MIB,
    mode: "notify",
    marks,
  });
  const poller = new Poller(() => [subject], () => 0);
  await poller.round();
  const [row] = poller.rows();
  assert.deepEqual([row?.path, row?.usage, row?.limit, row?.headroom], [
    "/pod/c",
    50 * MIB,
    60 * MIB,
    10 * MIB,
  ]);
  assert.deepEqual([row?.mode, row?.marks], ["notify", marks()]);
  assert.deepEqual(poller.details({ path: "/pod/c" }).victims, [" 1  pid 7 (a)"]);
});

Deno.test("a removed cgroup keeps its last row for 10 s, with kills for a minute, and then row and counts are dropped", async () => {
  using tree = makeTree(2, { "/a": FILES });
  let subjects = [subjectOf(tree, "/a")];
  let now = 0;
  const poller = new Poller(() => subjects, () => now);
  poller.count(kill("/a", 7));
  await poller.round();
  assert.equal(poller.rows()[0]?.counts.kills, 1);
  subjects = [];
  await poller.round();
  const row = poller.rows()[0]!;
  assert.deepEqual([row.isRemoved, row.usage, row.removedFor], [true, 40 * MIB, 0]);
  assert.deepEqual(poller.readShown(poller.rows()), poller.rows());
  poller.count(kill("/a", 8));
  now = 59_000;
  await poller.round();
  const later = poller.rows()[0]!;
  assert.deepEqual([later.removedFor, later.counts.kills, later.counts.kernelVictim], [
    59,
    2,
    "tail (8)",
  ]);
  now = 60_000;
  await poller.round();
  assert.deepEqual(poller.rows(), []);
  subjects = [subjectOf(tree, "/a")];
  await poller.round();
  assert.deepEqual(poller.rows().map(({ isRemoved, counts }) => [isRemoved, counts.kills]), [[
    false,
    0,
  ]]);
  subjects = [];
  await poller.round();
  now += 10_000;
  await poller.round();
  assert.deepEqual(poller.rows(), [], "without kills it is dropped sooner");
});

Deno.test("pressure is read of every cgroup only if the rows are sorted by it", async () => {
  using tree = makeTree(2, { "/a": FILES });
  const subjects = [subjectOf(tree, "/a")];
  const poller = new Poller(() => subjects, () => 0);
  await poller.round();
  assert.equal(poller.rows()[0]?.pressure, undefined);
  await poller.round({ sort: "pressure" });
  assert.equal(poller.rows()[0]?.pressure?.some?.avg10, 0);
});

Deno.test("details are those of inspect, read at most once a second, and kept after removal", async () => {
  using tree = makeTree(2, { "/a": FILES });
  let subjects = [subjectOf(tree, "/a")];
  let now = 0;
  const poller = new Poller(() => subjects, () => now);
  await poller.round();
  const first = poller.details({ path: "/a" });
  assert.equal(first.found?.inspection.snapshot.usage, 40 * MIB);
  tree.write("/a", "memory.current", `${50 * MIB}\n`);
  assert.equal(poller.details(first), first);
  now = 2000;
  const second = poller.details(first);
  assert.equal(second.found?.inspection.snapshot.usage, 50 * MIB);
  subjects = [];
  now = 4000;
  await poller.round();
  assert.deepEqual(poller.details(second), { ...second, error: "/a was removed" });
});

Deno.test("a kill in a cgroup without a row is counted in the innermost row around it, and in the totals", async () => {
  using tree = makeTree(2, { "/a": FILES, "/a/b": FILES, "/other": FILES });
  const subjects = ["/a", "/a/b"].map((path) => subjectOf(tree, path));
  const poller = new Poller(() => subjects, () => 0);
  const kills = () => poller.rows().map(({ counts }) => counts.kills);
  await poller.round();
  poller.count(kill("/a/b/c/d", 1));
  poller.count(kill("/a/c", 2));
  poller.count(kill("/a", 3));
  poller.count(kill("/other", 4));
  await poller.round();
  assert.deepEqual(kills(), [2, 1]);
  await poller.round();
  assert.deepEqual(kills(), [2, 1]);
  assert.equal(poller.totals.kills, 4);
});

Deno.test("the kills of a removed cgroup are not counted as those of its parent", async () => {
  using tree = makeTree(2, { "/a": FILES, "/a/b": FILES });
  let subjects = ["/a", "/a/b"].map((path) => subjectOf(tree, path));
  let now = 0;
  const poller = new Poller(() => subjects, () => now);
  await poller.round();
  poller.count(kill("/a/b", 1));
  subjects = [subjectOf(tree, "/a")];
  for (now of [1000, 20_000, 70_000]) await poller.round();
  assert.deepEqual(poller.rows().map(({ path, counts }) => [path, counts.kills]), [["/a", 0]]);
  assert.equal(poller.totals.kills, 1);
});
