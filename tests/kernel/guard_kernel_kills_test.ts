/** Kills by the kernel that `oomkit guard` reports: the same as `watch` reports of the same targets. */

import assert from "node:assert/strict";
import { startGuarded } from "../helpers/guarded.ts";
import { allocateUntilKilled, kernelTest, killOf, MIB, ofType } from "../helpers/kernel_cases.ts";
import { untilLogged } from "../helpers/kernel_log_rate.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";

kernelTest(
  "a kill in a child of a target that is guarded alone is reported and counted",
  async () => {
    await using pod = makeRealCgroup("below");
    const child = pod.child("child");
    pod.limit(16 * MIB);
    await using guarded = await startGuarded([pod.path]);
    // v1 shows a kill in a child that is not watched itself only in the log.
    await untilLogged(1);
    const { pid } = await allocateUntilKilled(child);
    const kill = await guarded.next(killOf(pid));
    assert.equal(kill.cgroup, child.path);
    await child[Symbol.asyncDispose]();
    const events = await guarded.stop();
    assert.equal(ofType(events, "oom_kill").length, 1);
    const [deltas] = events.at(-1)!.cgroups;
    assert.deepEqual([deltas.cgroup, deltas.victims, deltas.oom_kill], [pod.path, 1, 1]);
  },
);

kernelTest(
  "beside a glob, a kill below each target and each match is reported, and no other",
  async () => {
    await using parent = makeRealCgroup("globs");
    const [named, match, other] = ["named", "a1", "b1"].map((name) => parent.child(name));
    const inside = [named!, match!, other!].map((cgroup) => {
      cgroup.limit(16 * MIB);
      return cgroup.child("inside");
    });
    await using guarded = await startGuarded([named!.path, `${parent.path}/a*`]);
    await untilLogged(3);
    // In the other one first, so that its kill would have been reported by the end.
    await allocateUntilKilled(inside[2]!);
    for (const cgroup of inside.slice(0, 2)) {
      const { pid } = await allocateUntilKilled(cgroup);
      await guarded.next(killOf(pid));
    }
    const events = await guarded.stop();
    const cgroups = [inside[0]!.path, inside[1]!.path];
    assert.deepEqual(ofType(events, "oom_kill").map(({ cgroup }) => cgroup), cgroups);
    assert.equal(events.some(({ cgroup }) => cgroup.startsWith(other!.path)), false);
    const summary = events.at(-1)!;
    assert.equal(summary.watched_cgroups, 2);
    const victims = summary.cgroups.reduce(
      (sum: number, each: { victims: number }) => sum + each.victims,
      0,
    );
    assert.equal(victims, 2, JSON.stringify(summary));
  },
);
