/** What a kill does when a list of pids cannot be read. */

import assert from "node:assert/strict";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { pidsIn } from "../../core/cgroup/pids.ts";
import { isEmpty, killCgroup, SIGKILL } from "../../core/control/kill.ts";
import { makeTree } from "../helpers/trees.ts";
import { type Fault, inject } from "./injection.ts";

/** No process has it. */
const PROTECTED = 2147483647;

const FAULTS: readonly Fault[] = [
  { name: "errno 5", moment: "read", errno: 5 },
  { name: "errno 24", moment: "open", errno: 24 },
  { name: "torn", moment: "read", alter: (bytes) => bytes.slice(0, 4) },
];

for (const fault of FAULTS) {
  Deno.test(`a protected process is not killed because cgroup.procs cannot be read (${fault.name})`, () => {
    using tree = makeTree(2, { "/a": { "cgroup.procs": `${PROTECTED}\n`, "cgroup.kill": "" } });
    const cgroup = openCgroup(discover(tree.dir), "/a")!;
    using _ = inject([{ path: `${cgroup.dir}/cgroup.procs`, fault, from: 1 }]);
    killCgroup(cgroup, SIGKILL, false, { pids: new Set([PROTECTED]) }, false);
    assert.equal(Deno.readTextFileSync(`${cgroup.dir}/cgroup.kill`), "");
    assert.equal(isEmpty(cgroup, { pids: new Set() }), false);
  });
}

Deno.test("an incomplete last line of cgroup.procs is not a pid", () => {
  assert.deepEqual([...pidsIn("12\n3456")], [12]);
});
