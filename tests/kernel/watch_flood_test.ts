/** `oomkit watch` where the kernel has more to report than a reader can take. */

import assert from "node:assert/strict";
import {
  allocateUntilKilled,
  entering,
  kernelTest,
  killOf,
  MIB,
  ofType,
  startFaultingProcess,
} from "../helpers/kernel_cases.ts";
import { makeDirectory } from "../helpers/directory.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { type Json, startWatched } from "../helpers/watched.ts";

const sum = (events: readonly Json[], key: string): number =>
  events.reduce((total, event) => total + event[key], 0);

kernelTest(
  "usage that swings around a threshold keeps no kill from a slow command, and every crossing is counted",
  async () => {
    using directory = makeDirectory();
    const ran = `${directory.path}/ran`;
    await using cgroup = makeRealCgroup("swing");
    cgroup.limit(32 * MIB);
    const hook = `sleep 1; echo "$OOMKIT_EVENT_TYPE" >> ${ran}`;
    await using watched = await startWatched(["--threshold", "8M", "--exec", hook, cgroup.path]);
    // tail(1) holds what it has read, and frees it when it exits.
    const swing = `head -c ${12 * MIB} /dev/zero | tail -c ${12 * MIB} > /dev/null`;
    const script = `${entering(cgroup)}; n=0; while [ $n -lt 15 ]; do n=$((n + 1)); ${swing}; done`;
    const { code } = await new Deno.Command("sh", { args: ["-c", script] }).output();
    assert.equal(code, 0);
    const { pid } = await allocateUntilKilled(cgroup);
    await watched.next(killOf(pid));
    const events = await watched.stop();
    const crossings = ofType(events, "threshold");
    const { seconds } = events.at(-1);
    // Once in ten seconds and direction, and the last one at the end.
    assert.ok(crossings.length <= 2 * (Math.floor(seconds / 10) + 1) + 1, `${crossings.length}`);
    assert.ok(crossings.length + sum(crossings, "suppressed") >= 10);
    for (const [at, { direction, suppressed }] of crossings.entries()) {
      const isOther = direction !== (crossings[at - 1]?.direction ?? "below");
      assert.equal(isOther, suppressed % 2 === 0, `event ${at}: ${direction}, ${suppressed}`);
    }
    assert.match(Deno.readTextFileSync(ran), /^oom_kill$/m);
  },
);

kernelTest(
  "an OOM loop of a process that cannot be killed is reported once a second, and the counts add up",
  async () => {
    await using cgroup = makeRealCgroup("loop");
    cgroup.limit(10 * MIB);
    await using watched = await startWatched([cgroup.path]);
    {
      const enter = `${entering(cgroup)} && echo -1000 > /proc/self/oom_score_adj`;
      await using _ = startFaultingProcess(enter);
      const total = () => sum(ofType(watched.events, "oom"), "count");
      await watched.next(() => total() >= 50);
    }
    const events = await watched.stop();
    const { seconds, cgroups: [deltas] } = events.at(-1);
    for (const type of ["oom", "max"] as const) {
      const reports = ofType(events, type);
      // Once a second, and the rest at the end.
      assert.ok(reports.length <= seconds + 2, `${reports.length} in ${seconds} s`);
      assert.equal(sum(reports, "count"), deltas[type]);
    }
    assert.deepEqual(ofType(events, "oom_kill"), []);
  },
  // It takes CAP_SYS_RESOURCE, which a container often does not have, to make a process that the OOM killer does not kill.
  { only: 2 },
);
