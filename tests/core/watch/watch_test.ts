import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { startWatch } from "../../../core/watch/watch.ts";
import { makeTree } from "../../helpers/trees.ts";
import { watchTree } from "./watched_tree.ts";

const names = (count: number) => Array.from({ length: count }, (_, n) => `/app/c${n}`);

Deno.test("every cgroup of a burst is reported, though the watch had no time to read in between", async () => {
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

Deno.test("a cgroup that is removed before it can be read is reported as created and removed", async () => {
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

Deno.test("cgroups created below a new cgroup are watched too", async () => {
  using tree = makeTree(1, { "/app": {} });
  await using watched = watchTree(tree, ["/app"], { recursive: true });
  tree.add("/app/pod");
  tree.add("/app/pod/container");
  await watched.next("cgroup_created", ({ cgroup }) => cgroup === "/app/pod/container");
  tree.add("/app/pod/late");
  await watched.next("cgroup_created", ({ cgroup }) => cgroup === "/app/pod/late");
});

Deno.test("the summary counts every cgroup that was watched, also one that was removed unread", async () => {
  using tree = makeTree(2, { "/app": {}, "/app/a": {}, "/app/b": {}, "/other": {} });
  await using watched = watchTree(tree, ["/app"], { recursive: true });
  tree.add("/app/late");
  await watched.next("cgroup_created", ({ cgroup }) => cgroup === "/app/late");
  tree.add("/app/missed");
  tree.remove("/app/missed");
  tree.remove("/app/a");
  await watched.next("cgroup_removed", ({ cgroup }) => cgroup === "/app/missed");
  await watched.next("cgroup_removed", ({ cgroup }) => cgroup === "/app/a");
  await watched.stop();
  const [summary] = watched.ofType("summary");
  assert.equal(summary!.watched_cgroups, 5);
  assert.deepEqual(summary!.cgroups.map(({ cgroup }) => cgroup), ["/app"]);
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

Deno.test("a watch ends immediately when its target is removed before it is armed", async () => {
  using tree = makeTree(2, { "/a": {} });
  const scopes = [{ cgroup: openCgroup(discover(tree.dir), "/a")!, recursive: false }];
  tree.remove("/a");
  const options = { scopes, thresholds: [], pressureLevels: [], psi: [] };
  const types: string[] = [];
  const watching = startWatch(options, ({ type }) => types.push(type));
  await watching.done;
  assert.deepEqual((await watching.stop()).cgroups, []);
  assert.deepEqual(types, ["summary"]);
});

Deno.test("with --poll, creation and removal of cgroups come from Deno.watchFs", async () => {
  using tree = makeTree(2, { "/app": {} });
  await using watched = watchTree(tree, ["/app"], { recursive: true, poll: 5 });
  assert.ok(watched.sources.includes("cgroup creation/removal: watchFs"));
  tree.add("/app/c");
  assert.equal((await watched.next("cgroup_created")).source, "watchfs");
  tree.remove("/app/c");
  assert.equal((await watched.next("cgroup_removed")).cgroup, "/app/c");
});

/** Without the files of the memory controller. */
const UNCHARGED = Object.fromEntries(
  [
    ..."memory.current memory.peak memory.max memory.high memory.low memory.min".split(" "),
    ..."memory.swap.current memory.swap.max memory.events memory.events.local".split(" "),
    ..."memory.oom.group memory.stat".split(" "),
  ].map((file) => [file, undefined]),
);
const events = (count: number) =>
  `low 0\nhigh 0\nmax 0\noom ${count}\noom_kill ${count}\noom_group_kill 0\n`;

for (const recursive of [false, true]) {
  Deno.test(`a kill at the ancestor that is charged for a leaf is reported, ${recursive ? "also below a target" : "and the ancestor named"}`, async () => {
    using tree = makeTree(2, {
      "/pod": { "memory.max": 4096 },
      "/pod/app": UNCHARGED,
      "/pod/app/leaf": UNCHARGED,
    });
    const targets = recursive ? ["/pod/app"] : ["/pod/app/leaf"];
    await using watched = watchTree(tree, targets, { recursive });
    const [degraded, ...more] = watched.ofType("degraded");
    assert.deepEqual(more, []);
    assert.equal(degraded!.cgroup, recursive ? "/pod/app" : "/pod/app/leaf");
    assert.deepEqual([degraded!.requested, degraded!.fallback, degraded!.reason], [
      "memory events",
      "those of /pod, which is charged for it",
      "memory is not in cgroup.subtree_control of /pod",
    ]);
    const armed = watched.sources.filter((line) => line.startsWith("memory events unavailable: "));
    assert.equal(armed.length, 1);
    tree.write("/pod", "memory.events.local", events(1));
    tree.write("/pod", "memory.events", events(1));
    const kill = await watched.next("oom_kill");
    assert.deepEqual([kill.cgroup, kill.victim, kill.limit_owner], ["/pod", null, "/pod"]);
    const { cgroups } = await watched.stop();
    assert.equal(cgroups.find(({ cgroup }) => cgroup === "/pod")?.oom_kill, 1n);
    assert.equal(cgroups.find(({ cgroup }) => cgroup === targets[0])?.oom_kill, null);
  });
}

Deno.test("a watch ends with its leaf, though the ancestor that is charged for it stays", async () => {
  using tree = makeTree(2, { "/pod": {}, "/pod/leaf": UNCHARGED });
  await using watched = watchTree(tree, ["/pod/leaf"]);
  tree.remove("/pod/leaf");
  await watched.done;
  assert.deepEqual(watched.ofType("cgroup_removed").map(({ cgroup }) => cgroup), ["/pod/leaf"]);
});

Deno.test("a cgroup for which no visible ancestor is charged is said to have no memory events", async () => {
  using tree = makeTree(2, { "/leaf": UNCHARGED });
  await using watched = watchTree(tree, ["/leaf"]);
  const [degraded, ...more] = watched.ofType("degraded");
  assert.deepEqual([degraded!.requested, degraded!.fallback], ["memory events", "none"]);
  assert.deepEqual(more, []);
});

Deno.test("what is held back is reported before the removal of its cgroup, and before the summary", async () => {
  const counters = (max: number) =>
    `low 0\nhigh 0\nmax ${max}\noom ${max}\noom_kill 0\noom_group_kill 0\n`;
  using tree = makeTree(2, { "/a": {}, "/b": {} });
  await using watched = watchTree(tree, ["/a", "/b"]);
  const raise = (path: string, max: number) => {
    tree.write(path, "memory.events.local", counters(max));
    tree.write(path, "memory.events", counters(max));
  };
  const total = (type: string, cgroup: string) =>
    watched.events.filter((event) => event.type === type && event.cgroup === cgroup)
      .reduce((sum, event) => sum + ("count" in event ? BigInt(event.count ?? 0) : 0n), 0n);
  for (const path of ["/a", "/b"]) {
    raise(path, 1);
    await watched.next("oom", ({ cgroup }) => cgroup === path);
    raise(path, 8);
  }
  // Read, and held back, by the time that a later change is reported.
  tree.write("/a", "memory.max", 4096);
  await watched.next("limit_changed");
  tree.remove("/a");
  await watched.next("cgroup_removed");
  assert.equal(total("max", "/a"), 8n);
  const { cgroups } = await watched.stop();
  for (const path of ["/a", "/b"]) {
    const deltas = cgroups.find(({ cgroup }) => cgroup === path)!;
    for (const type of ["max", "oom"] as const) {
      assert.deepEqual([total(type, path), deltas[type]], [8n, 8n], `${type} of ${path}`);
    }
  }
});

Deno.test("the start of a watch reads the ancestors of many cgroups no more often than those of a few", async () => {
  const readsOf = async (count: number) => {
    using tree = makeTree(
      1,
      Object.fromEntries(["/app", ...names(count)].map((path) => [path, {}])),
    );
    const real = Deno.readTextFileSync;
    let reads = 0;
    using _ = { [Symbol.dispose]: () => void (Deno.readTextFileSync = real) };
    Deno.readTextFileSync = (path) => {
      if (String(path).startsWith(`${tree.dir}/app/memory.`)) reads += 1;
      return real(path);
    };
    await using _watched = watchTree(tree, ["/app"], { recursive: true });
    return reads;
  };
  const few = await readsOf(2);
  assert.ok(few > 0);
  assert.equal(await readsOf(50), few);
});

Deno.test("the owner of a limit is found by its OOMs also after it was created again", async () => {
  const counters = (oom: number, oomKill: number) =>
    `low 0\nhigh 0\nmax 0\noom ${oom}\noom_kill ${oomKill}\noom_group_kill 0\n`;
  const limited = (bytes: number, oom: number) => ({
    "memory.max": bytes,
    "memory.events": counters(oom, 0),
    "memory.events.local": counters(oom, 0),
  });
  using tree = makeTree(2, {
    "/app": {},
    "/app/pod": limited(9e6, 5),
    "/app/pod/c": limited(8e6, 0),
  });
  await using watched = watchTree(tree, ["/app"], { recursive: true });
  tree.remove("/app/pod/c");
  tree.remove("/app/pod");
  await watched.next("cgroup_removed", ({ cgroup }) => cgroup === "/app/pod");
  tree.add("/app/pod", limited(9e6, 0));
  tree.add("/app/pod/c", limited(8e6, 0));
  await watched.next("cgroup_created", ({ cgroup }) => cgroup === "/app/pod/c");
  tree.write("/app/pod", "memory.events.local", counters(1, 0));
  tree.write("/app/pod/c", "memory.events.local", counters(0, 1));
  tree.write("/app/pod/c", "memory.events", counters(0, 1));
  const { cgroup, limit_owner } = await watched.next("oom_kill");
  assert.deepEqual([cgroup, limit_owner], ["/app/pod/c", "/app/pod"]);
});

Deno.test("the creation of an awaited target, or of a cgroup above it, is noticed, and no other one", async () => {
  using tree = makeTree(2, { "/app": {} });
  const hierarchy = discover(tree.dir);
  const awaited = { hierarchy, path: "/app/pod/c", dir: `${tree.dir}/app/pod/c`, inode: 0 };
  let calls = 0;
  let called = Promise.withResolvers<void>();
  const onTargetsChanged = () => {
    calls += 1;
    called.resolve();
  };
  const others = { thresholds: [], pressureLevels: [], psi: [] };
  const watching = startWatch(
    { scopes: [], awaited: [awaited], onTargetsChanged, ...others },
    () => {},
  );
  assert.ok(watching.notifiesAwaited());
  for (const path of ["/app/other", "/app/podling", "/app/other/c", "/app/pod"]) tree.add(path);
  await called.promise;
  assert.equal(calls, 1);
  called = Promise.withResolvers();
  for (const path of ["/app/other/c", "/app/other", "/app/podling", "/app/pod", "/app"]) {
    tree.remove(path);
  }
  await called.promise;
  const { cgroups } = await watching.stop();
  assert.deepEqual([calls, cgroups], [3, []]);
});
