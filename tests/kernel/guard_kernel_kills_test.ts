/** Kills by the kernel that `oomkit guard` reports, as `watch` does of the same targets, and its summary of both sides. */

import assert from "node:assert/strict";
import {
  feedWhileItLives,
  isAlive,
  isArmed,
  isKillAction,
  kernelKills,
  killActionsOf,
  startGuarded,
  WIDE,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
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
  "when the kernel has killed a process that is not guarded, none that is guarded is killed as well",
  async () => {
    await using parent = makeRealCgroup("neighbour");
    const [child, neighbour] = [parent.child("child"), parent.child("neighbour")];
    parent.limit(64 * MIB);
    await using guarded = await startGuarded(["--policy", "process", child.path]);
    for (let run = 1; run <= 5; run++) {
      await using process = await startHungryProcess(child);
      await using larger = await startHungryProcess(neighbour);
      await larger.feed(40 * MIB);
      const before = kernelKills(child);
      // Rejects when it is killed.
      await process.feed(32 * MIB).catch(() => {});
      await larger.status;
      const outcomes = killActionsOf(guarded.events).map((
        { outcome, victim },
      ) => [outcome, victim?.pid]);
      const ended = isAlive(process.pid) ? undefined : await process.status;
      // The kernel itself may go on to the smaller one when the larger one takes long to exit (mm/oom_kill.c, oom_reap_task).
      const message = `run ${run}, pid ${process.pid}: ${JSON.stringify([ended, outcomes])}`;
      assert.ok(ended === undefined || kernelKills(child) > before, message);
    }
    const events = await guarded.stop();
    assert.deepEqual(killActionsOf(events).filter(({ outcome }) => outcome === "killed"), []);
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

kernelTest(
  "the summary of a guard counts what it has killed, beside what the kernel has killed",
  async () => {
    await using cgroup = makeRealCgroup("both");
    cgroup.limit(64 * MIB);
    // Throttled, the process that is never chosen would take long to reach the limit.
    const flags = ["--mode", "notify", "--policy", "process", "--ignore", "/dev/zero"];
    await using guarded = await startGuarded([...flags, ...WIDE, cgroup.path]);
    for (let n = 1; n <= 2; n++) {
      await using process = await startHungryProcess(cgroup);
      await feedWhileItLives(process, 60 * MIB);
      await guarded.next((event) => isKillAction(event) && event.victim?.pid === process.pid);
    }
    const { pid } = await allocateUntilKilled(cgroup);
    await guarded.next(killOf(pid));
    const events = await guarded.stop();
    const killed = killActionsOf(events).filter(({ outcome }) => outcome === "killed");
    const summary = events.at(-1)!;
    const [deltas] = summary.cgroups;
    assert.deepEqual([summary.guard_kills, deltas.guard_kills], [killed.length, killed.length]);
    assert.ok(killed.length >= 2);
    assert.deepEqual(deltas.guard_victims, [...new Set(killed.map(({ victim }) => victim.comm))]);
    assert.deepEqual([deltas.cgroup, deltas.victims], [cgroup.path, 1]);
  },
);

kernelTest(
  "what was counted before a target was created again is in the summary, and nothing is degraded twice",
  async () => {
    await using parent = makeRealCgroup("again");
    const start = () => {
      const child = parent.child("service");
      child.limit(16 * MIB);
      return child;
    };
    let service = start();
    await using guarded = await startGuarded([service.path]);
    await untilLogged(2);
    for (let n = 1; n <= 2; n++) {
      const { pid } = await allocateUntilKilled(service);
      await guarded.next(killOf(pid));
      await service[Symbol.asyncDispose]();
      if (n === 2) break;
      const before = ofType(guarded.events, "guard_armed").length;
      service = start();
      await guarded.next((event) =>
        isArmed(service)(event) && ofType(guarded.events, "guard_armed").length > before
      );
    }
    const events = await guarded.stop();
    const summary = events.at(-1)!;
    assert.equal(summary.type, "summary");
    const [deltas, ...more] = summary.cgroups;
    assert.deepEqual([deltas.victims, deltas.guard_kills, more], [2, 0, []]);
    const causes = ofType(events, "degraded").map(({ requested, reason }) =>
      `${requested} ${reason}`
    );
    assert.deepEqual(causes, [...new Set(causes)]);
  },
);
