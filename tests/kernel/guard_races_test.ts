/** `oomkit guard` on real kernels, when cgroups change between two of its reads. */

import assert from "node:assert/strict";
import {
  changingModeOf,
  feedWhileItLives,
  isAlive,
  isArmed,
  isKillAction,
  isLevel,
  kernelKills,
  killActionsOf,
  makeStateDirectory,
  startGuarded,
  until,
  usageOf,
  WIDE,
} from "../helpers/guarded.ts";
import { type HungryProcess, startHungryProcess } from "../helpers/hungry_process.ts";
import {
  entering,
  faultUntilKilled,
  kernelTest,
  MIB,
  ofType,
  startFaultingProcess,
} from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import { suspend } from "../helpers/suspended.ts";

const LIMIT = 64 * MIB;
const LAST_PID = "/proc/sys/kernel/ns_last_pid";

/** Starts a process with this pid, as after a wrap of the pids; other programs may take some meanwhile. */
async function startWithPid(pid: number, cgroup: RealCgroup): Promise<HungryProcess> {
  for (let round = 0; round < 500; round++) {
    Deno.writeTextFileSync(LAST_PID, String(pid - 1));
    const process = await startHungryProcess(cgroup);
    if (process.pid === pid) return process;
    await process[Symbol.asyncDispose]();
  }
  throw new Error(`no process got the pid ${pid}`);
}

function whyNoPids(): string | undefined {
  try {
    Deno.openSync(LAST_PID, { write: true }).close();
    return undefined;
  } catch {
    return `${LAST_PID} cannot be written`;
  }
}

kernelTest("a process that reuses the pid of a selected victim is not killed", async () => {
  await using cgroup = makeRealCgroup("reused");
  cgroup.limit(LIMIT);
  // Far below the imminent level, which the other process crosses.
  const levels = [...WIDE, "--warn", "40", "--cooldown", "1ms"];
  const words = [...levels, "--mode", changingModeOf(cgroup), "--policy", "process", cgroup.path];
  await using guarded = await startGuarded(words);
  // Several rounds: whether the old selection is still in use is a matter of milliseconds.
  for (let round = 0; round < 3; round++) {
    const seen = new Set(guarded.events);
    const first = await startHungryProcess(cgroup);
    await first.feed(LIMIT / 2);
    // At a level the victims are selected.
    await guarded.next((event) => !seen.has(event) && isLevel("warn")(event));
    await first[Symbol.asyncDispose]();
    await using successor = await startWithPid(first.pid, cgroup);
    const { pid } = await faultUntilKilled(cgroup);
    await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
    assert.ok(isAlive(successor.pid));
  }
  assert.equal(killActionsOf(await guarded.stop()).length, 3);
  assert.equal(kernelKills(cgroup), 0);
}, { why: whyNoPids() });

kernelTest(
  "after many cgroups of the same name the last one is guarded, and no other stays changed",
  async () => {
    await using parent = makeRealCgroup("replaced");
    using state = makeStateDirectory();
    let cgroup = parent.child("same");
    cgroup.limit(LIMIT);
    const args = ["--mode", changingModeOf(parent), "--policy", "process", cgroup.path];
    await using guarded = await startGuarded(args, { stateDirectory: state.path });
    for (let limit = LIMIT - 20 * MIB; limit < LIMIT; limit += MIB) {
      Deno.removeSync(cgroup.dir);
      cgroup = parent.child("same");
      cgroup.limit(limit);
    }
    await guarded.next(isArmed(cgroup, LIMIT - MIB));
    const { pid } = await faultUntilKilled(cgroup);
    const action = await guarded.next(isKillAction);
    assert.deepEqual([action.outcome, action.victim.pid], ["killed", pid]);
    assert.equal(kernelKills(cgroup), 0);
    const events = await guarded.stop();
    assert.deepEqual(killActionsOf(events).length, 1);
    assert.deepEqual(state.changes(), []);
    assert.equal(ofType(events, "restored").at(-1).outcome, "restored");
  },
);

kernelTest(
  "cgroups created and removed between any two system calls do not disturb a guard",
  async () => {
    await using parent = makeRealCgroup("churn");
    using state = makeStateDirectory();
    const args = ["-r", "--mode", changingModeOf(parent), "--policy", "process", parent.path];
    await using guarded = await startGuarded(args, { stateDirectory: state.path });
    const churn = async () => {
      for (let n = 0; n < 200; n++) {
        const child = parent.child(`c${n % 5}`);
        child.limit(LIMIT);
        // In turn: removed before, during and after the guard reads it.
        for (let turn = 0; turn < n % 4; turn++) {
          await new Promise((next) => setTimeout(next, turn));
        }
        Deno.removeSync(child.dir);
      }
    };
    const inspect = async () => {
      for (let n = 0; n < 3; n++) {
        const { code, stderr } = await runOomkit(["inspect", "--tree", "--json", parent.path]);
        assert.deepEqual([code, stderr], [0, ""]);
      }
    };
    await Promise.all([churn(), inspect()]);
    const last = parent.child("last");
    last.limit(LIMIT);
    await guarded.next(isArmed(last, LIMIT));
    const { pid } = await faultUntilKilled(last);
    assert.equal((await guarded.next(isKillAction)).victim.pid, pid);
    assert.equal(kernelKills(last), 0);
    const events = await guarded.stop();
    assert.equal(killActionsOf(events).length, 1);
    assert.deepEqual(guarded.stderr.match(/^oomkit: .*|^\s+at .*/gm), null);
    assert.deepEqual(state.changes(), []);
  },
);

kernelTest("a limit that is lowered to the current usage causes a kill immediately", async () => {
  await using cgroup = makeRealCgroup("lowered");
  cgroup.limit(2 * LIMIT);
  await using process = await startHungryProcess(cgroup);
  await process.feed(LIMIT);
  await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
  cgroup.limit(Math.ceil((usageOf(cgroup) + MIB / 2) / 4096) * 4096);
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.outcome, action.victim.pid], ["killed", process.pid]);
  assert.equal(kernelKills(cgroup), 0);
  assert.equal(killActionsOf(await guarded.stop()).length, 1);
});

kernelTest(
  "a limit set below usage is enforced by the kernel, and its kill is reported",
  async () => {
    await using cgroup = makeRealCgroup("below");
    cgroup.limit(2 * LIMIT);
    await using process = await startHungryProcess(cgroup);
    await process.feed(LIMIT);
    await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
    // In a child process: the write blocks until the kernel has reduced usage (cgroup-v2.rst, memory.max).
    await new Deno.Command("sh", { args: ["-c", `echo ${LIMIT / 2} > ${cgroup.dir}/memory.max`] })
      .output();
    assert.equal((await process.status).signal, "SIGKILL");
    await guarded.next(isArmed(cgroup, LIMIT / 2));
    const { pid } = await faultUntilKilled(cgroup);
    await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
    const events = await guarded.stop();
    const killed = [...killActionsOf(events), ...ofType(events, "oom_kill")].map(({ victim }) =>
      victim?.pid
    );
    assert.deepEqual(killed.toSorted(), [process.pid, pid].toSorted());
  },
  { only: 2 },
);

kernelTest(
  "nothing is killed while the limit is removed, and the guard kills again at a new limit",
  async () => {
    await using cgroup = makeRealCgroup("unlimited");
    using state = makeStateDirectory();
    cgroup.limit(LIMIT);
    const files = ["memory.oom_control", "memory.high"].filter((file) => {
      return file.startsWith("memory.oom") === (cgroup.version === 1);
    });
    const before = cgroup.read(files[0]!);
    const args = ["--mode", changingModeOf(cgroup), "--policy", "process", cgroup.path];
    await using guarded = await startGuarded(args, { stateDirectory: state.path });
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
    await guarded.next(isArmed(cgroup, 4 * LIMIT));
    await feedWhileItLives(process, 4 * LIMIT);
    const action = await guarded.next(isKillAction);
    assert.deepEqual([action.outcome, action.victim.pid], ["killed", process.pid]);
    assert.equal(kernelKills(cgroup), 0);
    await guarded.stop();
    assert.equal(
      cgroup.read(files[0]!).replace(/^oom_kill \d+$/m, ""),
      before.replace(/^oom_kill \d+$/m, ""),
    );
  },
);

kernelTest("a guard that was suspended acts on current usage, not on what it missed", async () => {
  await using cgroup = makeRealCgroup("asleep");
  cgroup.limit(LIMIT);
  await using guarded = await startGuarded([...WIDE, "--policy", "process", cgroup.path]);
  await suspend(guarded.pid);
  const exited = await startHungryProcess(cgroup);
  await exited.feed(LIMIT * 0.72);
  await exited[Symbol.asyncDispose]();
  await using small = await startHungryProcess(cgroup);
  await small.feed(LIMIT / 4);
  Deno.kill(guarded.pid, "SIGCONT");
  // Once it reports this level, it has also processed what it missed.
  await small.feed(LIMIT * 0.41);
  await guarded.next(isLevel("warn"));
  assert.ok(isAlive(small.pid));
  await suspend(guarded.pid);
  const fed = feedWhileItLives(small, LIMIT * 0.08);
  await until("usage is above the imminent level", () => usageOf(cgroup) > LIMIT * 0.71);
  Deno.kill(guarded.pid, "SIGCONT");
  const action = await guarded.next(isKillAction);
  assert.deepEqual([action.outcome, action.victim.pid], ["killed", small.pid]);
  await fed;
  assert.equal(kernelKills(cgroup), 0);
  assert.equal(killActionsOf(await guarded.stop()).length, 1);
});

kernelTest(
  "under hold, a process that waits at the limit waits until a suspended guard continues",
  async () => {
    await using cgroup = makeRealCgroup("patience");
    cgroup.limit(LIMIT);
    const args = ["--mode", "hold", "--hold-timeout", "2s", "--policy", "process", cgroup.path];
    await using guarded = await startGuarded(args);
    await suspend(guarded.pid);
    await using allocator = startFaultingProcess(entering(cgroup));
    const isWaiting = () => /^under_oom 1$/m.test(cgroup.read("memory.oom_control"));
    await until("the allocator waits", isWaiting);
    // Longer than --hold-timeout, after which a running guard would enable the OOM killer.
    await new Deno.Command("sleep", { args: ["2.5"] }).output();
    assert.ok(isWaiting());
    Deno.kill(guarded.pid, "SIGCONT");
    assert.equal((await guarded.next(isKillAction)).victim.pid, allocator.pid);
    assert.equal((await allocator.status).signal, "SIGKILL");
    assert.equal(kernelKills(cgroup), 0);
    const events = await guarded.stop();
    assert.deepEqual(
      ofType(events, "degraded").filter(({ requested }) => requested === "hold"),
      [],
    );
  },
  { only: 1 },
);
