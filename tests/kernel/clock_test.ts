/** What a machine's clock that is set by hours does to a guard and to a watch: in the emulated machine, whose clock is its own. */

import assert from "node:assert/strict";
import { HOURS, isNow, takeClock, whyNoClockSteps } from "../helpers/clock_steps.ts";
import {
  feedSlowly,
  isKillAction,
  kernelKills,
  killActionsOf,
  startGuarded,
  WIDE,
} from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { eatToDeath, kernelTest, killOf, MIB, ofType, victimsOf } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { startWatched } from "../helpers/watched.ts";

const LIMIT = 24 * MIB;

kernelTest("a guard whose clock is set by hours strikes no later, and tells the time", async () => {
  await using cgroup = makeRealCgroup("clock");
  cgroup.limit(LIMIT);
  using clock = takeClock();
  // An emulated machine is no place for a race.
  const args = ["--cooldown", "50ms", "--policy", "process", ...WIDE];
  await using guarded = await startGuarded([...args, cgroup.path]);
  for (const hours of [0, 5, -9, -100, 104]) {
    if (hours !== 0) clock.step(hours * HOURS);
    await using eater = await startHungryProcess(cgroup);
    await feedSlowly(eater, () => false);
    const { pid } = eater;
    const action = await guarded.next((event) => isKillAction(event) && event.victim?.pid === pid);
    assert.equal(action.outcome, "killed");
    assert.ok(isNow(action), `${action.ts} for ${new Date().toISOString()} after ${hours} h`);
    assert.ok(action.died_after_ms === undefined || action.died_after_ms < 60_000);
  }
  const events = await guarded.stop();
  assert.equal(killActionsOf(events).length, 5);
  // A level is told of again once its cooldown is over, which is no longer for a clock that was set back.
  assert.ok(ofType(events, "level_reached").length >= 5);
  assert.equal(kernelKills(cgroup), 0);
}, { why: whyNoClockSteps });

kernelTest("a watch whose clock is set by hours tells each kill once, and the time", async () => {
  await using cgroup = makeRealCgroup("clock");
  cgroup.limit(LIMIT);
  using clock = takeClock();
  await using watched = await startWatched([cgroup.path]);
  const pids: number[] = [];
  for (const hours of [0, 5, -9, -100, 104]) {
    if (hours !== 0) clock.step(hours * HOURS);
    const { pid } = await eatToDeath(cgroup);
    pids.push(pid);
    const kill = await watched.next(killOf(pid));
    assert.ok(isNow(kill), `${kill.ts} for ${new Date().toISOString()} after ${hours} h`);
  }
  const events = await watched.stop();
  assert.deepEqual(victimsOf(events), pids);
  assert.ok(events.at(-1).seconds < 600);
}, { why: whyNoClockSteps });
