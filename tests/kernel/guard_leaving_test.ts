/** What a guard has begun in a cgroup that is no longer guarded when it comes to its end. */

import assert from "node:assert/strict";
import { feedWhileItLives, isKillAction, isLevel, startGuarded, WIDE } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";

const LIMIT = 48 * MIB;

kernelTest(
  "who was struck is told, also when the limit is taken away before he is dead",
  async () => {
    await using parent = makeRealCgroup("leaving");
    const cgroup = parent.child("struck");
    const other = parent.child("other");
    cgroup.limit(LIMIT);
    other.limit(LIMIT);
    const words = ["--policy", "process", "--grace-period", "60s", ...WIDE, "--mode", "notify"];
    await using guarded = await startGuarded([...words, "-r", parent.path]);
    // Asked to end, which it does not hear of: so long the blow is open.
    await using process = await startHungryProcess(cgroup, { before: 'trap "" TERM' });
    const fed = feedWhileItLives(process, 0.75 * LIMIT);
    // It is told when the deed is done.
    await guarded.next(isLevel("imminent"));
    const [file, none] = parent.version === 1
      ? ["memory.limit_in_bytes", -1] as const
      : ["memory.max", "max"] as const;
    cgroup.write(file, none);
    const action = await guarded.next(isKillAction);
    assert.deepEqual([action.victim?.pid, action.signal], [process.pid, "SIGTERM"]);
    assert.equal(action.outcome, "survived");
    await process[Symbol.asyncDispose]();
    await fed;
  },
);
