/** An idle guard uses no CPU. */

import assert from "node:assert/strict";
import { isArmed, isLevel, startGuarded, until, WIDE } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";

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
