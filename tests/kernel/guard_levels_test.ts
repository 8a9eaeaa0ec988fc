/** `oomkit guard` on real kernels: levels, what is done at each, and which cgroups it follows. */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import {
  feedSlowly,
  feedWhileItLives,
  isAlive,
  isKillAction,
  kernelKills,
  killActionsOf,
  startGuarded,
  WIDE,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB, ofType } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { startSimulation } from "../helpers/simulation.ts";
import type { Json } from "../helpers/event_stream.ts";

const LIMIT = 48 * MIB;

const isGuarding = ({ path }: RealCgroup, limit: number) => (event: Json) =>
  event.type === "guard_armed" && event.cgroup === path && event.limit === limit;

/** A folder whose files have pages that can be reclaimed; `undefined` where there is none. */
function diskFolder(): string | undefined {
  const mounts = Deno.readTextFileSync("/proc/self/mountinfo").split("\n").map((line) => {
    const [left = "", right = ""] = line.split(" - ");
    return { point: left.split(" ")[4], type: right.split(" ")[0] };
  });
  const inMemory = ["tmpfs", "ramfs", "rootfs"];
  const typeOf = (folder: string) => mounts.findLast(({ point }) => point === folder)?.type;
  return [["/disk", "/disk"], ["/tmp", "/tmp"], ["/var/tmp", "/"]].find(([folder, point]) => {
    const type = typeOf(folder!) ?? typeOf(point!);
    return type !== undefined && !inMemory.includes(type);
  })?.[0];
}

const disk = diskFolder();

kernelTest("a cgroup full of page cache is let go, and nobody dies for a file", async () => {
  await using cgroup = makeRealCgroup("cache");
  cgroup.limit(LIMIT);
  await using process = await startHungryProcess(cgroup);
  await process.feed(12 * MIB);
  await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
  const folder = Deno.makeTempDirSync({ dir: disk!, prefix: "oomkit-test-" });
  try {
    await using writer = startWriter(cgroup, `${folder}/file`);
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
    Deno.removeSync(folder, { recursive: true });
  }
}, { why: disk === undefined ? "there is no disk" : undefined });

kernelTest("who writes a file as fast as the machine can is not killed for it", async () => {
  await using cgroup = makeRealCgroup("writer");
  cgroup.limit(LIMIT);
  await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
  const folder = Deno.makeTempDirSync({ dir: disk!, prefix: "oomkit-test-" });
  try {
    const write = `echo 0 > "$0/cgroup.procs" && exec dd if=/dev/zero of="$1" bs=65536 count=1600`;
    const args = ["-c", write, cgroup.dir, `${folder}/file`];
    const { code } = await new Deno.Command("sh", { args, stderr: "null" }).output();
    assert.equal(code, 0);
    assert.deepEqual(killActionsOf(await guarded.stop()), []);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}, { why: disk === undefined ? "there is no disk" : undefined });

/** What it is fed becomes a file, and page cache of its cgroup. */
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

kernelTest("who frees its memory when it is asked to end lives", async () => {
  await using beside = makeRealCgroup("beside");
  // Ahead of the simulation, which does not wait for a guard that takes long to start.
  const simulations = join(dirname(beside.path), "oomkit-sim-*");
  await using guarded = await startGuarded([
    ...["--policy", "process", "--grace-period", "3s"],
    ...WIDE,
    simulations,
  ]);
  const flags = ["--mb", "48", "--rate", "4M/s", "--on-signal", "free"];
  await using simulation = startSimulation(flags);
  const { cgroup, pids } = await simulation.next("start");
  const asked = await guarded.next((event) => isKillAction(event) && event.cgroup === cgroup);
  assert.deepEqual([asked.signal, asked.outcome], ["SIGTERM", "survived"]);
  assert.equal(asked.victim.pid, pids[0]);
  assert.ok(isAlive(pids[0]), JSON.stringify(asked));
  assert.deepEqual(
    killActionsOf(await guarded.stop()).filter(({ signal }) => signal === "SIGKILL"),
    [],
  );
});

/** Says a line for each SIGUSR1. Its children take over no handler. */
const HANDLER = `
echo 0 > "$0/cgroup.procs"
trap "echo usr1" USR1
while :; do sleep 1000 & echo ready; wait $!; done`;

kernelTest(
  "a signal goes to who handles it, again only after the cooldown, and to nobody else",
  async () => {
    await using cgroup = makeRealCgroup("signal");
    cgroup.limit(LIMIT);
    await using deaf = await startHungryProcess(cgroup);
    const args = ["-c", HANDLER, cgroup.dir];
    const options = { args, stdin: "null", stdout: "piped", stderr: "null" } as const;
    const handler = new Deno.Command("sh", options).spawn();
    const lines = handler.stdout.pipeThrough(new TextDecoderStream()).getReader();
    try {
      await lines.read();
      await deaf.feed(LIMIT * 3 / 4);
      const flags = ["--on-warn", "signal", "--repeat", "--cooldown", "1200ms"];
      await using guarded = await startGuarded([...flags, cgroup.path]);
      const nth = (n: number) => guarded.next(() => ofType(guarded.events, "action").length > n);
      await nth(2);
      await guarded.stop();
      const actions = ofType(guarded.events, "action");
      for (const { signal, outcome, count, level } of actions) {
        assert.deepEqual([signal, outcome, count, level], ["SIGUSR1", "signalled", 1, "warn"]);
      }
      // Told by the sentry itself: the main thread may be late with what it does upon it.
      const times = ofType(guarded.events, "level_reached").map(({ ts }) => Date.parse(ts));
      for (const [n, at] of times.slice(1).entries()) {
        assert.ok(at - times[n]! > 600, `${at - times[n]!} ms after the last`);
      }
      let said = "";
      while (!said.includes("usr1")) said += (await lines.read()).value ?? assert.fail("it died");
      assert.ok(isAlive(deaf.pid) && isAlive(handler.pid));
    } finally {
      handler.kill("SIGKILL");
      await handler.status;
      await lines.cancel();
    }
  },
);

kernelTest("a hook gets the event on its standard input, of a level as of a kill", async () => {
  await using cgroup = makeRealCgroup("hook");
  cgroup.limit(LIMIT);
  const folder = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    await using process = await startHungryProcess(cgroup);
    await process.feed(LIMIT / 2);
    const flags = ["--on-warn", `exec:cat > ${folder}/warn`];
    flags.push("--on-imminent", `process,exec:cat > ${folder}/kill`);
    await using guarded = await startGuarded([...flags, cgroup.path]);
    await feedSlowly(process, () => guarded.events.some(isKillAction));
    for (const level of ["warn", "imminent"]) {
      const done = await guarded.next((e) => e.action === "exec" && e.level === level);
      assert.equal(done.outcome, "ok");
    }
    const [warn, kill] = ["warn", "kill"].map((name) =>
      JSON.parse(Deno.readTextFileSync(`${folder}/${name}`))
    );
    assert.deepEqual([warn.type, warn.level, warn.cgroup], ["level_reached", "warn", cgroup.path]);
    assert.deepEqual([kill.type, kill.outcome, kill.victim.pid], ["action", "killed", process.pid]);
    await guarded.stop();
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

kernelTest(
  "a limit that is set later arms the guard, and one that changes is followed",
  async () => {
    await using parent = makeRealCgroup("later");
    const cgroup = parent.child("free");
    await using guarded = await startGuarded(["-r", "--policy", "process", parent.path]);
    assert.deepEqual(guarded.events.filter(({ cgroup: path }) => path === cgroup.path), []);
    cgroup.limit(32 * MIB);
    const first = await guarded.next(isGuarding(cgroup, 32 * MIB));
    cgroup.limit(LIMIT);
    const second = await guarded.next(isGuarding(cgroup, LIMIT));
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
  "a cgroup that appears is guarded where it fits, and made anew it is a new one",
  async () => {
    await using parent = makeRealCgroup("appears");
    const words = ["--policy", "process", `${parent.path}/web-*`];
    await using guarded = await startGuarded(words);
    for (const limit of [32 * MIB, LIMIT]) {
      const other = parent.child("db-1");
      other.limit(limit);
      const cgroup = parent.child("web-1");
      cgroup.limit(limit);
      await guarded.next(isGuarding(cgroup, limit));
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

kernelTest("the thresholds of oom-guard are its own", async () => {
  await using cgroup = makeRealCgroup("vector");
  cgroup.limit(209_715_200);
  await using guarded = await startGuarded(["--mode", "notify", cgroup.path]);
  const { limit, imminent } = await guarded.next(({ type }) => type === "guard_armed");
  assert.deepEqual([limit, imminent], [209_715_200, 205_520_896]);
});

kernelTest("in oom-guard's format a kill is a line as oom-guard writes it", async () => {
  await using cgroup = makeRealCgroup("format");
  cgroup.limit(LIMIT);
  await using process = await startHungryProcess(cgroup);
  const words = ["--policy", "process", "--event-format", "oom-guard", cgroup.path];
  await using guarded = await startGuarded(words, { json: false });
  await feedWhileItLives(process, LIMIT);
  const told = await guarded.next(() => true);
  assert.deepEqual(Object.keys(told), [
    ...["hostname", "timestamp", "oomcgroup", "proccgroup"],
    ...["threshold", "usage", "killed", "stats", "policy"],
  ]);
  assert.deepEqual([told.oomcgroup, told.proccgroup], [cgroup.dir, cgroup.dir]);
  assert.deepEqual([told.killed, told.policy], [`${process.pid}(tail) `, "Process"]);
  assert.match(told.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  assert.match(told.stats, /^(\w+ \d+\|)+$/);
  assert.ok(told.usage >= told.threshold && told.usage <= LIMIT);
});
