/** `oomkit watch` when one OOM kills several processes: each victim is reported once. */

import assert from "node:assert/strict";
import { type HungryProcess, startHungryProcess } from "../helpers/hungry_process.ts";
import {
  countsGroupKills,
  kernelTest,
  killOf,
  MIB,
  ofType,
  victimsOf,
} from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { startWatched } from "../helpers/watched.ts";

const byNumber = (a: number | null, b: number | null) => Number(a) - Number(b);
const pidsOf = (processes: readonly HungryProcess[]) => processes.map(({ pid }) => pid);

/** Allocates until it is killed; returns its exit code. */
async function overfeed(hungry: HungryProcess): Promise<number> {
  let code: number | undefined;
  const dead = hungry.status.then((status) => code = status.code);
  while (code === undefined) {
    const fed = hungry.feed(MIB / 4).catch(() => dead);
    await Promise.race([fed, dead]);
  }
  return code;
}

kernelTest(
  "a group kill is reported once, and each of its victims once",
  async () => {
    await using parent = makeRealCgroup("group");
    const cgroup = parent.child("together");
    const beside = parent.child("beside");
    cgroup.limit(24 * MIB);
    cgroup.write("memory.oom.group", 1);
    await using a = await startHungryProcess(cgroup);
    await using b = await startHungryProcess(cgroup);
    await using c = await startHungryProcess(cgroup);
    // The kernel does not kill it (cgroup-v2.rst, memory.oom.group).
    await using spared = await startHungryProcess(cgroup, { oomScoreAdj: -1000 });
    await using neighbour = await startHungryProcess(beside);
    const group = [a, b, c];
    await using watched = await startWatched(["--recursive", parent.path]);
    assert.equal(await overfeed(a), 137);
    for (const { status } of group) assert.equal((await status).code, 137);
    for (const { pid } of group) {
      const kill = await watched.next(killOf(pid));
      assert.equal(kill.cgroup, cgroup.path);
      assert.equal(kill.limit_owner, cgroup.path);
      assert.equal(kill.victim.comm, "tail");
    }
    if (countsGroupKills) await watched.next(({ type }) => type === "oom_group_kill");
    const events = await watched.stop();
    assert.deepEqual(victimsOf(events).sort(byNumber), pidsOf(group).sort(byNumber));
    const groups = ofType(events, "oom_group_kill").filter((e) => e.cgroup === cgroup.path);
    assert.deepEqual(groups.map(({ count }) => count), countsGroupKills ? [1] : []);
    const deltas = events.at(-1).cgroups.find((t: { cgroup: string }) => t.cgroup === cgroup.path);
    assert.equal(deltas.oom_group_kill, countsGroupKills ? 1 : null);
    assert.equal(deltas.victims, 3);
    assert.ok(deltas.oom_kill >= 3, `${deltas.oom_kill}`);
    for (const { pid } of [spared, neighbour]) {
      assert.doesNotMatch(Deno.readTextFileSync(`/proc/${pid}/status`), /^State:\s+[ZX]/m);
    }
  },
  { only: 2 },
);

kernelTest(
  "without a group, three processes killed at one limit are three OOMs and kills",
  async () => {
    await using cgroup = makeRealCgroup("single");
    cgroup.limit(24 * MIB);
    await using a = await startHungryProcess(cgroup);
    await using b = await startHungryProcess(cgroup);
    await using c = await startHungryProcess(cgroup);
    await using watched = await startWatched([cgroup.path]);
    for (const hungry of [a, b, c]) {
      assert.equal(await overfeed(hungry), 137);
      await watched.next(killOf(hungry.pid));
    }
    const events = await watched.stop();
    assert.deepEqual(victimsOf(events), pidsOf([a, b, c]), "in the order of their kills");
    assert.deepEqual(ofType(events, "oom_group_kill"), []);
    const ooms = ofType(events, "oom").reduce((sum, { count }) => sum + count, 0);
    assert.ok(ooms >= 3, `${ooms} OOMs`);
    const [deltas] = events.at(-1).cgroups;
    assert.deepEqual([deltas.oom_kill, deltas.victims], [3, 3]);
  },
);
