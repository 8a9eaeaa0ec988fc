/** A kill cycle in a cgroup that loses its limit before the victim exits. */

import assert from "node:assert/strict";
import { feedWhileItLives, isKillAction, isLevel, startGuarded, WIDE } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";

const LIMIT = 48 * MIB;

kernelTest(
  "a signalled process is reported also when the limit is removed before it exits",
  async () => {
    await using parent = makeRealCgroup("leaving");
    const cgroup = parent.child("signalled");
    const other = parent.child("other");
    cgroup.limit(LIMIT);
    other.limit(LIMIT);
    // Without a reclaim the signal is sent in the same turn in which the level is reported.
    const words = ["--policy", "process", "--grace-period", "60s", ...WIDE, "--mode", "notify"];
    words.push("--no-reclaim");
    await using guarded = await startGuarded([...words, "-r", parent.path]);
    // It ignores SIGTERM, so that the kill stays pending.
    await using process = await startHungryProcess(cgroup, { before: 'trap "" TERM' });
    const fed = feedWhileItLives(process, 0.75 * LIMIT);
    // Reported once the signal is sent.
    await guarded.next(isLevel("imminent"));
    const [file, unlimited] = parent.version === 1
      ? ["memory.limit_in_bytes", -1] as const
      : ["memory.max", "max"] as const;
    cgroup.write(file, unlimited);
    const action = await guarded.next(isKillAction);
    assert.deepEqual([action.victim?.pid, action.signal], [process.pid, "SIGTERM"]);
    assert.equal(action.outcome, "survived");
    await process[Symbol.asyncDispose]();
    await fed;
  },
);
