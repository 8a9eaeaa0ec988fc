import assert from "node:assert/strict";
import { discover, inInitialPidNamespace } from "../../../core/cgroup/hierarchy.ts";
import { cgroupOfKilled } from "../../../core/cgroup/processes.ts";
import { whyNoRealCgroup } from "../../helpers/real_cgroup.ts";

const why = whyNoRealCgroup() ??
  (inInitialPidNamespace() ? undefined : "pids of the kernel log are unknown here");

Deno.test({
  name: `a live process is found by pid and comm, and not by a pid of another process${
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
