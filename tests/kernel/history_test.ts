/** `oomkit history` on real kernels: the kills that the kernel log has, also those in removed cgroups. */

import assert from "node:assert/strict";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { allocateUntilKilled, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { noMountNamespace, withKernelLog } from "../helpers/kernel_log.ts";
import { untilLogged } from "../helpers/kernel_log_rate.ts";
import { makeDirectory } from "../helpers/directory.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";

/** The log keeps the kills of earlier cgroups with the same name. */
const newName = () => `history-${crypto.randomUUID().slice(0, 8)}`;

// deno-lint-ignore no-explicit-any
async function history(...args: string[]): Promise<any> {
  const { code, stdout, stderr } = await runOomkit([
    "history",
    "--json",
    "--source",
    "kmsg",
    ...args,
  ]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

kernelTest(
  "a kill is in the history of its cgroup, by path, container and pid, also when the cgroup is gone",
  async () => {
    const id = crypto.randomUUID().replaceAll("-", "").repeat(2);
    const before = Date.now();
    let path: string;
    let pid: number;
    let owner: string;
    {
      await using parent = makeRealCgroup(newName());
      const cgroup = parent.child(id);
      ({ path } = cgroup);
      owner = parent.path;
      parent.limit(16 * MIB);
      await untilLogged(1);
      ({ pid } = await allocateUntilKilled(cgroup));
      const { kills: [kill] } = await history(path);
      assert.deepEqual([kill.cgroup, kill.limit_owner, kill.scope], [path, owner, "cgroup"]);
      assert.deepEqual([kill.victim.pid, kill.victim.comm], [pid, "tail"]);
      assert.equal(kill.container_id, id);
      assert.deepEqual(kill.sources, ["/dev/kmsg"]);
      // The kernel log has another clock than the machine's: it is not set.
      const at = Date.parse(kill.ts);
      assert.ok(at > before - 5000 && at < Date.now() + 5000, `${kill.ts}, ${before}`);
    }
    for (const target of [path, owner, id.slice(0, 12), `pid:${pid}`]) {
      const { kills, groups } = await history("--since", "10m", target);
      assert.deepEqual(kills.map(({ victim }: typeof kills[0]) => victim.pid), [pid], target);
      assert.equal(groups.limit_owner[0].limit_owner, owner);
    }
    const failing = await runOomkit(["history", path, "--since", "10m", "--fail-on", "oom_kill"]);
    assert.equal(failing.code, 1);
    assert.match(failing.stdout, /^NOT OK: 1 OOM kill, the last: pid \d+ \(tail\) in \//);
  },
);

kernelTest("a group kill is one kill for each process", async () => {
  await using parent = makeRealCgroup(newName());
  const cgroup = parent.child("together");
  cgroup.limit(24 * MIB);
  cgroup.write("memory.oom.group", 1);
  await using a = await startHungryProcess(cgroup);
  await using b = await startHungryProcess(cgroup);
  await untilLogged(1);
  // Until it is killed, which breaks the pipe.
  await a.feed(64 * MIB).catch(() => {});
  await Promise.all([a.status, b.status]);
  const { kills } = await history(cgroup.path);
  const pids = kills.map(({ victim }: typeof kills[0]) => victim.pid);
  assert.deepEqual(pids.toSorted(), [a.pid, b.pid].toSorted());
  const failing = await runOomkit(["history", cgroup.path, "--fail-on", "oom_group_kill"]);
  assert.equal(failing.code, 1, failing.stdout);
}, { only: 2 });

kernelTest("kills that the kernel counted and that are in no log are reported", async () => {
  await using cgroup = makeRealCgroup(newName());
  cgroup.limit(10 * MIB);
  await allocateUntilKilled(cgroup);
  using directory = makeDirectory();
  const log = `${directory.path}/log`;
  Deno.writeTextFileSync(log, "[    1.000000] Linux version\n");
  // Another file in the place of the kernel log: the journal alone is read, if there is one.
  const { code, stdout } = await runOomkit(["history", "--source", "kmsg", "--file", log], {
    wrap: withKernelLog(directory.path, "ln -s /dev/null $f"),
  });
  assert.equal(code, 2);
  assert.match(
    stdout,
    /^not seen {2}cannot read \/dev\/kmsg: \S+ is not the kernel log but the device 1:3/m,
  );
  assert.match(stdout, /^not seen {2}the kernel counted \d+ more since boot/m);
}, { why: noMountNamespace });
