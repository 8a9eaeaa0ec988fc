/** `oomkit guard` against real kernels: who dies, who lives, and what is told of it. */

import assert from "node:assert/strict";
import {
  feedSlowly,
  feedWhileItLives,
  isAlive,
  isKillAction,
  isLevel,
  kernelKills,
  killActionsOf,
  makeStateFolder,
  startGuarded,
  usageOf,
  WIDE,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { eatToDeath, kernelTest, MIB, ofType } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import type { Json } from "../helpers/event_stream.ts";

const LIMIT = 48 * MIB;

kernelTest("the process that the kernel would choose dies, and its neighbour lives", async () => {
  await using cgroup = makeRealCgroup("choice");
  cgroup.limit(LIMIT);
  await using small = await startHungryProcess(cgroup, { most: 111_111_111 });
  await using big = await startHungryProcess(cgroup, { most: 222_222_222 });
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
});

kernelTest(
  "of a cgroup that is nearly full before the guard comes the largest dies, not the first that is found",
  async () => {
    await using cgroup = makeRealCgroup("full");
    cgroup.limit(LIMIT);
    await using first = await startHungryProcess(cgroup);
    await using second = await startHungryProcess(cgroup);
    await using big = await startHungryProcess(cgroup);
    // Within half of the margin of the limit, where nobody grows: who is in a hurry there takes whom he finds.
    await feedSlowly(big, () => usageOf(cgroup) > LIMIT - 400 * 1024);
    await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
    assert.equal((await guarded.next(isKillAction)).victim.pid, big.pid);
    assert.equal(killActionsOf(await guarded.stop()).length, 1);
    assert.ok(isAlive(first.pid) && isAlive(second.pid));
    assert.equal(kernelKills(cgroup), 0);
  },
);

kernelTest(
  "who comes in the place of one that was killed is taken in his turn, and not his neighbour",
  async () => {
    await using cgroup = makeRealCgroup("successor");
    cgroup.limit(LIMIT);
    await using small = await startHungryProcess(cgroup);
    await small.feed(4 * MIB);
    await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
    // Each within the second in which an aim is thought to hold.
    const killed: number[] = [];
    for (let round = 0; round < 4; round++) killed.push((await eatToDeath(cgroup)).pid);
    for (const pid of killed) {
      await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
    }
    const deeds = killActionsOf(await guarded.stop());
    assert.deepEqual(deeds.map(({ victim }) => victim?.pid), killed);
    assert.ok(isAlive(small.pid));
    assert.equal(kernelKills(cgroup), 0);
  },
);

/** Two of different weight in one cgroup; the heavier reaches the threshold, and the pid of who is taken is told. */
async function takenOf(
  flagsOf: (light: RealCgroup, heavy: RealCgroup) => readonly string[],
): Promise<"light" | "heavy"> {
  await using parent = makeRealCgroup("prefer");
  const homes = [parent.child("light"), parent.child("heavy")] as const;
  parent.limit(LIMIT);
  await using light = await startHungryProcess(homes[0], { most: 111_111_111 });
  await using heavy = await startHungryProcess(homes[1], { most: 222_222_222 });
  await light.feed(12 * MIB);
  const flags = flagsOf(...homes);
  await using guarded = await startGuarded(["--policy", "process", ...flags, parent.path]);
  const fed = feedWhileItLives(heavy, 2 * LIMIT);
  const { victim } = await guarded.next(isKillAction);
  const taken = victim.pid === light.pid ? "light" : "heavy";
  assert.equal(victim.pid, taken === "light" ? light.pid : heavy.pid);
  await heavy[Symbol.asyncDispose]();
  await fed;
  return taken;
}

kernelTest("the heavier one is taken when nothing is said of either", async () => {
  assert.equal(await takenOf(() => []), "heavy");
});

for (
  const [words, flags] of [
    ["who is preferred by its cgroup", ["--prefer", "/light$"]],
    ["who is preferred by its command line", ["--prefer", "-c 1{9}$"]],
    ["another than who is to be avoided", ["--avoid", "-c 2{9}$"]],
    ["another than who is to be ignored", ["--ignore", "/heavy$"]],
  ] as const
) {
  kernelTest(`the lighter one is taken: ${words}`, async () => {
    assert.equal(await takenOf(() => flags), "light");
  });
}

kernelTest("the lighter one is taken: another than whose cgroup asks to be omitted", async () => {
  const taken = await takenOf((_, heavy) => {
    setAttribute(heavy.dir, "user.oomd_omit", "1");
    return [];
  });
  assert.equal(taken, "light");
});

function setAttribute(path: string, name: string, value: string): void {
  const parameters = ["buffer", "buffer", "buffer", "usize", "i32"] as const;
  const libc = Deno.dlopen("libc.so.6", { setxattr: { parameters, result: "i32" } });
  const encode = (text: string) => new TextEncoder().encode(text);
  const size = BigInt(value.length);
  const result = libc.symbols.setxattr(
    encode(`${path}\0`),
    encode(`${name}\0`),
    encode(value),
    size,
    0,
  );
  libc.close();
  assert.equal(result, 0, `cannot set ${name}`);
}

kernelTest(
  "a rehearsal tells whom it would take, harms nobody, and changes nothing",
  async () => {
    await using cgroup = makeRealCgroup("rehearsal");
    cgroup.limit(LIMIT);
    using state = makeStateFolder();
    const controls = () =>
      cgroup.version === 1 ? cgroup.read("memory.oom_control") : cgroup.read("memory.high");
    const before = controls();
    await using process = await startHungryProcess(cgroup);
    const flags = ["--dry-run", "--policy", "process", ...WIDE];
    await using guarded = await startGuarded([...flags, cgroup.path], { stateFolder: state.path });
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

kernelTest("who ignores SIGTERM is gone once the grace is over, and not before", async () => {
  await using cgroup = makeRealCgroup("stubborn");
  cgroup.limit(LIMIT);
  await using process = await startHungryProcess(cgroup, { before: 'trap "" TERM' });
  const flags = ["--policy", "process", "--grace-period", "600ms", ...WIDE];
  await using guarded = await startGuarded([...flags, cgroup.path]);
  await process.feed(LIMIT / 2);
  await feedSlowly(process, () => guarded.events.some(isLevel("imminent")));
  const reached = await guarded.next(isLevel("imminent"));
  const asked = await guarded.next(isKillAction);
  assert.deepEqual([asked.signal, asked.outcome], ["SIGTERM", "survived"]);
  const killed = await guarded.next((event) => isKillAction(event) && event.signal === "SIGKILL");
  assert.deepEqual([killed.outcome, killed.victim.pid], ["killed", process.pid]);
  assert.equal((await process.status).signal, "SIGKILL");
  const waited = Date.parse(killed.ts) - Date.parse(reached.ts);
  // The level is told only after SIGTERM is on its way, which takes its time where all is emulated.
  assert.ok(waited > 300, `${waited} ms of 600`);
  assert.equal(kernelKills(cgroup), 0);
});

kernelTest("who obeys SIGTERM gets no SIGKILL", async () => {
  await using cgroup = makeRealCgroup("obedient");
  cgroup.limit(LIMIT);
  await using process = await startHungryProcess(cgroup);
  const flags = ["--policy", "process", "--grace-period", "1h", ...WIDE];
  await using guarded = await startGuarded([...flags, cgroup.path]);
  await feedWhileItLives(process, LIMIT * 3 / 4);
  const { signal } = await process.status;
  assert.equal(signal, "SIGTERM");
  await guarded.next((event) => isKillAction(event) && event.outcome === "killed");
  const deeds = killActionsOf(await guarded.stop());
  assert.deepEqual(deeds.map(({ signal }) => signal), ["SIGTERM"]);
});

kernelTest("a cgroup that dies as a whole is ended as a whole", async () => {
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

kernelTest("who may not be killed outlives the cgroup that dies as a whole", async () => {
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

kernelTest("who has moved out since it was aimed at is not hit", async () => {
  await using cgroup = makeRealCgroup("left");
  await using elsewhere = makeRealCgroup("arrived");
  cgroup.limit(LIMIT);
  await using mover = await startHungryProcess(cgroup);
  await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
  await mover.feed(LIMIT * 0.7);
  await guarded.next(isLevel("warn"));
  // What it has touched stays charged where it was, so that it is still the heaviest by its size.
  elsewhere.write("cgroup.procs", mover.pid);
  await using other = await startHungryProcess(cgroup);
  await feedWhileItLives(other, LIMIT);
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.outcome, action.victim.pid], ["killed", other.pid]);
  await mover.feed(MIB);
  assert.ok(isAlive(mover.pid));
  assert.equal(killActionsOf(await guarded.stop()).length, 1);
});
