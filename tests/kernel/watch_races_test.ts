/** `oomkit watch` on real kernels, when cgroups change between two of its reads. */

import assert from "node:assert/strict";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import {
  allocateUntilKilled,
  kernelTest,
  killOf,
  MIB,
  ofType,
  victimsOf,
} from "../helpers/kernel_cases.ts";
import { untilLogged } from "../helpers/kernel_log_rate.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import { startWatched } from "../helpers/watched.ts";

const LIMIT = 10 * MIB;

const ROUNDS = 6;

kernelTest("each kill in successive cgroups of the same name is reported once", async () => {
  await using parent = makeRealCgroup("renewed");
  let cgroup = parent.child("same");
  cgroup.limit(LIMIT);
  await using watched = await startWatched(["--recursive", parent.path]);
  await untilLogged(ROUNDS);
  const pids: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const { pid } = await allocateUntilKilled(cgroup);
    pids.push(pid);
    await cgroup[Symbol.asyncDispose]();
    cgroup = parent.child("same");
    cgroup.limit(LIMIT);
  }
  for (const pid of pids) await watched.next(killOf(pid));
  const events = await watched.stop();
  assert.deepEqual(victimsOf(events), pids);
  assert.deepEqual(watched.stderr.match(/^oomkit: .*|^\s+at .*/gm), null);
});

kernelTest(
  "cgroups created and removed between any two system calls are reported as both",
  async () => {
    await using parent = makeRealCgroup("flurry");
    await using watched = await startWatched(["--recursive", parent.path]);
    const inspect = async () => {
      for (let n = 0; n < 3; n++) {
        const { code, stderr } = await runOomkit(["inspect", "--tree", "--json", parent.path]);
        assert.deepEqual([code, stderr], [0, ""]);
      }
    };
    const flurry = async () => {
      for (let n = 0; n < 200; n++) {
        const child = parent.child(`c${n % 5}`);
        for (let turn = 0; turn < n % 4; turn++) {
          await new Promise((next) => setTimeout(next, turn));
        }
        Deno.removeSync(child.dir);
      }
    };
    await Promise.all([flurry(), inspect()]);
    const last = parent.child("last");
    last.limit(LIMIT);
    const { pid } = await allocateUntilKilled(last);
    await watched.next(killOf(pid));
    const events = await watched.stop();
    assert.deepEqual(victimsOf(events), [pid]);
    assert.deepEqual(watched.stderr.match(/^oomkit: .*|^\s+at .*/gm), null);
    // Which of the short-lived ones are seen is a matter of chance, but each created one is removed.
    const counts = (type: string) =>
      Object.groupBy(ofType(events, type), ({ cgroup }) => cgroup as string);
    const [created, removed] = [counts("cgroup_created"), counts("cgroup_removed")];
    assert.equal(created[last.path]?.length, 1);
    delete created[last.path];
    for (const [path, all] of Object.entries(created)) {
      assert.equal(removed[path]?.length, all?.length, path);
    }
  },
);

kernelTest("a limit that is removed and set again is reported, and effective again", async () => {
  await using cgroup = makeRealCgroup("limit");
  cgroup.limit(2 * LIMIT);
  await using allocator = await startHungryProcess(cgroup);
  await allocator.feed(LIMIT);
  await using watched = await startWatched([cgroup.path]);
  const file = cgroup.version === 1 ? "memory.limit_in_bytes" : "memory.max";
  cgroup.write(file, cgroup.version === 1 ? -1 : "max");
  await watched.next(({ type, to }) => type === "limit_changed" && to === null);
  await allocator.feed(2 * LIMIT);
  cgroup.limit(5 * LIMIT);
  await watched.next(({ type, to }) => type === "limit_changed" && to === 5 * LIMIT);
  const { pid } = await allocateUntilKilled(cgroup);
  const kill = await watched.next(({ type }) => type === "oom_kill");
  assert.equal(kill.limit, 5 * LIMIT);
  assert.ok([pid, allocator.pid].includes(kill.victim.pid));
  await watched.stop();
});
