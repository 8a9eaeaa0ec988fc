/** What the deed still does wrong when a list of pids cannot be read; to be let loose once it is put right. */

import assert from "node:assert/strict";
import { pidsIn } from "../../core/cgroup/pids.ts";
import { isEmpty, killCgroup, SIGKILL } from "../../core/control/kill.ts";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { makeTree } from "../helpers/trees.ts";
import { type Fault, inject } from "./injection.ts";

/** Nobody has it; and nothing is behind the files of the tree. */
const KEPT = 2147483647;

const FAULTS: readonly Fault[] = [
  { name: "errno 5", moment: "read", errno: 5 },
  { name: "errno 24", moment: "open", errno: 24 },
  { name: "torn", moment: "read", alter: (bytes) => bytes.slice(0, 4) },
];

for (const fault of FAULTS) {
  Deno.test({
    name:
      `who is to be left alone does not die because cgroup.procs cannot be read (${fault.name})`,
    fn() {
      using tree = makeTree(2, { "/a": { "cgroup.procs": `${KEPT}\n`, "cgroup.kill": "" } });
      const cgroup = openCgroup(discover(tree.dir), "/a")!;
      const spared = new Set([KEPT]);
      using _ = inject([{ path: `${cgroup.dir}/cgroup.procs`, fault, from: 1 }]);
      killCgroup(cgroup, SIGKILL, false, spared, false);
      assert.equal(Deno.readTextFileSync(`${cgroup.dir}/cgroup.kill`), "");
      assert.equal(isEmpty(cgroup, new Set()), false);
    },
  });
}

Deno.test({
  name: "half of a pid is nobody's",
  fn: () => assert.deepEqual([...pidsIn("12\n3456")], [12]),
});
