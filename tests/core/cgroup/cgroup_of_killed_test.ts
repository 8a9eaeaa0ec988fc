import assert from "node:assert/strict";
import { discover, inInitialPidNamespace } from "../../../core/cgroup/hierarchy.ts";
import { cgroupOfKilled } from "../../../core/cgroup/processes.ts";
import { whyNoRealCgroup } from "../../helpers/real_cgroup.ts";

const why = whyNoRealCgroup() ??
  (inInitialPidNamespace() ? undefined : "the kernel log's pids are not known here");

Deno.test({
  name: `who is there is found by pid and name, and nobody by a pid that is another's${
    why ? ` (not run: ${why})` : ""
  }`,
  ignore: why !== undefined,
  fn() {
    const hierarchy = discover();
    const comm = Deno.readTextFileSync("/proc/self/comm").trimEnd();
    assert.equal(cgroupOfKilled(Deno.pid, comm, hierarchy), hierarchy.own);
    assert.equal(cgroupOfKilled(Deno.pid, "another", hierarchy), undefined);
    assert.equal(cgroupOfKilled(2 ** 22 + 1, comm, hierarchy), undefined);
  },
});
