/** `oomkit guard` on real kernels restores what it changed in a cgroup, however it ends, and changes nothing else. */

import assert from "node:assert/strict";
import {
  changedFileOf,
  changingModeOf,
  feedWhileItLives,
  isAlive,
  isChanged,
  isKillAction,
  isLevel,
  kernelKills,
  makeStateDirectory,
  restoreWatchdogOf,
  startGuarded,
  type StateDirectory,
  until,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import {
  anyVersionTest,
  entering,
  kernelTest,
  MIB,
  ofType,
  startFaultingProcess,
} from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import type { EventStream } from "../helpers/event_stream.ts";

const LIMIT = 48 * MIB;

function startChanging(
  cgroup: RealCgroup,
  state: StateDirectory,
  flags: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
) {
  cgroup.limit(LIMIT);
  const words = ["--mode", changingModeOf(cgroup), "--policy", "process", ...flags, cgroup.path];
  return startGuarded(words, { stateDirectory: state.path, env });
}

/** Nothing restores the changes then, as after a power failure. */
async function killWithWatchdog(guarded: EventStream): Promise<void> {
  const watchdog = restoreWatchdogOf(guarded.pid);
  Deno.kill(watchdog, "SIGKILL");
  Deno.kill(guarded.pid, "SIGKILL");
  await until("guard and watchdog have exited", () => !isAlive(guarded.pid) && !isAlive(watchdog));
}

for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT"] as const) {
  kernelTest(`a guard restores its changes on ${signal}`, async () => {
    await using cgroup = makeRealCgroup("ended");
    using state = makeStateDirectory();
    await using guarded = await startChanging(cgroup, state);
    assert.equal(isChanged(cgroup), true);
    Deno.kill(guarded.pid, signal);
    const { code, events } = await guarded.ended();
    assert.equal(code, 0);
    assert.equal(isChanged(cgroup), false);
    assert.deepEqual(state.changes(), []);
    const [restored] = ofType(events, "restored");
    assert.deepEqual([restored.outcome, restored.file], ["restored", changedFileOf(cgroup)]);
  });
}

anyVersionTest("a guard without a shell reports that it has no restore watchdog", async () => {
  await using cgroup = makeRealCgroup("shell");
  using state = makeStateDirectory();
  await using guarded = await startChanging(cgroup, state, [], { PATH: "/nonexistent" });
  Deno.kill(guarded.pid, "SIGTERM");
  const { code, events } = await guarded.ended();
  assert.equal(code, 0);
  const reported = ofType(events, "degraded").filter(({ requested }) =>
    requested === "restore watchdog"
  );
  assert.equal(reported.length, 1);
  assert.match(String(reported[0]!.reason), /^cannot start sh: /);
  assert.equal(isChanged(cgroup), false);
});

kernelTest("the watchdog restores the changes of a killed guard", async () => {
  await using cgroup = makeRealCgroup("watchdog");
  using state = makeStateDirectory();
  await using guarded = await startChanging(cgroup, state);
  assert.equal(isChanged(cgroup), true);
  Deno.kill(guarded.pid, "SIGKILL");
  await until("it is restored", () => !isChanged(cgroup) && state.changes().length === 0);
});

/** When the guard is killed. */
const STEPS: readonly (readonly [string, (guarded: EventStream) => Promise<unknown>])[] = [
  ["before any level", () => Promise.resolve()],
  ["at its first level", (guarded) => guarded.next(isLevel("warn"))],
  ["after a kill", (guarded) => guarded.next(isKillAction)],
];

for (const [step, reach] of STEPS) {
  kernelTest(
    `when guard and watchdog are killed ${step}, the next guard restores the changes from the journal`,
    async () => {
      await using cgroup = makeRealCgroup("killed");
      using state = makeStateDirectory();
      await using guarded = await startChanging(cgroup, state);
      await using process = await startHungryProcess(cgroup);
      const fed = feedWhileItLives(process, LIMIT);
      await reach(guarded);
      await killWithWatchdog(guarded);
      assert.equal(isChanged(cgroup), true);
      const [change, ...others] = state.changes();
      assert.deepEqual(others, []);
      assert.deepEqual([change.dir, change.file], [cgroup.dir, changedFileOf(cgroup)]);
      await process[Symbol.asyncDispose]();
      await fed;

      await using elsewhere = makeRealCgroup("next");
      elsewhere.limit(LIMIT);
      const words = ["--mode", "notify", elsewhere.path];
      await using next = await startGuarded(words, { stateDirectory: state.path });
      const restored = await next.next(({ type }) => type === "restored");
      assert.deepEqual([restored.outcome, restored.cgroup], ["restored", cgroup.path]);
      assert.equal(isChanged(cgroup), false);
      assert.deepEqual(state.changes(), []);
    },
  );
}

kernelTest("guard --restore restores the changes of a killed guard, once", async () => {
  await using cgroup = makeRealCgroup("restored");
  using state = makeStateDirectory();
  await using guarded = await startChanging(cgroup, state);
  await killWithWatchdog(guarded);
  const first = await runOomkit(["guard", "--restore"], { env: state.env });
  assert.deepEqual([first.code, first.stderr], [0, ""]);
  assert.match(first.stdout, /^restored /);
  assert.ok(first.stdout.includes(`${cgroup.dir}/${changedFileOf(cgroup)}`), first.stdout);
  assert.equal(isChanged(cgroup), false);
  const second = await runOomkit(["guard", "--restore"], { env: state.env });
  assert.deepEqual([second.code, second.stdout], [0, ""]);
});

kernelTest("a value that was changed since is not restored", async () => {
  await using cgroup = makeRealCgroup("since");
  using state = makeStateDirectory();
  await using guarded = await startChanging(cgroup, state);
  await killWithWatchdog(guarded);
  cgroup.write("memory.high", 40 * MIB);
  const { code, stdout } = await runOomkit(["guard", "--restore"], { env: state.env });
  assert.equal(code, 0);
  assert.match(stdout, /^changed /);
  assert.equal(Number(cgroup.read("memory.high")), 40 * MIB);
  assert.deepEqual(state.changes(), []);
}, { only: 2 });

kernelTest("the value from before the guard started is restored", async () => {
  await using cgroup = makeRealCgroup("before");
  using state = makeStateDirectory();
  if (cgroup.version === 1) cgroup.write("memory.oom_control", 1);
  else cgroup.write("memory.high", LIMIT - MIB);
  const before = cgroup.read(changedFileOf(cgroup));
  await using guarded = await startChanging(cgroup, state);
  assert.equal(isChanged(cgroup), true);
  await guarded.stop();
  assert.equal(cgroup.read(changedFileOf(cgroup)), before);
});

kernelTest("a cgroup recreated with the same name is not changed", async () => {
  await using parent = makeRealCgroup("renewed");
  using state = makeStateDirectory();
  const cgroup = parent.child("same");
  await using guarded = await startChanging(cgroup, state);
  await killWithWatchdog(guarded);
  await cgroup[Symbol.asyncDispose]();
  // The kernel reuses 32-bit inode numbers of cgroups: this one must get another.
  const renewed = parent.child("same");
  const [{ set }] = state.changes();
  renewed.write(changedFileOf(renewed), set);
  const { stdout } = await runOomkit(["guard", "--restore"], { env: state.env });
  assert.match(stdout, /^gone /);
  assert.equal(isChanged(renewed), true);
});

kernelTest(
  "neither --restore nor another guard undoes the changes of a running guard",
  async () => {
    await using cgroup = makeRealCgroup("working");
    await using elsewhere = makeRealCgroup("other");
    using state = makeStateDirectory();
    await using guarded = await startChanging(cgroup, state);
    const { code, stderr } = await runOomkit(["guard", "--restore"], { env: state.env });
    assert.equal(code, 0);
    assert.match(stderr, new RegExp(`a guard runs with pid ${guarded.pid}`));
    assert.equal(isChanged(cgroup), true);
    elsewhere.limit(LIMIT);
    await using other = await startGuarded([elsewhere.path], { stateDirectory: state.path });
    assert.deepEqual(ofType(other.events, "restored"), []);
    assert.equal(isChanged(cgroup), true);
    await guarded.stop();
    assert.equal(isChanged(cgroup), false);
  },
);

kernelTest(
  "a process that waits since its guard was killed under hold continues after --restore",
  async () => {
    await using cgroup = makeRealCgroup("held");
    using state = makeStateDirectory();
    await using guarded = await startChanging(cgroup, state);
    await killWithWatchdog(guarded);
    await using process = startFaultingProcess(entering(cgroup));
    const isWaiting = () => /^under_oom 1$/m.test(cgroup.read("memory.oom_control"));
    await until("the allocator waits", isWaiting);
    assert.ok(isAlive(process.pid));
    await runOomkit(["guard", "--restore"], { env: state.env });
    assert.equal((await process.status).signal, "SIGKILL");
    assert.deepEqual([isWaiting(), kernelKills(cgroup)], [false, 1]);
  },
  { only: 1 },
);

kernelTest(
  "under hold, when no process may be killed, the kernel's OOM killer is enabled again",
  async () => {
    await using cgroup = makeRealCgroup("no-victim");
    using state = makeStateDirectory();
    await using guarded = await startChanging(cgroup, state, ["--ignore", "."]);
    await using process = startFaultingProcess(entering(cgroup));
    const failed = await guarded.next(isKillAction);
    assert.deepEqual([failed.outcome, failed.victim], ["failed", null]);
    await guarded.next(({ type, outcome }) => type === "restored" && outcome === "restored");
    await guarded.next(({ type, requested }) => type === "degraded" && requested === "hold");
    assert.equal(isChanged(cgroup), false);
    assert.equal((await process.status).signal, "SIGKILL");
    assert.equal(kernelKills(cgroup), 1);
  },
  { only: 1 },
);
