/** `oomkit guard` on real kernels, when what it guards changes between two of its looks. */

import assert from "node:assert/strict";
import {
  feedWhileItLives,
  isAlive,
  isKillAction,
  isLevel,
  kernelKills,
  killActionsOf,
  makeStateFolder,
  startGuarded,
  until,
  WIDE,
} from "../helpers/guarded.ts";
import { type HungryProcess, startHungryProcess } from "../helpers/hungry_process.ts";
import { eatToDeath, kernelTest, MIB, ofType } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import { suspend } from "../helpers/suspended.ts";
import type { Json } from "../helpers/event_stream.ts";

const LIMIT = 64 * MIB;
const LAST_PID = "/proc/sys/kernel/ns_last_pid";

const modeOf = ({ version }: Pick<RealCgroup, "version">) => version === 1 ? "hold" : "throttle";
const isGuarding = ({ path }: RealCgroup, limit: number) => (event: Json) =>
  event.type === "guard_armed" && event.cgroup === path && event.limit === limit;

/** As if the pids had come round; others take some meanwhile. */
async function startAs(pid: number, cgroup: RealCgroup): Promise<HungryProcess> {
  for (let round = 0; round < 500; round++) {
    Deno.writeTextFileSync(LAST_PID, String(pid - 1));
    const process = await startHungryProcess(cgroup);
    if (process.pid === pid) return process;
    await process[Symbol.asyncDispose]();
  }
  throw new Error(`nobody got the pid ${pid}`);
}

function whyNoPids(): string | undefined {
  try {
    Deno.openSync(LAST_PID, { write: true }).close();
    return undefined;
  } catch {
    return `${LAST_PID} cannot be written`;
  }
}

kernelTest("who has the pid of one that was aimed at is not hit in his place", async () => {
  await using cgroup = makeRealCgroup("reused");
  cgroup.limit(LIMIT);
  // Far from the threshold, which is for another one to cross.
  const levels = [...WIDE, "--warn", "40", "--cooldown", "1ms"];
  const words = [...levels, "--mode", modeOf(cgroup), "--policy", "process", cgroup.path];
  await using guarded = await startGuarded(words);
  // Whether the aim of before is still held by the last level is a matter of milliseconds.
  for (let round = 0; round < 3; round++) {
    const seen = new Set(guarded.events);
    const first = await startHungryProcess(cgroup);
    await first.feed(LIMIT / 2);
    // Who is told of has been aimed at.
    await guarded.next((event) => !seen.has(event) && isLevel("warn")(event));
    await first[Symbol.asyncDispose]();
    await using successor = await startAs(first.pid, cgroup);
    const { pid } = await eatToDeath(cgroup);
    await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
    assert.ok(isAlive(successor.pid));
  }
  assert.equal(killActionsOf(await guarded.stop()).length, 3);
  assert.equal(kernelKills(cgroup), 0);
}, { why: whyNoPids() });

kernelTest("the last of many cgroups of one name is guarded, and no other is changed", async () => {
  await using parent = makeRealCgroup("replaced");
  using state = makeStateFolder();
  let cgroup = parent.child("same");
  cgroup.limit(LIMIT);
  const args = ["--mode", modeOf(parent), "--policy", "process", cgroup.path];
  await using guarded = await startGuarded(args, { stateFolder: state.path });
  for (let limit = LIMIT - 20 * MIB; limit < LIMIT; limit += MIB) {
    Deno.removeSync(cgroup.dir);
    cgroup = parent.child("same");
    cgroup.limit(limit);
  }
  await guarded.next(isGuarding(cgroup, LIMIT - MIB));
  const { pid } = await eatToDeath(cgroup);
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.outcome, action.victim.pid], ["killed", pid]);
  assert.equal(kernelKills(cgroup), 0);
  const events = await guarded.stop();
  assert.deepEqual(killActionsOf(events).length, 1);
  assert.deepEqual(state.changes(), []);
  assert.equal(ofType(events, "restored").at(-1).outcome, "restored");
});

kernelTest("cgroups that come and go between any two of its calls trouble no guard", async () => {
  await using parent = makeRealCgroup("churn");
  using state = makeStateFolder();
  const args = ["-r", "--mode", modeOf(parent), "--policy", "process", parent.path];
  await using guarded = await startGuarded(args, { stateFolder: state.path });
  const churn = async () => {
    for (let n = 0; n < 200; n++) {
      const child = parent.child(`c${n % 5}`);
      child.limit(LIMIT);
      // By turns: not seen, half seen, seen.
      for (let turn = 0; turn < n % 4; turn++) await new Promise((next) => setTimeout(next, turn));
      Deno.removeSync(child.dir);
    }
  };
  const look = async () => {
    for (let n = 0; n < 3; n++) {
      const { code, stderr } = await runOomkit(["inspect", "--tree", "--json", parent.path]);
      assert.deepEqual([code, stderr], [0, ""]);
    }
  };
  await Promise.all([churn(), look()]);
  const last = parent.child("last");
  last.limit(LIMIT);
  await guarded.next(isGuarding(last, LIMIT));
  const { pid } = await eatToDeath(last);
  assert.equal((await guarded.next(isKillAction)).victim.pid, pid);
  assert.equal(kernelKills(last), 0);
  const events = await guarded.stop();
  assert.equal(killActionsOf(events).length, 1);
  assert.deepEqual(guarded.stderr.match(/^oomkit: .*|^\s+at .*/gm), null);
  assert.deepEqual(state.changes(), []);
});

kernelTest("a limit that comes down to what is used already is acted on at once", async () => {
  await using cgroup = makeRealCgroup("lowered");
  cgroup.limit(2 * LIMIT);
  await using process = await startHungryProcess(cgroup);
  await process.feed(LIMIT);
  await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
  const usageFile = cgroup.version === 1 ? "memory.usage_in_bytes" : "memory.current";
  cgroup.limit(Math.ceil((Number(cgroup.read(usageFile)) + MIB / 2) / 4096) * 4096);
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.outcome, action.victim.pid], ["killed", process.pid]);
  assert.equal(kernelKills(cgroup), 0);
  assert.equal(killActionsOf(await guarded.stop()).length, 1);
});

kernelTest("a limit below what is used is the kernel's to enforce, and is told", async () => {
  await using cgroup = makeRealCgroup("below");
  cgroup.limit(2 * LIMIT);
  await using process = await startHungryProcess(cgroup);
  await process.feed(LIMIT);
  await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
  // Whoever writes it is kept until the kernel has brought usage down: cgroup-v2.rst, memory.max.
  await new Deno.Command("sh", { args: ["-c", `echo ${LIMIT / 2} > ${cgroup.dir}/memory.max`] })
    .output();
  assert.equal((await process.status).signal, "SIGKILL");
  await guarded.next(isGuarding(cgroup, LIMIT / 2));
  const { pid } = await eatToDeath(cgroup);
  await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
  const events = await guarded.stop();
  const dead = [...killActionsOf(events), ...ofType(events, "oom_kill")].map(({ victim }) =>
    victim?.pid
  );
  assert.deepEqual(dead.toSorted(), [process.pid, pid].toSorted());
}, { only: 2 });

kernelTest("without a limit nobody is struck, and with one again whoever reaches it", async () => {
  await using cgroup = makeRealCgroup("unlimited");
  using state = makeStateFolder();
  cgroup.limit(LIMIT);
  const files = ["memory.oom_control", "memory.high"].filter((file) => {
    return file.startsWith("memory.oom") === (cgroup.version === 1);
  });
  const before = cgroup.read(files[0]!);
  const args = ["--mode", modeOf(cgroup), "--policy", "process", cgroup.path];
  await using guarded = await startGuarded(args, { stateFolder: state.path });
  await using process = await startHungryProcess(cgroup);
  await process.feed(LIMIT / 2);
  assert.notEqual(cgroup.read(files[0]!), before);
  cgroup.write(
    cgroup.version === 1 ? "memory.limit_in_bytes" : "memory.max",
    cgroup.version === 1 ? -1 : "max",
  );
  await guarded.next(({ type, outcome }) => type === "restored" && outcome === "restored");
  assert.equal(cgroup.read(files[0]!), before);
  await process.feed(2 * LIMIT);
  assert.ok(isAlive(process.pid));
  cgroup.limit(4 * LIMIT);
  await guarded.next(isGuarding(cgroup, 4 * LIMIT));
  await feedWhileItLives(process, 4 * LIMIT);
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.outcome, action.victim.pid], ["killed", process.pid]);
  assert.equal(kernelKills(cgroup), 0);
  await guarded.stop();
  assert.equal(
    cgroup.read(files[0]!).replace(/^oom_kill \d+$/m, ""),
    before.replace(/^oom_kill \d+$/m, ""),
  );
});

kernelTest("a guard that was suspended acts on what is, and not on what was", async () => {
  await using cgroup = makeRealCgroup("asleep");
  cgroup.limit(LIMIT);
  await using guarded = await startGuarded([...WIDE, "--policy", "process", cgroup.path]);
  await suspend(guarded.pid);
  const gone = await startHungryProcess(cgroup);
  await gone.feed(LIMIT * 0.72);
  await gone[Symbol.asyncDispose]();
  await using small = await startHungryProcess(cgroup);
  await small.feed(LIMIT / 4);
  Deno.kill(guarded.pid, "SIGCONT");
  // It has seen the one above by the time that it has seen this one.
  await small.feed(LIMIT * 0.41);
  await guarded.next(isLevel("warn"));
  assert.ok(isAlive(small.pid));
  await suspend(guarded.pid);
  const fed = feedWhileItLives(small, LIMIT * 0.08);
  await until("it is above", () => usageOf(cgroup) > LIMIT * 0.71);
  Deno.kill(guarded.pid, "SIGCONT");
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.outcome, action.victim.pid], ["killed", small.pid]);
  await fed;
  assert.equal(kernelKills(cgroup), 0);
  assert.equal(killActionsOf(await guarded.stop()).length, 1);
});

const usageOf = (cgroup: RealCgroup) =>
  Number(cgroup.read(cgroup.version === 1 ? "memory.usage_in_bytes" : "memory.current"));

kernelTest("under hold, who waits while the guard is suspended waits for it", async () => {
  await using cgroup = makeRealCgroup("patience");
  cgroup.limit(LIMIT);
  const args = ["--mode", "hold", "--hold-timeout", "2s", "--policy", "process", cgroup.path];
  await using guarded = await startGuarded(args);
  await suspend(guarded.pid);
  const dead = eatToDeath(cgroup);
  const isWaiting = () => /^under_oom 1$/m.test(cgroup.read("memory.oom_control"));
  await until("the allocator waits", isWaiting);
  // Longer than it would be let wait by a guard that is awake.
  await new Deno.Command("sleep", { args: ["2.5"] }).output();
  assert.ok(isWaiting());
  Deno.kill(guarded.pid, "SIGCONT");
  const { pid } = await dead;
  assert.equal((await guarded.next(isKillAction)).victim.pid, pid);
  assert.equal(kernelKills(cgroup), 0);
  const events = await guarded.stop();
  assert.deepEqual(ofType(events, "degraded").filter(({ requested }) => requested === "hold"), []);
}, { only: 1 });
