/** `oomkit guard` on real kernels: levels and their actions, and which cgroups are guarded. */

import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { dirname, join } from "node:path";
import { disk, withoutDisk } from "../helpers/disk.ts";
import {
  feedSlowly,
  feedWhileItLives,
  isAlive,
  isArmed,
  isChanged,
  isKillAction,
  kernelKills,
  killActionsOf,
  startGuarded,
  until,
  usageOf,
  WIDE,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { anyVersionTest, kernelTest, MIB, ofType } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { startSimulation } from "../helpers/simulation.ts";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { openEpoll } from "../../core/kernel/epoll.ts";
import { libc } from "../../core/kernel/libc.ts";
import { mayShareEventfd, TriggerEventfd } from "../../core/watch/triggers.ts";

// Stays loaded; within a test that would count as a leak.
libc();

const LIMIT = 48 * MIB;

kernelTest(
  "a cgroup full of page cache is skipped or reclaimed, and nothing is killed",
  async () => {
    await using cgroup = makeRealCgroup("cache");
    cgroup.limit(LIMIT);
    await using process = await startHungryProcess(cgroup);
    await process.feed(12 * MIB);
    await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
    const directory = Deno.makeTempDirSync({ dir: disk!, prefix: "oomkit-test-" });
    try {
      await using writer = startWriter(cgroup, `${directory}/file`);
      let written = 0;
      await feedSlowly(writer, () => (written += 65536) > 2 * LIMIT);
      if (cgroup.version === 1) {
        await guarded.next(({ type, action }) => type === "action_skipped" || action === "reclaim");
      } else await guarded.next(({ type }) => type === "level_reached");
      const events = await guarded.stop();
      assert.deepEqual(killActionsOf(events), []);
      assert.ok(isAlive(process.pid) && isAlive(writer.pid));
      assert.equal(kernelKills(cgroup), 0);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
  { why: withoutDisk },
);

kernelTest("a process that writes a file at full speed is not killed", async () => {
  await using cgroup = makeRealCgroup("writer");
  cgroup.limit(LIMIT);
  await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
  const directory = Deno.makeTempDirSync({ dir: disk!, prefix: "oomkit-test-" });
  try {
    const write = `echo 0 > "$0/cgroup.procs" && exec dd if=/dev/zero of="$1" bs=65536 count=1600`;
    const args = ["-c", write, cgroup.dir, `${directory}/file`];
    const { code } = await new Deno.Command("sh", { args, stderr: "null" }).output();
    assert.equal(code, 0);
    assert.deepEqual(killActionsOf(await guarded.stop()), []);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}, { why: withoutDisk });

/** Little above what other memory is to be away from the level: 51 MiB. */
const CACHE_LIMIT = 72 * MIB;

kernelTest(
  "a cgroup that stays full of page cache is left unchanged, until other memory comes near the limit",
  async () => {
    await using cgroup = makeRealCgroup("full");
    cgroup.limit(CACHE_LIMIT);
    await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
    await using process = await startHungryProcess(cgroup);
    const directory = Deno.makeTempDirSync({ dir: disk!, prefix: "oomkit-test-" });
    try {
      await using writer = startRewriting(cgroup, `${directory}/file`);
      await until("it is full", () => usageOf(cgroup) > 0.98 * CACHE_LIMIT || !isChanged(cgroup));
      await until("nothing is changed", () => {
        return !isChanged(cgroup) && usageOf(cgroup) > 0.98 * CACHE_LIMIT;
      });
      await feedSlowly(process, () => isChanged(cgroup));
      assert.ok(isChanged(cgroup), "it was killed without being slowed down or held");
      await writer[Symbol.asyncDispose]();
      await feedSlowly(process, () => false);
      const kill = await guarded.next(isKillAction);
      assert.equal(kill.victim.pid, process.pid);
      const events = await guarded.stop();
      assert.equal(killActionsOf(events).length, 1);
      assert.equal(kernelKills(cgroup), 0);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
  { why: withoutDisk },
);

/** Writes a file of more than the limit over and over. */
function startRewriting(cgroup: RealCgroup, file: string): AsyncDisposable {
  const write = `echo 0 > "$0/cgroup.procs"
    while :; do dd if=/dev/zero of="$1" bs=64k count=1280 conv=notrunc 2>/dev/null; done`;
  const child = new Deno.Command("sh", { args: ["-c", write, cgroup.dir, file] }).spawn();
  let lives = true;
  return {
    async [Symbol.asyncDispose]() {
      if (lives) child.kill("SIGKILL");
      lives = false;
      await child.status;
    },
  };
}

/** Writes what it is fed to a file, which becomes page cache of its cgroup. */
function startWriter(cgroup: RealCgroup, file: string) {
  const child = new Deno.Command("sh", {
    args: ["-c", 'echo 0 > "$0/cgroup.procs" && exec cat > "$1"', cgroup.dir, file],
    stdin: "piped",
  }).spawn();
  const stdin = child.stdin.getWriter();
  return {
    pid: child.pid,
    feed: (bytes: number) => stdin.write(new Uint8Array(bytes)),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
      await stdin.abort().catch(() => {});
    },
  };
}

kernelTest("a process that frees its memory on SIGTERM survives", async () => {
  await using sibling = makeRealCgroup("sibling");
  // Started before the simulation, which does not wait for a slow start of the guard.
  const simulations = join(dirname(sibling.path), "oomkit-sim-*");
  await using guarded = await startGuarded([
    ...["--policy", "process", "--grace-period", "3s"],
    ...WIDE,
    simulations,
  ]);
  const flags = ["--mb", "48", "--rate", "4M/s", "--on-signal", "free"];
  await using simulation = startSimulation(flags);
  const { cgroup, pids } = await simulation.next("start");
  const action = await guarded.next((event) => isKillAction(event) && event.cgroup === cgroup);
  assert.deepEqual([action.signal, action.outcome], ["SIGTERM", "survived"]);
  assert.equal(action.victim.pid, pids[0]);
  assert.ok(isAlive(pids[0]), JSON.stringify(action));
  assert.deepEqual(
    killActionsOf(await guarded.stop()).filter(({ signal }) => signal === "SIGKILL"),
    [],
  );
});

/** Prints a line for each SIGUSR1. Its children do not inherit the handler. */
const HANDLER = `
echo 0 > "$0/cgroup.procs"
trap "echo usr1" USR1
while :; do sleep 1000 & echo ready; wait $!; done`;

anyVersionTest(
  "a signal goes only to processes that handle it, and again only after the cooldown",
  async () => {
    await using cgroup = makeRealCgroup("signal");
    cgroup.limit(LIMIT);
    await using withoutHandler = await startHungryProcess(cgroup);
    const args = ["-c", HANDLER, cgroup.dir];
    const options = { args, stdin: "null", stdout: "piped", stderr: "null" } as const;
    const handler = new Deno.Command("sh", options).spawn();
    const lines = handler.stdout.pipeThrough(new TextDecoderStream()).getReader();
    try {
      await lines.read();
      await withoutHandler.feed(LIMIT * 3 / 4);
      const flags = ["--on-warn", "signal", "--repeat", "--cooldown", "1200ms"];
      await using guarded = await startGuarded([...flags, cgroup.path]);
      const nth = (n: number) => guarded.next(() => ofType(guarded.events, "action").length > n);
      await nth(2);
      await guarded.stop();
      const actions = ofType(guarded.events, "action");
      for (const { signal, outcome, count, level } of actions) {
        assert.deepEqual([signal, outcome, count, level], ["SIGUSR1", "signalled", 1, "warn"]);
      }
      // From level_reached: the monitor thread sets its time, and the main thread may send the signal later.
      const times = ofType(guarded.events, "level_reached").map(({ ts }) => Date.parse(ts));
      for (const [n, at] of times.slice(1).entries()) {
        assert.ok(at - times[n]! > 600, `${at - times[n]!} ms after the last`);
      }
      let output = "";
      while (!output.includes("usr1")) {
        output += (await lines.read()).value ?? assert.fail("it exited");
      }
      assert.ok(isAlive(withoutHandler.pid) && isAlive(handler.pid));
    } finally {
      handler.kill("SIGKILL");
      await handler.status;
      await lines.cancel();
    }
  },
);

anyVersionTest("a hook gets the event on stdin, for a level and for a kill", async () => {
  await using cgroup = makeRealCgroup("hook");
  cgroup.limit(LIMIT);
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    await using process = await startHungryProcess(cgroup);
    await process.feed(LIMIT / 2);
    const flags = ["--on-warn", `exec:cat > ${directory}/warn`];
    flags.push("--on-imminent", `process,exec:cat > ${directory}/kill`);
    await using guarded = await startGuarded([...flags, cgroup.path]);
    await feedSlowly(process, () => guarded.events.some(isKillAction));
    for (const level of ["warn", "imminent"]) {
      const action = await guarded.next((e) => e.action === "exec" && e.level === level);
      assert.equal(action.outcome, "ok");
    }
    const [warn, kill] = ["warn", "kill"].map((name) =>
      JSON.parse(Deno.readTextFileSync(`${directory}/${name}`))
    );
    assert.deepEqual([warn.type, warn.level, warn.cgroup], ["level_reached", "warn", cgroup.path]);
    assert.deepEqual([kill.type, kill.outcome, kill.victim.pid], ["action", "killed", process.pid]);
    for (const got of [warn, kill]) {
      assert.ok(guarded.events.some((event) => isDeepStrictEqual(event, got)), "as it is reported");
      assert.match(got.message, /MiB/);
    }
    await guarded.stop();
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

kernelTest(
  "a limit that is set later arms the guard, and a changed limit moves the levels",
  async () => {
    await using parent = makeRealCgroup("later");
    const cgroup = parent.child("free");
    await using guarded = await startGuarded(["-r", "--policy", "process", parent.path]);
    assert.deepEqual(guarded.events.filter(({ cgroup: path }) => path === cgroup.path), []);
    cgroup.limit(32 * MIB);
    const first = await guarded.next(isArmed(cgroup, 32 * MIB));
    cgroup.limit(LIMIT);
    const second = await guarded.next(isArmed(cgroup, LIMIT));
    assert.ok(first.imminent < 32 * MIB && second.imminent > 32 * MIB);
    await using process = await startHungryProcess(cgroup);
    await feedWhileItLives(process, LIMIT);
    const action = await guarded.next(isKillAction);
    assert.deepEqual([action.outcome, action.victim.pid, action.limit], [
      "killed",
      process.pid,
      LIMIT,
    ]);
    assert.ok(action.usage_before >= second.imminent);
    assert.equal(kernelKills(cgroup), 0);
  },
);

kernelTest(
  "a new cgroup that matches the pattern is guarded, and again when it is recreated",
  async () => {
    await using parent = makeRealCgroup("appears");
    const words = ["--policy", "process", `${parent.path}/web-*`];
    await using guarded = await startGuarded(words);
    for (const limit of [32 * MIB, LIMIT]) {
      const other = parent.child("db-1");
      other.limit(limit);
      const cgroup = parent.child("web-1");
      cgroup.limit(limit);
      await guarded.next(isArmed(cgroup, limit));
      await using process = await startHungryProcess(cgroup);
      await feedWhileItLives(process, limit);
      const action = await guarded.next((event) => isKillAction(event) && event.limit === limit);
      assert.deepEqual([action.outcome, action.victim.pid], ["killed", process.pid]);
      assert.equal(kernelKills(cgroup), 0);
      for (const each of [cgroup, other]) await each[Symbol.asyncDispose]();
    }
    const guarding = ofType(await guarded.stop(), "guard_armed").map(({ cgroup }) => cgroup);
    assert.deepEqual(guarding, [`${parent.path}/web-1`, `${parent.path}/web-1`]);
  },
);

anyVersionTest("the default imminent level is the threshold of oom-guard", async () => {
  await using cgroup = makeRealCgroup("vector");
  cgroup.limit(209_715_200);
  await using guarded = await startGuarded(["--mode", "notify", cgroup.path]);
  const { limit, imminent } = await guarded.next(({ type }) => type === "guard_armed");
  assert.deepEqual([limit, imminent], [209_715_200, 205_520_896]);
});

anyVersionTest("in the oom-guard format a kill is printed as oom-guard prints it", async () => {
  await using cgroup = makeRealCgroup("format");
  cgroup.limit(LIMIT);
  await using process = await startHungryProcess(cgroup);
  const words = ["--policy", "process", "--event-format", "oom-guard", cgroup.path];
  await using guarded = await startGuarded(words, { json: false });
  await feedWhileItLives(process, LIMIT);
  const line = await guarded.next(() => true);
  assert.deepEqual(Object.keys(line), [
    ...["hostname", "timestamp", "oomcgroup", "proccgroup"],
    ...["threshold", "usage", "killed", "stats", "policy"],
  ]);
  assert.deepEqual([line.oomcgroup, line.proccgroup], [cgroup.dir, cgroup.dir]);
  assert.deepEqual([line.killed, line.policy], [`${process.pid}(tail) `, "Process"]);
  assert.match(line.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  assert.match(line.stats, /^(\w+ \d+\|)+$/);
  assert.ok(line.usage >= line.threshold && line.usage <= LIMIT);
});

kernelTest("one eventfd is notified of each of its thresholds", async () => {
  await using parent = makeRealCgroup("shared");
  if (!mayShareEventfd()) return;
  using epoll = openEpoll();
  const cgroup = openCgroup(discover(), parent.path)!;
  const eventfd = new TriggerEventfd(cgroup, 1, epoll);
  using _ = { [Symbol.dispose]: () => eventfd.disarm() };
  const sizes = [8, 16, 24, 32].map((mib) => mib * MIB);
  const triggers = cgroup.hierarchy.version.triggers({
    thresholds: [sizes[0]!, ...sizes.slice(1).reverse()],
    pressureLevels: [],
    psi: [],
  }).filter((trigger) => trigger.kind === "eventfd")
    .filter(({ event }) => event === "threshold");
  await eventfd.register(triggers, () => true, (error) => assert.fail(String(error)));
  await using process = await startHungryProcess(parent);
  const crossed = [];
  for (const size of sizes) {
    epoll.block(0);
    await feedSlowly(process, () => usageOf(parent) > size + MIB);
    crossed.push(epoll.block(0).events.length);
  }
  assert.deepEqual(crossed, [1, 1, 1, 1]);
}, { only: 1 });
