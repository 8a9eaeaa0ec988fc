import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { rememberPids } from "../../../core/watch/watched_cgroup.ts";
import { makeTree } from "../../helpers/trees.ts";

Deno.test("the processes of a cgroup at an OOM are remembered until the kill is logged, and not forever", () => {
  using tree = makeTree(2, { "/a": { "cgroup.procs": "10\n11\n" } });
  const watched = {
    cgroup: openCgroup(discover(tree.dir), "/a")!,
    representsSubtree: true,
    kills: { pids: new Map<number, number>(), pidsBelow: new Map() },
  };
  rememberPids(watched, 0);
  tree.write("/a", "cgroup.procs", "11\n12\n");
  rememberPids(watched, 300);
  assert.deepEqual(
    [...watched.kills.pids.keys()].sort(),
    [10, 11, 12],
    "a process that is gone may have been killed",
  );
  for (let each = 1; each <= 1000; each++) {
    tree.write("/a", "cgroup.procs", `${each + 100}\n`);
    rememberPids(watched, each * 1000);
  }
  assert.ok(watched.kills.pids.size < 20);
  assert.ok(!watched.kills.pids.has(10));
});

Deno.test("where the counter leaves out the cgroups below, their processes are remembered too", () => {
  for (const version of [1, 2] as const) {
    for (const representsSubtree of [true, false]) {
      using tree = makeTree(version, {
        "/a": { "cgroup.procs": "10\n" },
        "/a/b": { "cgroup.procs": "11\n" },
        "/a/b/c": { "cgroup.procs": "12\n" },
      });
      const pidsBelow = new Map<number, { readonly cgroup: string; readonly at: number }>();
      const kills = { pids: new Map<number, number>(), pidsBelow };
      rememberPids({ cgroup: openCgroup(discover(tree.dir), "/a")!, representsSubtree, kills }, 0);
      const expected = version === 1 && representsSubtree ? ["11 /a/b", "12 /a/b/c"] : [];
      assert.deepEqual([...pidsBelow].map(([pid, { cgroup }]) => `${pid} ${cgroup}`), expected);
    }
  }
});
