import assert from "node:assert/strict";
import { type Cgroup, openCgroup, readCounters } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import {
  createRemovedKillCounts,
  type RemovedChild,
  type RemovedChildrenKills,
} from "../../../core/watch/removed_cgroups.ts";
import { makeTree, type Tree } from "../../helpers/trees.ts";

const events = (kills: number) =>
  `low 0\nhigh 0\nmax 0\noom 0\noom_kill ${kills}\noom_group_kill 0\n`;

/** As the kernel counts it: in the victim's cgroup, and in the subtree of everything around. */
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
  /** Removes a cgroup, and returns what the watch knows of it. */
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
      return { cgroup, removedKills, countsSubtree: false, last, ahead: 0n, ...facts };
    },
    [Symbol.dispose]: () => tree[Symbol.dispose](),
  };
}

const nothing = () => {};

Deno.test("a kill that a removed child took along is known from its parent, until it is told", () => {
  using f = family("/p/a");
  const parents = createRemovedKillCounts();
  const removedKills = parents.expect(f.open("/p"))!;
  const gone = f.remove("/p/a", removedKills);
  count(f.tree, "/p", { subtree: 1 });
  parents.gone(gone);
  parents.settle(nothing);
  assert.equal(removedKills.unreported(), 1n);
  removedKills.take(1n);
  parents.settle(nothing);
  assert.equal(removedKills.unreported(), 0n);
});

Deno.test("what was read of a child before it went is no secret", () => {
  using f = family("/p/a");
  const parents = createRemovedKillCounts();
  const removedKills = parents.expect(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 3 });
  count(f.tree, "/p/a", { subtree: 2, local: 2 });
  parents.gone(f.remove("/p/a", removedKills));
  parents.settle(nothing);
  assert.equal(removedKills.unreported(), 1n);
});

Deno.test("what was told ahead of the counter is no secret either", () => {
  using f = family("/p/a");
  const parents = createRemovedKillCounts();
  const removedKills = parents.expect(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 1 });
  parents.gone(f.remove("/p/a", removedKills, { ahead: 1n }));
  parents.settle(nothing);
  assert.equal(removedKills.unreported(), 0n);
});

Deno.test("kills of the parent itself and of living children are not those of the dead", () => {
  using f = family("/p/a", "/p/living");
  const parents = createRemovedKillCounts();
  const removedKills = parents.expect(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 7, local: 2 });
  count(f.tree, "/p/living", { subtree: 4, local: 4 });
  parents.gone(f.remove("/p/a", removedKills));
  parents.settle(nothing);
  assert.equal(removedKills.unreported(), 1n);
});

Deno.test("those who died before the watch are not told, unless the parent is new itself", () => {
  for (const isNew of [false, true]) {
    using f = family("/p/a");
    count(f.tree, "/p", { subtree: 5 });
    const parents = createRemovedKillCounts();
    const removedKills = parents.expect(f.open("/p"), isNew)!;
    parents.gone(f.remove("/p/a", removedKills));
    parents.settle(nothing);
    assert.equal(removedKills.unreported(), isNew ? 5n : 0n);
  }
});

Deno.test("the children of one parent share one account", () => {
  using f = family("/p/a", "/p/b");
  const parents = createRemovedKillCounts();
  const removedKills = parents.expect(f.open("/p"))!;
  assert.equal(parents.expect(f.open("/p")), removedKills);
  count(f.tree, "/p", { subtree: 2 });
  parents.gone(f.remove("/p/a", removedKills));
  parents.gone(f.remove("/p/b", removedKills));
  parents.settle(nothing);
  assert.equal(removedKills.unreported(), 2n);
});

Deno.test("a kill in a child that nobody watches is not pinned on one that is watched", () => {
  using f = family("/p/watched", "/p/other");
  const parents = createRemovedKillCounts();
  const removedKills = parents.expect(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 1 });
  f.tree.remove("/p/other");
  parents.ignore(f.open("/p"));
  parents.gone(f.remove("/p/watched", removedKills));
  parents.settle(nothing);
  assert.equal(removedKills.unreported(), 0n);
});

Deno.test("a sibling's removal is not ignored while a watched child is unsettled", () => {
  using f = family("/p/watched", "/p/other");
  const parents = createRemovedKillCounts();
  const removedKills = parents.expect(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 1 });
  parents.gone(f.remove("/p/watched", removedKills));
  parents.ignore(f.open("/p"));
  parents.settle(nothing);
  assert.equal(removedKills.unreported(), 1n);
});

Deno.test("one that went unnoticed is noticed, and the parent read again, before anything is told of it", () => {
  using f = family("/p/a", "/p/late");
  const parents = createRemovedKillCounts();
  const removedKills = parents.expect(f.open("/p"))!;
  count(f.tree, "/p", { subtree: 2 });
  count(f.tree, "/p/late", { subtree: 2, local: 2 });
  const late = f.remove("/p/late", removedKills);
  parents.gone(f.remove("/p/a", removedKills));
  const noticed: string[] = [];
  parents.settle((parent) => {
    noticed.push(parent.path);
    if (noticed.length === 1) parents.gone(late);
  });
  assert.deepEqual(noticed, ["/p", "/p"]);
  assert.equal(removedKills.unreported(), 0n);
});

Deno.test("a kill told in a cgroup that nobody could read yet is taken from the nearest account", () => {
  using f = family("/p/a", "/p/a/b");
  const parents = createRemovedKillCounts();
  const outer = parents.expect(f.open("/p"))!;
  const inner = parents.expect(f.open("/p/a"))!;
  parents.ahead("/p/a/b", 1n);
  assert.deepEqual([outer.unreported(), inner.unreported()], [0n, -1n]);
  parents.ahead("/p/a/b", -1n);
  parents.ahead("/p/x/y/z", 1n);
  assert.deepEqual([outer.unreported(), inner.unreported()], [-1n, 0n]);
});

Deno.test("an account outlives its parent: the grandparent goes on with it", () => {
  using f = family("/p/a", "/p/a/b");
  const parents = createRemovedKillCounts();
  const outer = parents.expect(f.open("/p"))!;
  const inner = parents.expect(f.open("/p/a"))!;
  count(f.tree, "/p", { subtree: 1 });
  parents.gone(f.remove("/p/a/b", inner));
  parents.gone(f.remove("/p/a", outer));
  parents.settle(nothing);
  assert.deepEqual([outer.unreported(), inner.unreported()], [1n, 1n]);
  inner.take(1n);
  assert.deepEqual([outer.unreported(), inner.unreported()], [0n, 0n]);
});

Deno.test("what a parent's account had found by then goes to the grandparent, once", () => {
  using f = family("/p/a", "/p/a/b");
  const parents = createRemovedKillCounts();
  const outer = parents.expect(f.open("/p"))!;
  const inner = parents.expect(f.open("/p/a"))!;
  count(f.tree, "/p", { subtree: 1 });
  count(f.tree, "/p/a", { subtree: 1 });
  parents.gone(f.remove("/p/a/b", inner));
  parents.settle(nothing);
  assert.deepEqual([outer.unreported(), inner.unreported()], [0n, 1n]);
  parents.gone(f.remove("/p/a", outer));
  parents.settle(nothing);
  assert.deepEqual([outer.unreported(), inner.unreported()], [1n, 1n]);
});

Deno.test("a parent that is made anew has an account of its own", () => {
  using f = family("/p/a");
  const parents = createRemovedKillCounts();
  const before = parents.expect(f.open("/p/a"));
  // Beside the old one, whose inode could otherwise be given to the new.
  Deno.renameSync(`${f.tree.dir}/p/a`, `${f.tree.dir}/p/old`);
  f.tree.add("/p/a");
  assert.notEqual(parents.expect(f.open("/p/a")), before);
});

Deno.test("where no parent counts for its children there is no account", () => {
  using tree = makeTree(1, { "/p": {} });
  const parents = createRemovedKillCounts();
  assert.equal(parents.expect(openCgroup(discover(tree.dir), "/p")), undefined);
  assert.equal(parents.expect(undefined), undefined);
});
