/** `oomkit history` in a cgroup namespace: the kernel log has the paths of the host. */

import assert from "node:assert/strict";
import { allocateUntilKilled, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { noMountNamespace } from "../helpers/kernel_log.ts";
import { untilLogged } from "../helpers/kernel_log_rate.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";

kernelTest(
  "in a cgroup namespace a container is found by its id, and paths are reported to be others",
  async () => {
    const id = crypto.randomUUID().replaceAll("-", "").repeat(2);
    await using parent = makeRealCgroup("history");
    const cgroup = parent.child(id);
    parent.limit(64 * MIB);
    await using inside = makeRealCgroup("namespace");
    cgroup.limit(10 * MIB);
    await untilLogged(1);
    const { pid } = await allocateUntilKilled(cgroup);
    const mount = inside.dir.slice(0, -inside.path.length);
    const type = parent.version === 2 ? "cgroup2" : "cgroup -o memory";
    const enter = `echo 0 > "${inside.dir}/cgroup.procs" && exec unshare -C -m sh -c '
    umount -l ${mount} && mount -t ${type} none ${mount} && exec "$0" "$@"' "$0" "$@"`;
    const wrap = ["sh", "-c", enter];
    const args = ["history", "--json", "--source", "kmsg"];
    const byId = await runOomkit([...args, id], { wrap });
    assert.equal(byId.code, 0, byId.stderr);
    const { kills, gaps } = JSON.parse(byId.stdout);
    assert.deepEqual(kills.map(({ victim }: typeof kills[0]) => victim.pid), [pid]);
    assert.ok(gaps.some(({ reason }: typeof gaps[0]) => reason === "other_paths"), byId.stdout);
    const byPath = await runOomkit(["history", "/app", "--fail-on", "oom_kill"], { wrap });
    assert.equal(byPath.code, 2, byPath.stdout);
  },
  { why: noMountNamespace },
);
