/** `oomkit guard` on real kernels: which processes are killed, which survive, and what is reported. */

import assert from "node:assert/strict";
import {
  feedSlowly,
  feedWhileItLives,
  isAlive,
  isKillAction,
  isLevel,
  kernelKills,
  killActionsOf,
  makeStateDirectory,
  startGuarded,
  usageOf,
  WIDE,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import {
  anyVersionTest,
  faultUntilKilled,
  kernelTest,
  MIB,
  ofType,
} from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup, setAttribute } from "../helpers/real_cgroup.ts";
import type { Json } from "../helpers/event_stream.ts";

const LIMIT = 48 * MIB;

kernelTest(
  "the process that the kernel would choose is killed, and its neighbour survives",
  async () => {
    await using cgroup = makeRealCgroup("choice");
    cgroup.limit(LIMIT);
    await using small = await startHungryProcess(cgroup, { maxBytes: 111_111_111 });
    await using big = await startHungryProcess(cgroup, { maxBytes: 222_222_222 });
    await small.feed(4 * MIB);
    await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
    await feedWhileItLives(big, LIMIT);
    const action = await guarded.next(isKillAction);
    const { victim } = action;
    assert.deepEqual([action.outcome, action.signal, action.level], [
      "killed",
      "SIGKILL",
      "imminent",
    ]);
    assert.equal(victim.pid, big.pid);
    assert.equal(victim.comm, "tail");
    assert.deepEqual(victim.cmdline, ["tail", "-c", "222222222"]);
    assert.equal(victim.cgroup, cgroup.path);
    assert.ok(victim.rss > LIMIT / 2 && victim.rss <= LIMIT, `rss ${victim.rss}`);
    assert.ok(victim.badness >= victim.rss, `badness ${victim.badness}`);
    assert.deepEqual(action.candidates.map(({ pid }: Json) => pid), [big.pid, small.pid]);
    assert.ok(action.usage_before >= action.level_bytes && action.usage_before <= LIMIT);
    assert.ok(action.usage_after < action.level_bytes);
    assert.equal((await big.status).signal, "SIGKILL");
    await small.feed(MIB);
    const events = await guarded.stop();
    assert.equal(killActionsOf(events).length, 1);
    assert.deepEqual(ofType(events, "oom_kill"), []);
    assert.equal(kernelKills(cgroup), 0);
  },
);

kernelTest(
  "in a cgroup that is nearly full when the guard starts, the largest process is killed, not the first one found",
  async () => {
    await using cgroup = makeRealCgroup("full");
    cgroup.limit(LIMIT);
    await using first = await startHungryProcess(cgroup);
    await using second = await startHungryProcess(cgroup);
    await using big = await startHungryProcess(cgroup);
    // Within half of the margin below the limit and without growth: an urgent kill would take the first process found.
    await feedSlowly(big, () => usageOf(cgroup) > LIMIT - 400 * 1024);
    await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
    assert.equal((await guarded.next(isKillAction)).victim.pid, big.pid);
    assert.equal(killActionsOf(await guarded.stop()).length, 1);
    assert.ok(isAlive(first.pid) && isAlive(second.pid));
    assert.equal(kernelKills(cgroup), 0);
  },
);

kernelTest(
  "a process that replaces a killed one is killed in turn, and not its neighbour",
  async () => {
    await using cgroup = makeRealCgroup("successor");
    cgroup.limit(LIMIT);
    await using small = await startHungryProcess(cgroup);
    await small.feed(4 * MIB);
    await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
    // Each within the second for which a selection of victims is valid.
    const killed: number[] = [];
    for (let round = 0; round < 4; round++) killed.push((await faultUntilKilled(cgroup)).pid);
    for (const pid of killed) {
      await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
    }
    const actions = killActionsOf(await guarded.stop());
    assert.deepEqual(actions.map(({ victim }) => victim?.pid), killed);
    assert.ok(isAlive(small.pid));
    assert.equal(kernelKills(cgroup), 0);
  },
);

/** Of two processes the larger one reaches the level. @returns which one is killed. */
async function victimOf(
  flagsOf: (light: RealCgroup, heavy: RealCgroup) => readonly string[],
): Promise<"light" | "heavy"> {
  await using parent = makeRealCgroup("prefer");
  const homes = [parent.child("light"), parent.child("heavy")] as const;
  parent.limit(LIMIT);
  await using light = await startHungryProcess(homes[0], { maxBytes: 111_111_111 });
  await using heavy = await startHungryProcess(homes[1], { maxBytes: 222_222_222 });
  await light.feed(12 * MIB);
  const flags = flagsOf(...homes);
  await using guarded = await startGuarded(["--policy", "process", ...flags, parent.path]);
  const fed = feedWhileItLives(heavy, 2 * LIMIT);
  const { victim } = await guarded.next(isKillAction);
  const killed = victim.pid === light.pid ? "light" : "heavy";
  assert.equal(victim.pid, killed === "light" ? light.pid : heavy.pid);
  await heavy[Symbol.asyncDispose]();
  await fed;
  return killed;
}

kernelTest("without preferences the larger process is killed", async () => {
  assert.equal(await victimOf(() => []), "heavy");
});

for (
  const [when, flags] of [
    ["when --prefer matches its cgroup", ["--prefer", "/light$"]],
    ["when --prefer matches its command line", ["--prefer", "-c 1{9}$"]],
    ["when --avoid matches the larger one", ["--avoid", "-c 2{9}$"]],
    ["when --ignore matches the larger one", ["--ignore", "/heavy$"]],
  ] as const
) {
  anyVersionTest(`the smaller process is killed ${when}`, async () => {
    assert.equal(await victimOf(() => flags), "light");
  });
}

kernelTest(
  "the smaller process is killed when user.oomd_omit is set on the cgroup of the larger one",
  async () => {
    const killed = await victimOf((_, heavy) => {
      setAttribute(heavy.dir, "user.oomd_omit", "1");
      return [];
    });
    assert.equal(killed, "light");
  },
);

kernelTest(
  "a dry run reports the victim, kills nothing, and changes nothing",
  async () => {
    await using cgroup = makeRealCgroup("dry-run");
    cgroup.limit(LIMIT);
    using state = makeStateDirectory();
    const controls = () =>
      cgroup.version === 1 ? cgroup.read("memory.oom_control") : cgroup.read("memory.high");
    const before = controls();
    await using process = await startHungryProcess(cgroup);
    const flags = ["--dry-run", "--policy", "process", ...WIDE];
    await using guarded = await startGuarded([...flags, cgroup.path], {
      stateDirectory: state.path,
    });
    await process.feed(LIMIT * 3 / 4);
    const action = await guarded.next(isKillAction);
    assert.deepEqual([action.outcome, action.dry_run], ["dry_run", true]);
    assert.equal(action.victim.pid, process.pid);
    assert.equal(controls(), before);
    assert.deepEqual(state.changes(), []);
    await process.feed(MIB);
    assert.ok(isAlive(process.pid));
    const events = await guarded.stop();
    assert.deepEqual(killActionsOf(events).map(({ outcome }) => outcome), ["dry_run"]);
  },
);

kernelTest(
  "a process that ignores SIGTERM is killed after the grace period, and not before",
  async () => {
    await using cgroup = makeRealCgroup("stubborn");
    cgroup.limit(LIMIT);
    await using process = await startHungryProcess(cgroup, { before: 'trap "" TERM' });
    // A reclaim of a few pages would do, as it allocates no more once the level is reached.
    const flags = ["--policy", "process", "--grace-period", "600ms", "--no-reclaim", ...WIDE];
    await using guarded = await startGuarded([...flags, cgroup.path]);
    await process.feed(LIMIT / 2);
    await feedSlowly(process, () => guarded.events.some(isLevel("imminent")));
    const reached = await guarded.next(isLevel("imminent"));
    const terminated = await guarded.next(isKillAction);
    assert.deepEqual([terminated.signal, terminated.outcome], ["SIGTERM", "survived"]);
    const killed = await guarded.next((event) => isKillAction(event) && event.signal === "SIGKILL");
    assert.deepEqual([killed.outcome, killed.victim.pid], ["killed", process.pid]);
    assert.equal((await process.status).signal, "SIGKILL");
    const waited = Date.parse(killed.ts) - Date.parse(reached.ts);
    // The level is reported only after SIGTERM is sent, which is slow on an emulated machine.
    assert.ok(waited > 300, `${waited} ms of 600`);
    assert.equal(kernelKills(cgroup), 0);
  },
);

anyVersionTest("a process that exits on SIGTERM gets no SIGKILL", async () => {
  await using cgroup = makeRealCgroup("obedient");
  cgroup.limit(LIMIT);
  await using process = await startHungryProcess(cgroup);
  const flags = ["--policy", "process", "--grace-period", "1h", ...WIDE];
  await using guarded = await startGuarded([...flags, cgroup.path]);
  await feedWhileItLives(process, LIMIT * 3 / 4);
  const { signal } = await process.status;
  assert.equal(signal, "SIGTERM");
  await guarded.next((event) => isKillAction(event) && event.outcome === "killed");
  const actions = killActionsOf(await guarded.stop());
  assert.deepEqual(actions.map(({ signal }) => signal), ["SIGTERM"]);
});

kernelTest("with memory.oom.group set, the whole cgroup is killed", async () => {
  await using cgroup = makeRealCgroup("group");
  cgroup.limit(LIMIT);
  cgroup.write("memory.oom.group", 1);
  await using small = await startHungryProcess(cgroup);
  await using big = await startHungryProcess(cgroup);
  await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
  await feedWhileItLives(big, LIMIT);
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.outcome, action.killed_cgroup], ["killed", cgroup.path]);
  assert.equal(action.victim.pid, big.pid);
  for (const { status } of [small, big]) assert.equal((await status).signal, "SIGKILL");
  assert.equal(kernelKills(cgroup), 0);
}, { only: 2 });

kernelTest("with memory.oom.group set, a process with oom_score_adj -1000 survives", async () => {
  await using cgroup = makeRealCgroup("immune");
  cgroup.limit(LIMIT);
  cgroup.write("memory.oom.group", 1);
  await using immune = await startHungryProcess(cgroup, { oomScoreAdj: -1000 });
  await using small = await startHungryProcess(cgroup);
  await using big = await startHungryProcess(cgroup);
  await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
  await feedWhileItLives(big, LIMIT);
  assert.equal((await guarded.next(isKillAction)).outcome, "killed");
  for (const { status } of [small, big]) assert.equal((await status).signal, "SIGKILL");
  assert.ok(isAlive(immune.pid));
}, { only: 2 });

kernelTest("a selected victim that leaves the cgroup is not killed", async () => {
  await using cgroup = makeRealCgroup("left");
  await using elsewhere = makeRealCgroup("arrived");
  cgroup.limit(LIMIT);
  await using mover = await startHungryProcess(cgroup);
  await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
  await mover.feed(LIMIT * 0.7);
  await guarded.next(isLevel("warn"));
  // Its pages stay charged to the old cgroup, and by its size it is still the first candidate.
  elsewhere.write("cgroup.procs", mover.pid);
  await using other = await startHungryProcess(cgroup);
  await feedWhileItLives(other, LIMIT);
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.outcome, action.victim.pid], ["killed", other.pid]);
  await mover.feed(MIB);
  assert.ok(isAlive(mover.pid));
  assert.equal(killActionsOf(await guarded.stop()).length, 1);
});
