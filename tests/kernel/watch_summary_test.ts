/** The summary of `oomkit watch` agrees with the events before it, also where the kernel's counters do not include a kill. */

import assert from "node:assert/strict";
import { allocateUntilKilled, kernelTest, killOf, MIB, ofType } from "../helpers/kernel_cases.ts";
import { untilLogged } from "../helpers/kernel_log_rate.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { startWatched } from "../helpers/watched.ts";

/** Kills in a child of a target: the target's counter includes them on v2, but not on v1 and with memory_localevents. */
async function checkSummaries(): Promise<void> {
  for (const recursive of [false, true]) {
    await using parent = makeRealCgroup("sum");
    const child = parent.child("child");
    for (const name of ["b", "c", "d"]) parent.child(name);
    child.limit(10 * MIB);
    const options = recursive ? ["--recursive"] : [];
    await using watched = await startWatched([...options, parent.path]);
    const pids = [];
    // v1 shows a kill in a child that is not watched itself only in the log.
    await untilLogged(2);
    for (let n = 0; n < 2; n++) {
      const { pid } = await allocateUntilKilled(child);
      await watched.next(killOf(pid));
      pids.push(pid);
    }
    const events = await watched.stop();
    const summary = events.at(-1)!;
    assert.equal(summary.watched_cgroups, recursive ? 5 : 1);
    const total = (key: string) =>
      summary.cgroups.reduce(
        (sum: number, deltas: Record<string, number>) => sum + (deltas[key] ?? 0),
        0,
      );
    assert.deepEqual([total("oom_kill"), total("victims")], [2, 2], JSON.stringify(summary));
    assert.equal(ofType(events, "oom_kill").length, 2);
    // What was read after the kill is not the usage at which the limit was hit.
    for (const { type, usage } of events.filter(({ type }) => type === "oom" || type === "max")) {
      assert.ok(usage === null || usage > 5 * MIB, `${type} with usage ${usage}`);
    }
    await child[Symbol.asyncDispose]();
  }
}

kernelTest("the summary counts kills in a child, and every watched cgroup", checkSummaries);

/** The option is one of the whole hierarchy, so it is changed only on a machine that is there for the tests. */
const isEmulated = /^model name\s*:.*QEMU/m.test(Deno.readTextFileSync("/proc/cpuinfo"));

kernelTest(
  "with memory_localevents the summary counts the same kills, and none in a removed child",
  async () => {
    const remount = async (option: string) => {
      const args = ["-o", `remount,${option}`, "/sys/fs/cgroup"];
      const { success, stderr } = await new Deno.Command("mount", { args }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
    };
    await remount("memory_localevents");
    try {
      assert.match(Deno.readTextFileSync("/proc/self/mountinfo"), /memory_localevents/);
      await checkSummaries();
      await using parent = makeRealCgroup("local");
      const child = parent.child("child");
      child.limit(10 * MIB);
      await allocateUntilKilled(child);
      await using watched = await startWatched(["--recursive", parent.path]);
      await child[Symbol.asyncDispose]();
      await watched.next(({ type }) => type === "cgroup_removed");
      assert.deepEqual(ofType(await watched.stop(), "oom_kill"), []);
    } finally {
      // Without the option in the list a remount leaves it out (kernel/cgroup/cgroup.c, cgroup2_parse_param).
      await remount("nsdelegate,memory_recursiveprot");
    }
  },
  { only: 2, why: isEmulated ? undefined : "it changes an option of the whole machine" },
);
