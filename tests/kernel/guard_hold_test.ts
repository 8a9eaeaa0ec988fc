/** The default mode on cgroup v1: the kernel's OOM killer is off only while a cgroup is about to reach its limit. */

import assert from "node:assert/strict";
import { disk, withoutDisk } from "../helpers/disk.ts";
import {
  feedSlowly,
  isAlive,
  isChanged,
  isKillAction,
  isLevel,
  kernelKills,
  makeStateDirectory,
  startGuarded,
  type StateDirectory,
  until,
  usageOf,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import {
  entering,
  kernelTest,
  MIB,
  ofType,
  startFaultingProcess,
} from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup, removeCgroup } from "../helpers/real_cgroup.ts";

const LIMIT = 64 * MIB;
/** From 50 % on the OOM killer is off; the level that kills is at 62 MiB. */
const HALF = ["--warn", "40%", "--critical", "50%", "--policy", "process"] as const;

function startHolding(cgroup: RealCgroup, state: StateDirectory, ...flags: readonly string[]) {
  cgroup.limit(LIMIT);
  return startGuarded([...HALF, ...flags, cgroup.path], { stateDirectory: state.path });
}

/** What is on record as suspended. */
const suspended = ({ path }: StateDirectory): string[] =>
  [...Deno.readDirSync(path)].filter(({ name }) => name.endsWith(".pauses"))
    .flatMap(({ name }) =>
      JSON.parse(Deno.readTextFileSync(`${path}/${name}`).split("\n")[0] || "[]")
    )
    .map(({ dir, file }) => `${dir}/${file}`);

kernelTest(
  "by default the OOM killer is disabled from the critical level on, on record, and enabled below it",
  async () => {
    await using cgroup = makeRealCgroup("near");
    using state = makeStateDirectory();
    await using guarded = await startHolding(cgroup, state);
    const [armed] = ofType(guarded.events, "guard_armed");
    assert.equal(armed.mode, "hold-near-limit");
    assert.equal(isChanged(cgroup), false, "far from the limit nothing is changed");
    for (let round = 0; round < 2; round++) {
      await using process = await startHungryProcess(cgroup);
      await process.feed(40 * MIB);
      await until("it is disabled", () => isChanged(cgroup));
      assert.deepEqual(suspended(state), [`${cgroup.dir}/memory.oom_control`]);
      await process[Symbol.asyncDispose]();
      await until("it is enabled", () => !isChanged(cgroup));
      assert.deepEqual(suspended(state), []);
    }
    const events = await guarded.stop();
    assert.deepEqual(ofType(events, "restored"), [], "it is no change that needs a report");
    assert.deepEqual(ofType(events, "action"), []);
  },
  { only: 1 },
);

kernelTest(
  "above the critical level the OOM killer stays enabled where page cache is what fills the cgroup",
  async () => {
    await using cgroup = makeRealCgroup("cached");
    using state = makeStateDirectory();
    cgroup.limit(2 * LIMIT);
    await using guarded = await startGuarded([...HALF, cgroup.path], {
      stateDirectory: state.path,
    });
    const directory = Deno.makeTempDirSync({ dir: disk!, prefix: "oomkit-test-" });
    try {
      const write = 'echo 0 > "$0/cgroup.procs" && exec dd if=/dev/zero of="$1" bs=64k count=1600';
      const args = ["-c", write, cgroup.dir, `${directory}/file`];
      const { code } = await new Deno.Command("sh", { args, stderr: "null" }).output();
      assert.equal(code, 0);
      await guarded.next(isLevel("critical"));
      await until("it is enabled", () => !isChanged(cgroup));
      assert.ok(usageOf(cgroup) > LIMIT, "usage is above the critical level");
      await using process = await startHungryProcess(cgroup);
      await feedSlowly(process, () => isChanged(cgroup));
      assert.ok(isChanged(cgroup) && isAlive(process.pid), "it is disabled before the limit");
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
  { only: 1, why: withoutDisk },
);

kernelTest("by default a burst from nothing to the limit is killed by the guard", async () => {
  await using cgroup = makeRealCgroup("burst");
  using state = makeStateDirectory();
  cgroup.limit(LIMIT);
  const words = ["--policy", "process", cgroup.path];
  await using guarded = await startGuarded(words, { stateDirectory: state.path });
  for (let round = 0; round < 5; round++) {
    await using process = startFaultingProcess(entering(cgroup));
    assert.equal((await process.status).signal, "SIGKILL");
    await guarded.next((event) => isKillAction(event) && event.victim.pid === process.pid);
  }
  assert.equal(kernelKills(cgroup), 0);
  await until("it is enabled", () => !isChanged(cgroup));
}, { only: 1 });

for (const signal of ["SIGINT", "SIGKILL"] as const) {
  kernelTest(
    `when the guard ends by ${signal} with the OOM killer disabled, it is enabled again`,
    async () => {
      await using cgroup = makeRealCgroup("ended");
      using state = makeStateDirectory();
      await using guarded = await startHolding(cgroup, state);
      await using process = await startHungryProcess(cgroup);
      await process.feed(40 * MIB);
      await until("it is disabled", () => isChanged(cgroup));
      Deno.kill(guarded.pid, signal);
      await until("it is enabled", () => !isChanged(cgroup) && suspended(state).length === 0);
      assert.ok(isAlive(process.pid));
    },
    { only: 1 },
  );
}

kernelTest(
  "where nothing may be killed, the kernel's killer is enabled and said to be",
  async () => {
    await using cgroup = makeRealCgroup("protected");
    using state = makeStateDirectory();
    await using guarded = await startHolding(cgroup, state, "--ignore", ".");
    await using process = startFaultingProcess(entering(cgroup));
    const { requested, fallback } = await guarded.next(({ type, requested }) =>
      type === "degraded" && requested === "hold-near-limit"
    );
    assert.deepEqual([requested, fallback], ["hold-near-limit", "the kernel's OOM killer"]);
    assert.notEqual((await process.status).code, 0);
    await until("the kernel has killed", () => kernelKills(cgroup) === 1);
  },
  { only: 1 },
);

/** Fills the cgroup with pipes up to `bytes`, 448 KiB of each process that holds some: kernel memory that cannot be reclaimed. */
const fillPipes = ({ dir }: RealCgroup, directory: string, bytes: number) => `
i=0; used=0
while [ $used -lt ${bytes} ]; do
  mkdir "${directory}/$i" && cd "${directory}/$i" && mkfifo 3 4 5 6 7 8 9 || exit
  sleep 600 3<>3 4<>4 5<>5 6<>6 7<>7 8<>8 9<>9 &
  for fifo in 3 4 5 6 7 8 9; do printf %65536s x >$fifo || exit; done
  i=$((i+1))
  read -r used <"${dir}/memory.usage_in_bytes"
done`;

kernelTest(
  "where an allocator waits, kernel memory is not counted on: the kernel has tried",
  async () => {
    const fifos = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
    using _fifos = { [Symbol.dispose]: () => Deno.removeSync(fifos, { recursive: true }) };
    await using cgroup = makeRealCgroup("pipes");
    using state = makeStateDirectory();
    cgroup.limit(32 * MIB);
    // Above the critical level, where the OOM killer is disabled, and below the level that kills.
    const args = ["-c", `${entering(cgroup)}\n${fillPipes(cgroup, fifos, 29.3 * MIB | 0)}`];
    const filled = new Deno.Command("sh", { args, stdout: "null", stderr: "null" });
    assert.equal((await filled.spawn().status).code, 0);
    const words = ["--policy", "process", cgroup.path];
    await using guarded = await startGuarded(words, { stateDirectory: state.path });
    await until("it is disabled", () => isChanged(cgroup));
    Deno.kill(guarded.pid, "SIGSTOP");
    // The guard's first look is at the limit: no growth shows it that a reclaim is of no use.
    await using _process = startFaultingProcess(entering(cgroup));
    const isWaiting = () => /^under_oom 1$/m.test(cgroup.read("memory.oom_control"));
    await until("an allocator waits", isWaiting);
    Deno.kill(guarded.pid, "SIGCONT");
    const { outcome } = await guarded.next(isKillAction);
    assert.equal(outcome, "killed");
    assert.equal(kernelKills(cgroup), 0);
    await removeCgroup(cgroup.dir);
  },
  { only: 1 },
);

kernelTest("an OOM killer that another program has disabled stays disabled", async () => {
  await using cgroup = makeRealCgroup("foreign");
  using state = makeStateDirectory();
  await using guarded = await startHolding(cgroup, state);
  cgroup.write("memory.oom_control", "1");
  await using process = await startHungryProcess(cgroup);
  await process.feed(40 * MIB);
  await guarded.next(({ type, level }) => type === "level_reached" && level === "critical");
  await process[Symbol.asyncDispose]();
  await guarded.stop();
  assert.equal(isChanged(cgroup), true);
  cgroup.write("memory.oom_control", "0");
}, { only: 1 });

kernelTest("two cgroups with one limit above them share one switch", async () => {
  await using parent = makeRealCgroup("shared");
  await using first = parent.child("first");
  await using second = parent.child("second");
  using state = makeStateDirectory();
  parent.limit(LIMIT);
  const words = [...HALF, first.path, second.path];
  await using guarded = await startGuarded(words, { stateDirectory: state.path });
  await using process = await startHungryProcess(first);
  await process.feed(40 * MIB);
  await until("it is disabled", () => isChanged(parent));
  assert.deepEqual(suspended(state), [`${parent.dir}/memory.oom_control`]);
  await process[Symbol.asyncDispose]();
  await until("it is enabled", () => !isChanged(parent));
  await guarded.stop();
}, { only: 1 });
