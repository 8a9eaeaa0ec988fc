import assert from "node:assert/strict";
import { makeTree } from "../../helpers/trees.ts";
import { watchTree } from "./watched_tree.ts";

const names = (count: number) => Array.from({ length: count }, (_, n) => `/app/c${n}`);

Deno.test("every cgroup of a burst is told, though nobody had time to look in between", async () => {
  using tree = makeTree(2, { "/app": {} });
  await using watched = watchTree(tree, ["/app"], { recursive: true });
  const all = names(100);
  for (const path of all) tree.add(path);
  for (const path of all) await watched.next("cgroup_created", ({ cgroup }) => cgroup === path);
  for (const path of all) tree.remove(path);
  for (const path of all) await watched.next("cgroup_removed", ({ cgroup }) => cgroup === path);
  await watched.stop();
  assert.equal(watched.ofType("cgroup_created").length, 100);
  assert.equal(watched.ofType("cgroup_removed").length, 100);
});

Deno.test("a cgroup that is gone before it can be read has come and gone all the same", async () => {
  using tree = makeTree(2, { "/app": {} });
  await using watched = watchTree(tree, ["/app"], { recursive: true });
  for (const path of names(100)) {
    tree.add(path);
    tree.remove(path);
  }
  await watched.next("cgroup_removed", ({ cgroup }) => cgroup === "/app/c99");
  await watched.stop();
  assert.deepEqual(watched.ofType("cgroup_created").map(({ cgroup }) => cgroup), names(100));
  assert.deepEqual(watched.ofType("cgroup_removed").map(({ cgroup }) => cgroup), names(100));
});

Deno.test("what appears beneath a new cgroup is followed too", async () => {
  using tree = makeTree(1, { "/app": {} });
  await using watched = watchTree(tree, ["/app"], { recursive: true });
  tree.add("/app/pod");
  tree.add("/app/pod/container");
  await watched.next("cgroup_created", ({ cgroup }) => cgroup === "/app/pod/container");
  tree.add("/app/pod/late");
  await watched.next("cgroup_created", ({ cgroup }) => cgroup === "/app/pod/late");
});

Deno.test("the removal of the last target ends the watch", async () => {
  using tree = makeTree(2, { "/a": {}, "/b": {} });
  await using watched = watchTree(tree, ["/a", "/b"]);
  tree.remove("/a");
  await watched.next("cgroup_removed", ({ cgroup }) => cgroup === "/a");
  tree.remove("/b");
  await watched.done;
  const summary = await watched.stop();
  assert.deepEqual(summary.cgroups.map(({ cgroup, removed }) => [cgroup, removed]), [
    ["/a", true],
    ["/b", true],
  ]);
});

Deno.test("a target that is gone before it is armed leaves nothing to wait for", async () => {
  using tree = makeTree(2, { "/a": {} });
  const { openCgroup } = await import("../../../core/cgroup/cgroup.ts");
  const { discover } = await import("../../../core/cgroup/hierarchy.ts");
  const { startWatch } = await import("../../../core/watch/watch.ts");
  const targets = [openCgroup(discover(tree.dir), "/a")!];
  tree.remove("/a");
  const options = { targets, recursive: false, thresholds: [], pressure: [], psi: [] };
  const types: string[] = [];
  const watching = startWatch(options, ({ type }) => types.push(type));
  await watching.done;
  assert.deepEqual((await watching.stop()).cgroups, []);
  assert.deepEqual(types, ["summary"]);
});

Deno.test("a forced poll learns of cgroups that come and go from Deno.watchFs", async () => {
  using tree = makeTree(2, { "/app": {} });
  await using watched = watchTree(tree, ["/app"], { recursive: true, poll: 5 });
  assert.ok(watched.sources.includes("cgroups that come and go: watchFs"));
  tree.add("/app/c");
  assert.equal((await watched.next("cgroup_created")).source, "watchfs");
  tree.remove("/app/c");
  assert.equal((await watched.next("cgroup_removed")).cgroup, "/app/c");
});
