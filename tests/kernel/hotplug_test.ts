/** A CPU that is taken away and given back under a guard: in the emulated machine, whose CPUs are its own. */

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

/** `undefined` in the emulated machine when it has a second CPU that can be switched off. */
function whyNoSwitch(): string | undefined {
  if (!isThere("/guest/settings")) return "only the emulated machine's CPUs may be switched off";
  return isThere(SWITCH) ? undefined : "the emulated machine has no CPU that can be switched off";
}

kernelTest("a guard goes on while a CPU is switched off and on under it", async () => {
  await using cgroup = makeRealCgroup("hotplug");
  cgroup.limit(LIMIT);
  using cpu = {
    online: (on: boolean) => Deno.writeTextFileSync(SWITCH, on ? "1" : "0"),
    [Symbol.dispose]: () => Deno.writeTextFileSync(SWITCH, "1"),
  };
  await using guarded = await startGuarded(["--policy", "process", ...WIDE, cgroup.path]);
  const pids: number[] = [];
  for (const turn of ["with both", "without one", "with both again"] as const) {
    await using eater = await startHungryProcess(cgroup);
    const { pid } = eater;
    // Near its level the sentry follows the allocator to his CPU, which may be the one that goes.
    await feedSlowly(eater, () => usageOf(cgroup) > 0.6 * LIMIT);
    if (turn !== "with both") cpu.online(turn !== "without one");
    await feedSlowly(eater, () => false);
    const action = await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
    assert.equal(action.outcome, "killed", turn);
    pids.push(pid);
  }
  const events = await guarded.stop();
  assert.deepEqual(killActionsOf(events).map(({ victim }) => victim.pid), pids);
  assert.equal(kernelKills(cgroup), 0);
}, { why: whyNoSwitch() });
