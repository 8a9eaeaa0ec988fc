/** A guard while a CPU is switched off and on, on an emulated machine only. */

import assert from "node:assert/strict";
import {
  feedSlowly,
  isKillAction,
  kernelKills,
  killActionsOf,
  startGuarded,
  usageOf,
  WIDE,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { isThere } from "../helpers/is_there.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";

const SWITCH = "/sys/devices/system/cpu/cpu1/online";
const LIMIT = 24 * MIB;

/** Why no CPU can be switched off here; `undefined` when one can. */
function whyNoSwitch(): string | undefined {
  if (!isThere("/guest/settings")) return "only the emulated machine's CPUs may be switched off";
  return isThere(SWITCH) ? undefined : "the emulated machine has no CPU that can be switched off";
}

kernelTest("a guard continues while a CPU is switched off and on", async () => {
  await using cgroup = makeRealCgroup("hotplug");
  cgroup.limit(LIMIT);
  using cpu = {
    online: (on: boolean) => Deno.writeTextFileSync(SWITCH, on ? "1" : "0"),
    [Symbol.dispose]: () => Deno.writeTextFileSync(SWITCH, "1"),
  };
  await using guarded = await startGuarded(["--policy", "process", ...WIDE, cgroup.path]);
  const pids: number[] = [];
  for (const phase of ["with both", "without one", "with both again"] as const) {
    await using allocator = await startHungryProcess(cgroup);
    const { pid } = allocator;
    // Near its level the monitor thread follows the allocator to its CPU, which may be the one that is switched off.
    await feedSlowly(allocator, () => usageOf(cgroup) > 0.6 * LIMIT);
    if (phase !== "with both") cpu.online(phase !== "without one");
    await feedSlowly(allocator, () => false);
    const action = await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
    // A machine with one slow CPU can take more than the 5 s after which a victim is reported as survived.
    assert.equal(action.signal, "SIGKILL", phase);
    assert.equal((await allocator.status).signal, "SIGKILL", phase);
    pids.push(pid);
  }
  const events = await guarded.stop();
  assert.deepEqual(killActionsOf(events).map(({ victim }) => victim.pid), pids);
  assert.equal(kernelKills(cgroup), 0);
}, { why: whyNoSwitch() });
