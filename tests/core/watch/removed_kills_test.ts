import assert from "node:assert/strict";
import { type Cgroup, openCgroup, readCounters } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import {
  type RemovedChild,
  type RemovedChildrenKills,
  RemovedKillCounts,
} from "../../../core/watch/removed_kills.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const events = (kills: number) =>
  `low 0\nhigh 0\nmax 0\noom 0\noom_kill ${kills}\noom_group_kill 0\n`;

/** As the kernel counts kills: in the victim's cgroup, and in the subtree of each ancestor. */
function count(
  tree: Tree,
  path: string,
  { subtree, local = 0 }: { subtree: number; local?: number },
) {
  tree.write(path, "memory.events", events(subtree));
  tree.write(path, "memory.events.local", events(local));
}

interface Family extends Disposable {
  readonly tree: Tree;
  open(path: string): Cgroup;
  /** Removes a cgroup, and returns what the watch knows about it. */
  remove(
    path: string,
    removedKills: RemovedChildrenKills,
    facts?: Partial<RemovedChild>,
  ): RemovedChild;
}

function family(...paths: readonly string[]): Family {
  const tree = makeTree(2, Object.fromEntries(["/p", ...paths].map((path) => [path, {}])));
  const open = (path: string) => openCgroup(discover(tree.dir), path)!;
  return {
    tree,
    open,
    remove(path, removedKills, facts = {}) {
      const cgroup = open(path);
      const last = readCounters(cgroup)!;
      tree.remove(path);
      return { cgroup, removedKills, representsSubtree: false, last, ahead: 0n, ...facts };
    },
    [Symbol.dispose]: () => tree[Symbol.dispose](),
  };
}

const nothing = () => {};

Deno.test("an uncounted kill in a removed child is known from its parent until it is reported", () => {
  using f = family("/p/a");
  const parents = new RemovedKillCounts();
  const removedKills = parents.accountOf(f.open("/p"))!;
  const gone = f.remove("/p/a", removedKills);
  count(f.tree, "/p", { subtree: 1 });
  parents.childRemoved(gone);
  parents.update(nothing);
  assert.equal(removedKills.unreported(), 1n);
  removedKills.markReported(1n);
  parents.update(nothing);
  assert.equal(removedKills.unreported(), 0n);
});

Deno.test("a kill that was read from a child before its removal is not unreported", () => {
  using f = family("/p/a");
  const parents = new RemovedKillCounts();
  const removedKills = parents.accountOf(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 3 });
  count(f.tree, "/p/a", { subtree: 2, local: 2 });
  parents.childRemoved(f.remove("/p/a", removedKills));
  parents.update(nothing);
  assert.equal(removedKills.unreported(), 1n);
});

Deno.test("a kill that was reported ahead of the counter is not unreported", () => {
  using f = family("/p/a");
  const parents = new RemovedKillCounts();
  const removedKills = parents.accountOf(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 1 });
  parents.childRemoved(f.remove("/p/a", removedKills, { ahead: 1n }));
  parents.update(nothing);
  assert.equal(removedKills.unreported(), 0n);
});

Deno.test("kills in the parent itself and in living children are not attributed to removed children", () => {
  using f = family("/p/a", "/p/living");
  const parents = new RemovedKillCounts();
  const removedKills = parents.accountOf(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 7, local: 2 });
  count(f.tree, "/p/living", { subtree: 4, local: 4 });
  parents.childRemoved(f.remove("/p/a", removedKills));
  parents.update(nothing);
  assert.equal(removedKills.unreported(), 1n);
});

Deno.test("kills from before the watch are not unreported, unless the parent itself is new", () => {
  for (const isNew of [false, true]) {
    using f = family("/p/a");
    count(f.tree, "/p", { subtree: 5 });
    const parents = new RemovedKillCounts();
    const removedKills = parents.accountOf(f.open("/p"), isNew)!;
    parents.childRemoved(f.remove("/p/a", removedKills));
    parents.update(nothing);
    assert.equal(removedKills.unreported(), isNew ? 5n : 0n);
  }
});

Deno.test("the children of one parent share one account", () => {
  using f = family("/p/a", "/p/b");
  const parents = new RemovedKillCounts();
  const removedKills = parents.accountOf(f.open("/p"))!;
  assert.equal(parents.accountOf(f.open("/p")), removedKills);
  count(f.tree, "/p", { subtree: 2 });
  parents.childRemoved(f.remove("/p/a", removedKills));
  parents.childRemoved(f.remove("/p/b", removedKills));
  parents.update(nothing);
  assert.equal(removedKills.unreported(), 2n);
});

Deno.test("a kill in a child that is not watched is not attributed to a watched one", () => {
  using f = family("/p/watched", "/p/other");
  const parents = new RemovedKillCounts();
  const removedKills = parents.accountOf(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 1 });
  f.tree.remove("/p/other");
  parents.ignoreRemoval(f.open("/p"));
  parents.childRemoved(f.remove("/p/watched", removedKills));
  parents.update(nothing);
  assert.equal(removedKills.unreported(), 0n);
});

Deno.test("the removal of a sibling is not ignored while that of a watched child is being accounted for", () => {
  using f = family("/p/watched", "/p/other");
  const parents = new RemovedKillCounts();
  const removedKills = parents.accountOf(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 1 });
  parents.childRemoved(f.remove("/p/watched", removedKills));
  parents.ignoreRemoval(f.open("/p"));
  parents.update(nothing);
  assert.equal(removedKills.unreported(), 1n);
});

Deno.test("an unnoticed removal is noticed, and the parent read again, before its kills count as unreported", () => {
  using f = family("/p/a", "/p/late");
  const parents = new RemovedKillCounts();
  const removedKills = parents.accountOf(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 2 });
  count(f.tree, "/p/late", { subtree: 2, local: 2 });
  const late = f.remove("/p/late", removedKills);
  parents.childRemoved(f.remove("/p/a", removedKills));
  const noticed: string[] = [];
  parents.update((parent) => {
    noticed.push(parent.path);
    if (noticed.length === 1) parents.childRemoved(late);
  });
  assert.deepEqual(noticed, ["/p", "/p"]);
  assert.equal(removedKills.unreported(), 0n);
});

Deno.test("a kill reported in a cgroup that is not read yet is taken from the nearest account", () => {
  using f = family("/p/a", "/p/a/b");
  const parents = new RemovedKillCounts();
  const outer = parents.accountOf(f.open("/p"))!;
  const inner = parents.accountOf(f.open("/p/a"))!;
  parents.reportedAhead("/p/a/b", 1n);
  assert.deepEqual([outer.unreported(), inner.unreported()], [0n, -1n]);
  parents.reportedAhead("/p/a/b", -1n);
  parents.reportedAhead("/p/x/y/z", 1n);
  assert.deepEqual([outer.unreported(), inner.unreported()], [-1n, 0n]);
});

Deno.test("an account outlives its parent: the grandparent's continues it", () => {
  using f = family("/p/a", "/p/a/b");
  const parents = new RemovedKillCounts();
  const outer = parents.accountOf(f.open("/p"))!;
  const inner = parents.accountOf(f.open("/p/a"))!;
  count(f.tree, "/p", { subtree: 1 });
  parents.childRemoved(f.remove("/p/a/b", inner));
  parents.childRemoved(f.remove("/p/a", outer));
  parents.update(nothing);
  assert.deepEqual([outer.unreported(), inner.unreported()], [1n, 1n]);
  inner.markReported(1n);
  assert.deepEqual([outer.unreported(), inner.unreported()], [0n, 0n]);
});

Deno.test("what a parent's account had found before its removal goes to the grandparent once", () => {
  using f = family("/p/a", "/p/a/b");
  const parents = new RemovedKillCounts();
  const outer = parents.accountOf(f.open("/p"))!;
  const inner = parents.accountOf(f.open("/p/a"))!;
  count(f.tree, "/p", { subtree: 1 });
  count(f.tree, "/p/a", { subtree: 1 });
  parents.childRemoved(f.remove("/p/a/b", inner));
  parents.update(nothing);
  assert.deepEqual([outer.unreported(), inner.unreported()], [0n, 1n]);
  parents.childRemoved(f.remove("/p/a", outer));
  parents.update(nothing);
  assert.deepEqual([outer.unreported(), inner.unreported()], [1n, 1n]);
});

Deno.test("a parent that is created again has its own account", () => {
  using f = family("/p/a");
  const parents = new RemovedKillCounts();
  const before = parents.accountOf(f.open("/p/a"));
  // The old one is kept, because the new one could get its inode.
  Deno.renameSync(`${f.tree.dir}/p/a`, `${f.tree.dir}/p/old`);
  f.tree.add("/p/a");
  assert.notEqual(parents.accountOf(f.open("/p/a")), before);
});

Deno.test("a removed parent that has no parent with an account is not read again", () => {
  using f = family("/p/a");
  const parents = new RemovedKillCounts();
  const parent = f.open("/p");
  const removedKills = parents.accountOf(parent)!;
  const child = f.remove("/p/a", removedKills);
  parents.childRemoved(child);
  f.tree.remove("/p");
  const real = Deno.statSync;
  using _ = { [Symbol.dispose]: () => void (Deno.statSync = real) };
  let reads = 0;
  Deno.statSync = (path) => {
    reads += 1;
    return real(path);
  };
  parents.update(nothing);
  assert.ok(reads > 0);
  reads = 0;
  parents.forget(parent);
  // A removal may be noticed late.
  parents.childRemoved(child);
  parents.update(nothing);
  assert.equal(reads, 0);
});

Deno.test("there is no account where the parent does not count for its children", () => {
  using tree = makeTree(1, { "/p": {} });
  const parents = new RemovedKillCounts();
  assert.equal(parents.accountOf(openCgroup(discover(tree.dir), "/p")), undefined);
  assert.equal(parents.accountOf(undefined), undefined);
});
