/** What `oomkit guard` changes in a cgroup, on real kernels: it is put back, however the guard ends, and nothing else is. */

import assert from "node:assert/strict";
import {
  childrenOf,
  feedWhileItLives,
  isAlive,
  isKillAction,
  isLevel,
  kernelKills,
  makeStateFolder,
  startGuarded,
  type StateFolder,
  until,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB, ofType } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import type { EventStream } from "../helpers/event_stream.ts";

const LIMIT = 48 * MIB;

const modeOf = ({ version }: RealCgroup) => version === 1 ? "hold" : "throttle";
const fileOf = ({ version }: RealCgroup) => version === 1 ? "memory.oom_control" : "memory.high";
const isChanged = (cgroup: RealCgroup) =>
  cgroup.version === 1
    ? /^oom_kill_disable 1$/m.test(cgroup.read("memory.oom_control"))
    : cgroup.read("memory.high").trim() !== "max";

function startChanging(cgroup: RealCgroup, state: StateFolder, flags: readonly string[] = []) {
  cgroup.limit(LIMIT);
  const words = ["--mode", modeOf(cgroup), "--policy", "process", ...flags, cgroup.path];
  return startGuarded(words, { stateFolder: state.path });
}

function restoreWatchdogOf(guard: number): number {
  const minder = childrenOf(guard).find((pid) =>
    Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes("oomkit-restore")
  );
  assert.ok(minder !== undefined, "the guard has nobody who would put things back");
  return minder;
}

/** As a machine that is switched off does; nobody is left to put anything back. */
async function killWithMinder(guarded: EventStream): Promise<void> {
  const minder = restoreWatchdogOf(guarded.pid);
  Deno.kill(minder, "SIGKILL");
  Deno.kill(guarded.pid, "SIGKILL");
  await until("guard and minder are gone", () => !isAlive(guarded.pid) && !isAlive(minder));
}

for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT"] as const) {
  kernelTest(`a guard that is ended by ${signal} puts back what it has changed`, async () => {
    await using cgroup = makeRealCgroup("ended");
    using state = makeStateFolder();
    await using guarded = await startChanging(cgroup, state);
    assert.equal(isChanged(cgroup), true);
    Deno.kill(guarded.pid, signal);
    const { code, events } = await guarded.ended();
    assert.equal(code, 0);
    assert.equal(isChanged(cgroup), false);
    assert.deepEqual(state.changes(), []);
    const [restored] = ofType(events, "restored");
    assert.deepEqual([restored.outcome, restored.file], ["restored", fileOf(cgroup)]);
  });
}

kernelTest("what a killed guard has changed is put back without anybody's help", async () => {
  await using cgroup = makeRealCgroup("minded");
  using state = makeStateFolder();
  await using guarded = await startChanging(cgroup, state);
  assert.equal(isChanged(cgroup), true);
  Deno.kill(guarded.pid, "SIGKILL");
  await until("it is put back", () => !isChanged(cgroup) && state.changes().length === 0);
});

/** How far a guard is when it is killed. */
const STEPS: readonly (readonly [string, (guarded: EventStream) => Promise<unknown>])[] = [
  ["before anything has happened", () => Promise.resolve()],
  ["at its first level", (guarded) => guarded.next(isLevel("warn"))],
  ["as it has struck", (guarded) => guarded.next(isKillAction)],
];

for (const [step, come] of STEPS) {
  kernelTest(
    `a guard that is killed with its minder ${step} leaves a record, and the next one puts it back`,
    async () => {
      await using cgroup = makeRealCgroup("killed");
      using state = makeStateFolder();
      await using guarded = await startChanging(cgroup, state);
      await using process = await startHungryProcess(cgroup);
      const fed = feedWhileItLives(process, LIMIT);
      await come(guarded);
      await killWithMinder(guarded);
      assert.equal(isChanged(cgroup), true);
      const [change, ...others] = state.changes();
      assert.deepEqual(others, []);
      assert.deepEqual([change.dir, change.file], [cgroup.dir, fileOf(cgroup)]);
      await process[Symbol.asyncDispose]();
      await fed;

      await using elsewhere = makeRealCgroup("next");
      elsewhere.limit(LIMIT);
      const words = ["--mode", "notify", elsewhere.path];
      await using next = await startGuarded(words, { stateFolder: state.path });
      const restored = await next.next(({ type }) => type === "restored");
      assert.deepEqual([restored.outcome, restored.cgroup], ["restored", cgroup.path]);
      assert.equal(isChanged(cgroup), false);
      assert.deepEqual(state.changes(), []);
    },
  );
}

kernelTest("guard --restore puts back what a killed guard has left, and once", async () => {
  await using cgroup = makeRealCgroup("released");
  using state = makeStateFolder();
  await using guarded = await startChanging(cgroup, state);
  await killWithMinder(guarded);
  const first = await runOomkit(["guard", "--restore"], { env: state.env });
  assert.deepEqual([first.code, first.stderr], [0, ""]);
  assert.match(first.stdout, /^restored /);
  assert.ok(first.stdout.includes(`${cgroup.dir}/${fileOf(cgroup)}`), first.stdout);
  assert.equal(isChanged(cgroup), false);
  const second = await runOomkit(["guard", "--restore"], { env: state.env });
  assert.deepEqual([second.code, second.stdout], [0, ""]);
});

kernelTest("what somebody has changed since is left alone", async () => {
  await using cgroup = makeRealCgroup("since");
  using state = makeStateFolder();
  await using guarded = await startChanging(cgroup, state);
  await killWithMinder(guarded);
  cgroup.write("memory.high", 40 * MIB);
  const { code, stdout } = await runOomkit(["guard", "--restore"], { env: state.env });
  assert.equal(code, 0);
  assert.match(stdout, /^left /);
  assert.equal(Number(cgroup.read("memory.high")), 40 * MIB);
  assert.deepEqual(state.changes(), []);
}, { only: 2 });

kernelTest("what was set before the guard came is what is put back", async () => {
  await using cgroup = makeRealCgroup("before");
  using state = makeStateFolder();
  if (cgroup.version === 1) cgroup.write("memory.oom_control", 1);
  else cgroup.write("memory.high", LIMIT - MIB);
  const before = cgroup.read(fileOf(cgroup));
  await using guarded = await startChanging(cgroup, state);
  assert.equal(isChanged(cgroup), true);
  await guarded.stop();
  assert.equal(cgroup.read(fileOf(cgroup)), before);
});

kernelTest("a cgroup of the same name that was made since is left alone", async () => {
  await using parent = makeRealCgroup("renewed");
  using state = makeStateFolder();
  const cgroup = parent.child("same");
  await using guarded = await startChanging(cgroup, state);
  await killWithMinder(guarded);
  await cgroup[Symbol.asyncDispose]();
  // Inodes of cgroups are given out anew where they are 32 bits wide: this one must have another.
  const renewed = parent.child("same");
  const [{ set }] = state.changes();
  renewed.write(fileOf(renewed), set);
  const { stdout } = await runOomkit(["guard", "--restore"], { env: state.env });
  assert.match(stdout, /^gone /);
  assert.equal(isChanged(renewed), true);
});

kernelTest("what a guard that is at work has changed is not touched by others", async () => {
  await using cgroup = makeRealCgroup("working");
  await using elsewhere = makeRealCgroup("other");
  using state = makeStateFolder();
  await using guarded = await startChanging(cgroup, state);
  const { code, stderr } = await runOomkit(["guard", "--restore"], { env: state.env });
  assert.equal(code, 0);
  assert.match(stderr, new RegExp(`a guard runs with pid ${guarded.pid}`));
  assert.equal(isChanged(cgroup), true);
  elsewhere.limit(LIMIT);
  await using other = await startGuarded([elsewhere.path], { stateFolder: state.path });
  assert.deepEqual(ofType(other.events, "restored"), []);
  assert.equal(isChanged(cgroup), true);
  await guarded.stop();
  assert.equal(isChanged(cgroup), false);
});

kernelTest(
  "who waits since a guard was killed under hold goes on once it is released",
  async () => {
    await using cgroup = makeRealCgroup("held");
    using state = makeStateFolder();
    await using guarded = await startChanging(cgroup, state);
    await killWithMinder(guarded);
    await using process = await startHungryProcess(cgroup);
    const fed = feedWhileItLives(process, 2 * LIMIT);
    const isWaiting = () => /^under_oom 1$/m.test(cgroup.read("memory.oom_control"));
    await until("the allocator waits", isWaiting);
    assert.ok(isAlive(process.pid));
    await runOomkit(["guard", "--restore"], { env: state.env });
    assert.equal((await process.status).signal, "SIGKILL");
    await fed;
    assert.deepEqual([isWaiting(), kernelKills(cgroup)], [false, 1]);
  },
  { only: 1 },
);

kernelTest("under hold, where nobody may be killed, the kernel's killer is let loose", async () => {
  await using cgroup = makeRealCgroup("loose");
  using state = makeStateFolder();
  await using guarded = await startChanging(cgroup, state, ["--ignore", "."]);
  await using process = await startHungryProcess(cgroup);
  const fed = feedWhileItLives(process, 2 * LIMIT);
  const failed = await guarded.next(isKillAction);
  assert.deepEqual([failed.outcome, failed.victim], ["failed", null]);
  await guarded.next(({ type, outcome }) => type === "restored" && outcome === "restored");
  await guarded.next(({ type, requested }) => type === "degraded" && requested === "hold");
  assert.equal(isChanged(cgroup), false);
  assert.equal((await process.status).signal, "SIGKILL");
  await fed;
  assert.equal(kernelKills(cgroup), 1);
}, { only: 1 });
