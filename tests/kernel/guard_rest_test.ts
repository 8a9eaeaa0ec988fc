/** An idle guard uses no CPU. */

import assert from "node:assert/strict";
import { makeDirectory } from "../helpers/directory.ts";
import {
  feedWhileItLives,
  isArmed,
  isKillAction,
  isLevel,
  kernelKills,
  startGuarded,
  until,
  WIDE,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { noMountNamespace, withKernelLog } from "../helpers/kernel_log.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";

/** CPU time of a process in clock ticks: fields 14 and 15 of proc(5), /proc/PID/stat. */
function ticksOf(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

const TICKS_PER_SECOND = 100;
const WINDOW_S = 1;

kernelTest(
  "after a cgroup is removed nothing keeps the guard awake",
  async () => {
    await using parent = makeRealCgroup("rest");
    const child = parent.child("gone");
    child.limit(48 * MIB);
    await using guarded = await startGuarded(["-r", "--policy", "process", parent.path]);
    await guarded.next(isArmed(child));
    Deno.removeSync(child.dir);
    await guarded.next(({ type, cgroup }) => type === "cgroup_removed" && cgroup === child.path);
    const before = ticksOf(guarded.pid);
    await new Promise((resolve) => setTimeout(resolve, 1000 * WINDOW_S));
    const share = (ticksOf(guarded.pid) - before) / TICKS_PER_SECOND / WINDOW_S;
    // One thread in a busy loop takes a whole CPU.
    assert.ok(share < 0.5, `it used ${Math.round(100 * share)} % of a CPU`);
    await guarded.stop();
  },
);

/** How often the threads of a process have slept and woken up: proc(5), voluntary_ctxt_switches. */
function wakesOf(pid: number): number {
  const wakes = [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => {
    const status = textOf(`/proc/${pid}/task/${name}/status`);
    return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1] ?? 0);
  });
  return wakes.reduce((sum, each) => sum + each, 0);
}

/** Each longer than the longest interval at rest, 10 s. */
const REST_WINDOW_S = 11;
const REST_WINDOWS = 6;
/** Below 1 on a quiet machine. On a busy one threads also wait for each other (up to 5); timers of 0.2 s made it 17. */
const MAX_WAKES_PER_SECOND = 8;

kernelTest(
  "a guard at rest sleeps",
  async () => {
    await using parent = makeRealCgroup("asleep");
    const target = parent.child("target");
    const children = ["a", "b", "c"].map((name) => target.child(name));
    for (const child of children) child.limit(48 * MIB);
    // Its return is notified.
    const gone = target.child("gone");
    // Each line of the kernel log wakes a guard, and each cgroup that appears beside its target: both also by other programs.
    using directory = makeDirectory();
    const program = [...withKernelLog(directory.path, "ln -s /dev/null $f"), ...oomkit()];
    const targets = [parent.path, gone.path];
    await using guarded = await startGuarded(["-r", "--policy", "process", ...targets], {
      program,
    });
    for (const child of children) await guarded.next(isArmed(child));
    Deno.removeSync(gone.dir);
    await guarded.next(({ type, cgroup }) => type === "cgroup_removed" && cgroup === gone.path);
    const rates: number[] = [];
    // On the way to rest V8 collects garbage: one window counts.
    for (let n = 0; n < REST_WINDOWS && !rates.some((rate) => rate <= MAX_WAKES_PER_SECOND); n++) {
      const before = wakesOf(guarded.pid);
      await new Promise((resolve) => setTimeout(resolve, 1000 * REST_WINDOW_S));
      rates.push((wakesOf(guarded.pid) - before) / REST_WINDOW_S);
    }
    assert.ok(Math.min(...rates) <= MAX_WAKES_PER_SECOND, `${rates.join(", ")} wakes a second`);
    await guarded.stop();
  },
  { why: noMountNamespace },
);

/** Longer than it takes to rest. */
const MS_TO_REST = 11_000;

kernelTest(
  "memory that fills after a rest is found in time",
  async () => {
    await using cgroup = makeRealCgroup("rested");
    cgroup.limit(64 * MIB);
    await using guarded = await startGuarded(["--policy", "process", cgroup.path]);
    await using process = await startHungryProcess(cgroup);
    await new Promise((resolve) => setTimeout(resolve, MS_TO_REST));
    await feedWhileItLives(process, 64 * MIB);
    const { outcome, victim } = await guarded.next(isKillAction);
    assert.deepEqual([outcome, victim.pid], ["killed", process.pid]);
    assert.equal(kernelKills(cgroup), 0);
    await guarded.stop();
  },
);

/** Without a notification it would be found after 10 s. */
const MAX_MS_TO_FOLLOW = 3000;

kernelTest("a guard follows the limit of an ancestor that changes", async () => {
  await using parent = makeRealCgroup("above");
  parent.limit(64 * MIB);
  const child = parent.child("below");
  await using guarded = await startGuarded(["--policy", "process", child.path]);
  const armed = await guarded.next(isArmed(child));
  assert.deepEqual([armed.limit, armed.limit_owner], [64 * MIB, parent.path]);
  const start = performance.now();
  parent.limit(48 * MIB);
  const again = await guarded.next((event) => isArmed(child)(event) && event.limit !== armed.limit);
  const ms = performance.now() - start;
  assert.deepEqual([again.limit, again.limit_owner], [48 * MIB, parent.path]);
  assert.ok(ms < MAX_MS_TO_FOLLOW, `after ${Math.round(ms)} ms`);
  await guarded.stop();
});

kernelTest("a target that was removed with the cgroup above it is guarded again soon", async () => {
  await using parent = makeRealCgroup("again");
  const start = (limit: number) => {
    const above = parent.child("above");
    const service = above.child("service");
    service.limit(limit);
    return { above, service };
  };
  const { above, service } = start(48 * MIB);
  await using guarded = await startGuarded(["--policy", "process", service.path]);
  for (const gone of [service, above]) await gone[Symbol.asyncDispose]();
  await guarded.next(({ type, cgroup }) => type === "cgroup_removed" && cgroup === service.path);
  // Until nothing is looked for.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const startedAt = performance.now();
  start(32 * MIB);
  await guarded.next(isArmed(service, 32 * MIB));
  const ms = performance.now() - startedAt;
  assert.ok(ms < MAX_MS_TO_FOLLOW, `after ${Math.round(ms)} ms`);
  await guarded.stop();
});

/** The distinct CPU lists of the threads of a process: proc(5), Cpus_allowed_list. */
function cpuListsOf(pid: number): string[] {
  const lists = [...Deno.readDirSync(`/proc/${pid}/task`)].flatMap(({ name }) => {
    const status = textOf(`/proc/${pid}/task/${name}/status`);
    return /^Cpus_allowed_list:\s+(\S+)$/m.exec(status)?.[1] ?? [];
  });
  return [...new Set(lists)];
}

function textOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    // The thread has exited.
    return "";
  }
}

kernelTest(
  "the monitor thread may run on every CPU again when usage stops growing, also with a short --poll",
  async () => {
    await using cgroup = makeRealCgroup("pinned");
    cgroup.limit(128 * MIB);
    await using process = await startHungryProcess(cgroup);
    const args = [...WIDE, "--policy", "process", "--poll", "50ms", cgroup.path];
    await using guarded = await startGuarded(args);
    const [initial, ...others] = cpuListsOf(guarded.pid);
    assert.deepEqual(others, []);
    // Above warn and below imminent.
    await process.feed(86 * MIB);
    await guarded.next(isLevel("warn"));
    await until(
      "all threads have the initial CPU list",
      () => cpuListsOf(guarded.pid).join() === initial,
    );
    await guarded.stop();
  },
);
