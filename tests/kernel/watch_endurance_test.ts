/** `oomkit watch` when it is suspended, watches many cgroups, and has run for long. */

import assert from "node:assert/strict";
import { eatToDeath, kernelTest, killOf, MIB, ofType, victimsOf } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { suspend } from "../helpers/suspended.ts";
import { type Json, startWatched, type Watched } from "../helpers/watched.ts";

const MANY = 200;

kernelTest("what happens while the watch is suspended is reported when it continues", async () => {
  await using parent = makeRealCgroup("suspended");
  const stays = parent.child("stays");
  const goes = parent.child("goes");
  for (const child of [stays, goes]) child.limit(10 * MIB);
  await using watched = await startWatched(["--recursive", parent.path]);
  await suspend(watched.pid);
  const pids: number[] = [];
  for (const child of [stays, stays, goes]) pids.push((await eatToDeath(child)).pid);
  await goes[Symbol.asyncDispose]();
  assert.deepEqual(watched.events, []);
  Deno.kill(watched.pid, "SIGCONT");
  for (const pid of pids) await watched.next(killOf(pid));
  await watched.next((e) => e.type === "cgroup_removed" && e.cgroup === goes.path);
  const events = await watched.stop();
  assert.deepEqual(victimsOf(events).sort(), pids.sort());
  const perCgroup = ({ path }: RealCgroup) =>
    ofType(events, "oom_kill").filter(({ cgroup }) => cgroup === path).length;
  assert.deepEqual([perCgroup(stays), perCgroup(goes)], [2, 1]);
});

kernelTest(`an OOM in one of ${MANY} cgroups is reported there, and in no other`, async () => {
  await using parent = makeRealCgroup("many");
  const children = Array.from({ length: MANY }, (_, n) => parent.child(`c${n}`));
  for (const child of children) child.limit(10 * MIB);
  await using watched = await startWatched(["--recursive", parent.path]);
  const victim = children[137]!;
  const { pid } = await eatToDeath(victim);
  const kill = await watched.next(killOf(pid));
  assert.equal(kill.cgroup, victim.path);
  assert.equal(kill.limit_owner, victim.path);
  const events = await watched.stop();
  assert.deepEqual(victimsOf(events), [pid]);
  const summary = events.at(-1);
  const concerned = new Set(events.filter((e) => e !== summary).map(({ cgroup }) => cgroup));
  assert.deepEqual([...concerned], [victim.path]);
  // Besides the target itself, only cgroups where something happened.
  const victims = summary.cgroups.map(({ cgroup, victims }: Json) => [cgroup, victims]);
  assert.deepEqual(victims.toSorted(), [[parent.path, 0], [victim.path, 1]]);
});

/** Creates a cgroup, and removes it once it is armed; resolves when the removal is reported. */
async function createAndRemove(parent: RealCgroup, name: string, watched: Watched): Promise<void> {
  const child = parent.child(name);
  const reported = (type: string) =>
    watched.next((e) => e.type === type && e.cgroup === child.path);
  await reported("cgroup_created");
  child.limit(10 * MIB);
  await reported("limit_changed");
  await child[Symbol.asyncDispose]();
  await reported("cgroup_removed");
}

/** Counted once the watch has reported everything so far. */
async function countDescriptors(watched: Watched, bystander: RealCgroup): Promise<number> {
  const to = ++limitInMib * MIB;
  bystander.limit(to);
  await watched.next((e) => e.type === "limit_changed" && e.to === to);
  return [...Deno.readDirSync(`/proc/${watched.pid}/fd`)].length;
}
let limitInMib = 10;

kernelTest(
  `after ${MANY} cgroups were created and removed, no descriptor is left open`,
  async () => {
    await using parent = makeRealCgroup("leak");
    const bystander = parent.child("bystander");
    const interests = parent.version === 1
      ? ["--pressure", "low"]
      : ["--psi", "some:150ms/1s", "--threshold", "8M"];
    await using watched = await startWatched(["--recursive", ...interests, parent.path]);
    // What stays open for the whole run is open after the first.
    await createAndRemove(parent, "first", watched);
    const before = await countDescriptors(watched, bystander);
    await Promise.all(
      Array.from({ length: MANY }, (_, n) => createAndRemove(parent, `c${n}`, watched)),
    );
    const after = await countDescriptors(watched, bystander);
    assert.ok(after <= before, `${before} descriptors before, ${after} after`);
    const events = await watched.stop();
    for (const type of ["cgroup_created", "cgroup_removed"]) {
      assert.equal(new Set(ofType(events, type).map(({ cgroup }) => cgroup)).size, MANY + 1, type);
      assert.equal(ofType(events, type).length, MANY + 1, type);
    }
    assert.deepEqual(ofType(events, "oom_kill"), []);
  },
);
