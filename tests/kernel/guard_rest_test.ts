/** A guard that has nothing to do does nothing. */

import assert from "node:assert/strict";
import { startGuarded } from "../guarded.ts";
import { kernelTest, MIB } from "../kernel_cases.ts";
import { makeRealCgroup } from "../real_cgroup.ts";

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
    await guarded.next(({ type, cgroup }) => type === "guarding" && cgroup === child.path);
    Deno.removeSync(child.dir);
    await guarded.next(({ type, cgroup }) => type === "removed" && cgroup === child.path);
    const before = ticksOf(guarded.pid);
    await new Promise((resolve) => setTimeout(resolve, 1000 * WINDOW_S));
    const share = (ticksOf(guarded.pid) - before) / TICKS_A_SECOND / WINDOW_S;
    // One thread that turns without end takes all of a CPU.
    assert.ok(share < 0.5, `it took ${Math.round(100 * share)} % of a CPU`);
    await guarded.stop();
  },
);
