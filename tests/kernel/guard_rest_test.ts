/** A guard that has nothing to do does nothing. */

import assert from "node:assert/strict";
import { isLevel, startGuarded, until, WIDE } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";

/** Clock ticks that a process has had: proc(5), /proc/PID/stat, the 14th and 15th. */
function ticksOf(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

const TICKS_A_SECOND = 100;
const WINDOW_S = 1;

kernelTest(
  "a cgroup that is removed leaves nothing behind that keeps the guard awake",
  async () => {
    await using parent = makeRealCgroup("rest");
    const child = parent.child("gone");
    child.limit(48 * MIB);
    await using guarded = await startGuarded(["-r", "--policy", "process", parent.path]);
    await guarded.next(({ type, cgroup }) => type === "guard_armed" && cgroup === child.path);
    Deno.removeSync(child.dir);
    await guarded.next(({ type, cgroup }) => type === "cgroup_removed" && cgroup === child.path);
    const before = ticksOf(guarded.pid);
    await new Promise((resolve) => setTimeout(resolve, 1000 * WINDOW_S));
    const share = (ticksOf(guarded.pid) - before) / TICKS_A_SECOND / WINDOW_S;
    // One thread that turns without end takes all of a CPU.
    assert.ok(share < 0.5, `it took ${Math.round(100 * share)} % of a CPU`);
    await guarded.stop();
  },
);

/** Where the threads of a process may run, each once: proc(5), Cpus_allowed_list. */
function placesOf(pid: number): string[] {
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
    // A thread that has ended since.
    return "";
  }
}

kernelTest(
  "the sentry may run everywhere again when who filled a cgroup stands still, however often it looks",
  async () => {
    await using cgroup = makeRealCgroup("pinned");
    cgroup.limit(128 * MIB);
    await using process = await startHungryProcess(cgroup);
    const args = [...WIDE, "--policy", "process", "--poll", "50ms", cgroup.path];
    await using guarded = await startGuarded(args);
    const [home, ...others] = placesOf(guarded.pid);
    assert.deepEqual(others, []);
    // Over the first level, and below the deadly one.
    await process.feed(86 * MIB);
    await guarded.next(isLevel("warn"));
    await until("its threads may run alike", () => placesOf(guarded.pid).join() === home);
    await guarded.stop();
  },
);
