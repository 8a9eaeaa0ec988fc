import assert from "node:assert/strict";
import { openCgroup } from "../../../core/cgroup/cgroup.ts";
import { discover } from "../../../core/cgroup/hierarchy.ts";
import { rememberPids } from "../../../core/watch/watched_cgroup.ts";
import { makeTree } from "../../helpers/trees.ts";

Deno.test("the processes of a cgroup at an OOM are remembered until the kill is logged, and not forever", () => {
  using tree = makeTree(2, { "/a": { "cgroup.procs": "10\n11\n" } });
  const watched = {
    cgroup: openCgroup(discover(tree.dir), "/a")!,
    kills: { pids: new Map<number, number>() },
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
