/** A guard and a watch while the system clock is set by hours, on an emulated machine only. */

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
import {
  allocateUntilKilled,
  kernelTest,
  killOf,
  MIB,
  ofType,
  victimsOf,
} from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { startWatched } from "../helpers/watched.ts";

const LIMIT = 24 * MIB;

kernelTest(
  "setting the clock by hours delays no kill of a guard, and its events have the new time",
  async () => {
    await using cgroup = makeRealCgroup("clock");
    cgroup.limit(LIMIT);
    using clock = takeClock();
    // WIDE: on an emulated machine the guard needs more time to react.
    const args = ["--cooldown", "50ms", "--policy", "process", ...WIDE];
    await using guarded = await startGuarded([...args, cgroup.path]);
    for (const hours of [0, 5, -9, -100, 104]) {
      if (hours !== 0) clock.step(hours * HOURS);
      await using allocator = await startHungryProcess(cgroup);
      await feedSlowly(allocator, () => false);
      const { pid } = allocator;
      const action = await guarded.next((event) =>
        isKillAction(event) && event.victim?.pid === pid
      );
      assert.equal(action.outcome, "killed");
      assert.ok(isNow(action), `${action.ts} for ${new Date().toISOString()} after ${hours} h`);
      assert.ok(action.exit_ms === null || action.exit_ms < 60_000, `${action.exit_ms}`);
    }
    const events = await guarded.stop();
    assert.equal(killActionsOf(events).length, 5);
    // The cooldown of a level is not extended by a clock that is set back.
    assert.ok(ofType(events, "level_reached").length >= 5);
    assert.equal(kernelKills(cgroup), 0);
  },
  { why: whyNoClockSteps },
);

kernelTest(
  "while the clock is set by hours a watch reports each kill once, with the new time",
  async () => {
    await using cgroup = makeRealCgroup("clock");
    cgroup.limit(LIMIT);
    using clock = takeClock();
    await using watched = await startWatched([cgroup.path]);
    const pids: number[] = [];
    for (const hours of [0, 5, -9, -100, 104]) {
      if (hours !== 0) clock.step(hours * HOURS);
      const { pid } = await allocateUntilKilled(cgroup);
      pids.push(pid);
      const kill = await watched.next(killOf(pid));
      assert.ok(isNow(kill), `${kill.ts} for ${new Date().toISOString()} after ${hours} h`);
    }
    const events = await watched.stop();
    assert.deepEqual(victimsOf(events), pids);
    assert.ok(events.at(-1).seconds < 600);
  },
  { why: whyNoClockSteps },
);
