import assert from "node:assert/strict";
import { createPoller, type Subject } from "../../../cli/live/poll.ts";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";
import { kill, MIB } from "./rows.ts";

const subjectOf = (tree: Tree, path: string, rest: Partial<Subject> = {}): Subject => {
  const cgroup = openCgroup(discover(tree.dir), path)!;
  return { cgroup, limitOwner: cgroup, marks: () => [], ...rest };
};

const FILES = {
  "memory.max": 64 * MIB,
  "memory.current": 40 * MIB,
  "memory.stat": `anon 1\ninactive_file ${10 * MIB}\nactive_file 0\n`,
};

Deno.test("of all a little is read, and of those that are shown the rest", async () => {
  using tree = makeTree(2, { "/a": FILES, "/b": FILES });
  const subjects = ["/a", "/b"].map((path) => subjectOf(tree, path));
  const gather = createPoller(() => subjects, () => 0);
  assert.ok(await gather.round() >= 1000);
  const [a, b] = gather.rows();
  assert.equal(a?.usage, 40 * MIB);
  assert.deepEqual([a?.workingSet, a?.pressure, a?.history], [undefined, undefined, []]);
  const [readShown] = gather.readShown([b!]);
  assert.equal(readShown?.workingSet, 30 * MIB);
  assert.equal(readShown?.pressure?.some?.avg10, 0);
  assert.deepEqual(readShown?.history, [40 * MIB]);
});

Deno.test("a guard's row has its limit and marks, and the usage of the cgroup whose limit it is", async () => {
  using tree = makeTree(2, { "/pod": { ...FILES, "memory.current": 50 * MIB }, "/pod/c": FILES });
  const usage_cgroup = openCgroup(discover(tree.dir), "/pod")!;
  const marks = () => [{ name: "imminent", bytes: 55 * MIB }];
  const subject = subjectOf(tree, "/pod/c", {
    limitOwner: usage_cgroup,
    limit: 60 * MIB,
    mode: "notify",
    marks,
  });
  const gather = createPoller(() => [subject], () => 0);
  await gather.round();
  const [row] = gather.rows();
  assert.deepEqual([row?.path, row?.usage, row?.limit, row?.headroom], [
    "/pod/c",
    50 * MIB,
    60 * MIB,
    10 * MIB,
  ]);
  assert.deepEqual([row?.mode, row?.marks], ["notify", marks()]);
});

Deno.test("who is gone is shown as such for a while, as it was last, and then forgotten with what was counted", async () => {
  using tree = makeTree(2, { "/a": FILES });
  let subjects = [subjectOf(tree, "/a")];
  let now = 0;
  const gather = createPoller(() => subjects, () => now);
  gather.count(kill("/a", 7));
  await gather.round();
  assert.equal(gather.rows()[0]?.counts.kills, 1);
  subjects = [];
  await gather.round();
  assert.deepEqual(gather.rows().map(({ isRemoved, usage }) => [isRemoved, usage]), [[
    true,
    40 * MIB,
  ]]);
  assert.deepEqual(gather.readShown(gather.rows()), gather.rows());
  now = 20_000;
  await gather.round();
  assert.deepEqual(gather.rows(), []);
  subjects = [subjectOf(tree, "/a")];
  await gather.round();
  assert.deepEqual(gather.rows().map(({ isRemoved, counts }) => [isRemoved, counts.kills]), [[
    false,
    0,
  ]]);
});

Deno.test("details are what inspect knows, read again no sooner than a second later, and kept when it is gone", async () => {
  using tree = makeTree(2, { "/a": FILES });
  let subjects = [subjectOf(tree, "/a")];
  let now = 0;
  const gather = createPoller(() => subjects, () => now);
  await gather.round();
  const first = gather.details({ path: "/a" });
  assert.equal(first.found?.inspection.snapshot.usage, 40 * MIB);
  tree.write("/a", "memory.current", `${50 * MIB}\n`);
  assert.equal(gather.details(first), first);
  now = 2000;
  const second = gather.details(first);
  assert.equal(second.found?.inspection.snapshot.usage, 50 * MIB);
  subjects = [];
  now = 4000;
  await gather.round();
  assert.deepEqual(gather.details(second), { ...second, error: "/a was removed" });
});
