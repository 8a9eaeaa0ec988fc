/** `oomkit watch` on real kernels: it reports exactly what the kernel did. */

import assert from "node:assert/strict";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import {
  allocateUntilKilled,
  anyVersionTest,
  keepsPeak,
  kernelTest,
  killOf,
  MIB,
  ofType,
  victimsOf,
} from "../helpers/kernel_cases.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { type Json, startWatched, type Watched } from "../helpers/watched.ts";

async function runAndExit(cgroup: RealCgroup): Promise<void> {
  await new Deno.Command("sh", {
    args: ["-c", 'echo 0 > "$0/cgroup.procs" && exec true', cgroup.dir],
  }).output();
}

const kills = (events: readonly Json[]) => ofType(events, "oom_kill");
const summaryOf = (events: readonly Json[]) => events.at(-1);

kernelTest(
  "one kill is reported once, with the pid, the name and the owner of the limit",
  async () => {
    await using cgroup = makeRealCgroup("one");
    cgroup.limit(20 * MIB);
    await using watched = await startWatched(["--threshold", "50%,90%", cgroup.path]);
    const { pid, code } = await allocateUntilKilled(cgroup);
    assert.equal(code, 137);
    const kill = await watched.next(killOf(pid));
    assert.equal(kill.victim.comm, "tail");
    assert.equal(kill.limit_owner, cgroup.path);
    assert.equal(kill.limit, 20 * MIB);
    assert.equal(kill.cgroup, cgroup.path);
    const events = await watched.stop();
    assert.equal(kills(events).length, 1);
    const crossings = ofType(events, "threshold");
    assert.deepEqual([...new Set(crossings.map((e) => e.threshold))], [10 * MIB, 18 * MIB]);
    // At the limit the kernel first reclaims page cache, of tail(1) itself too: usage may fall, and rise once more.
    for (const bytes of [10 * MIB, 18 * MIB]) {
      const reported = crossings.filter((e) => e.threshold === bytes);
      let count = 0;
      for (const { direction, suppressed } of reported) {
        count += suppressed;
        assert.equal(direction, count % 2 === 0 ? "above" : "below", JSON.stringify(reported));
        count += 1;
      }
      assert.ok(bytes === 18 * MIB || count <= 2, JSON.stringify(reported));
    }
    const types = events.map(({ type }) => type);
    assert.ok(types.indexOf("oom") < types.indexOf("oom_kill"), "the OOM comes before the kill");
    const [deltas] = summaryOf(events).cgroups;
    assert.equal(deltas.oom_kill, 1);
    assert.equal(deltas.victims, 1);
    if (keepsPeak) {
      assert.ok(deltas.peak >= 18 * MIB && deltas.peak <= 20 * MIB, `peak ${deltas.peak}`);
    } else assert.equal(deltas.peak, null);
  },
);

kernelTest("three kills in a row in one cgroup are three, each with its pid", async () => {
  await using cgroup = makeRealCgroup("three");
  cgroup.limit(10 * MIB);
  await using watched = await startWatched([cgroup.path]);
  const pids: number[] = [];
  for (let n = 0; n < 3; n++) pids.push((await allocateUntilKilled(cgroup)).pid);
  for (const pid of pids) await watched.next(killOf(pid));
  const events = await watched.stop();
  // A kill may wait for the others when the log leaves out its cgroup.
  assert.deepEqual(victimsOf(events).sort(), pids.sort());
  assert.equal(summaryOf(events).cgroups[0].oom_kill, 3);
});

kernelTest("a clean exit and the removal of the cgroup are not reported as an OOM", async () => {
  const cgroup = makeRealCgroup("clean");
  cgroup.limit(20 * MIB);
  await using watched = await startWatched(["--pressure", "low", cgroup.path].slice(
    cgroup.version === 1 ? 0 : 2,
  ));
  await runAndExit(cgroup);
  await cgroup[Symbol.asyncDispose]();
  const { code, events } = await watched.ended();
  assert.equal(code, 0);
  assert.deepEqual(events.map(({ type }) => type), ["cgroup_removed", "summary"]);
  assert.equal(summaryOf(events).cgroups[0].oom_kill, 0);
});

kernelTest("an OOM and the removal right after it, 50 times, are 50 kills", async () => {
  await using parent = makeRealCgroup("fifty");
  await using watched = await startWatched(["--recursive", parent.path]);
  const pids: number[] = [];
  for (let n = 0; n < 50; n++) {
    const child = parent.child(`c${n}`);
    // A watch that is seconds late has only the parent's sum, and log lines without their cgroup.
    await watched.next((e) => e.type === "cgroup_created" && e.cgroup === child.path);
    child.limit(4 * MIB);
    pids.push((await allocateUntilKilled(child)).pid);
    await child[Symbol.asyncDispose]();
  }
  const events = await stopAfterRemovals(watched, 50);
  const victims = victimsOf(events);
  assert.equal(victims.length, 50);
  // A victim may stay unnamed where the kernel's log leaves out the cgroup, but none is named twice or invented.
  const named = victims.filter((pid) => pid !== null);
  assert.equal(new Set(named).size, named.length);
  assert.ok(named.every((pid) => pids.includes(pid)));
  assert.ok(
    kills(events).every((e) => e.cgroup !== parent.path),
    "each is reported in its own cgroup",
  );
});

async function stopAfterRemovals(watched: Watched, count: number): Promise<readonly Json[]> {
  for (let n = 0; n < count; n++) {
    await watched.next((e) => e.type === "cgroup_removed" && e.cgroup.endsWith(`/c${n}`));
  }
  return await watched.stop();
}

kernelTest(
  "under a parent with the same limit, one kill is reported once, with the owner",
  async () => {
    await using parent = makeRealCgroup("pod");
    const child = parent.child("container");
    parent.limit(16 * MIB);
    child.limit(16 * MIB);
    await using watched = await startWatched(["--recursive", parent.path]);
    const { pid } = await allocateUntilKilled(child);
    const kill = await watched.next(killOf(pid));
    const events = await watched.stop();
    assert.equal(kills(events).length, 1);
    assert.equal(kill.cgroup, child.path);
    // Of equal limits either can be hit first; v2 counts the OOM there, more than once while the victim exits.
    const owner = parent.version === 2
      ? (/^oom [1-9]/m.test(parent.read("memory.events.local")) ? parent.path : child.path)
      : kill.limit_owner;
    assert.equal(kill.limit_owner, owner);
    assert.ok([parent.path, child.path].includes(kill.limit_owner), kill.limit_owner);
  },
);

kernelTest("the owner of a parent's limit is the parent, not the child", async () => {
  await using parent = makeRealCgroup("owner");
  const child = parent.child("free");
  parent.limit(16 * MIB);
  await using watched = await startWatched([child.path]);
  const { pid } = await allocateUntilKilled(child);
  const kill = await watched.next(killOf(pid));
  assert.equal(kill.limit_owner, parent.path);
  assert.equal(kill.limit, 16 * MIB);
  assert.equal(kills(await watched.stop()).length, 1);
});

kernelTest("a changed limit is reported", async () => {
  await using cgroup = makeRealCgroup("change");
  cgroup.limit(20 * MIB);
  await using watched = await startWatched([cgroup.path]);
  cgroup.limit(30 * MIB);
  const change = await watched.next(({ type }) => type === "limit_changed");
  assert.equal(change.from, 20 * MIB);
  assert.equal(change.to, 30 * MIB);
});

kernelTest("cgroups created and removed below a recursive target are reported", async () => {
  await using parent = makeRealCgroup("tree");
  await using watched = await startWatched(["--recursive", parent.path]);
  const child = parent.child("late");
  const at = (type: string) => (e: Json) => e.type === type && e.cgroup === child.path;
  await watched.next(at("cgroup_created"));
  await child[Symbol.asyncDispose]();
  await watched.next(at("cgroup_removed"));
});

kernelTest(
  "a threshold is reported when usage is above it at the start, and when it falls below",
  async () => {
    await using cgroup = makeRealCgroup("above");
    await using allocator = await startHungryProcess(cgroup);
    await allocator.feed(12 * MIB);
    await using watched = await startWatched(["--threshold", "8M", cgroup.path]);
    const crossing = (direction: string) => (e: Json) =>
      e.type === "threshold" && e.direction === direction && e.threshold === 8 * MIB;
    await watched.next(crossing("above"));
    await allocator[Symbol.asyncDispose]();
    const below = await watched.next(crossing("below"));
    assert.ok(below.usage < 8 * MIB);
  },
);

kernelTest(
  "with --poll the same kill is reported, and the start-up line names the interval",
  async () => {
    await using cgroup = makeRealCgroup("poll");
    cgroup.limit(10 * MIB);
    await using watched = await startWatched(["--poll", "20ms", cgroup.path]);
    assert.match(watched.stderr, /poll every 20 ms/);
    const { pid } = await allocateUntilKilled(cgroup);
    await watched.next(killOf(pid));
    assert.equal(kills(await watched.stop()).length, 1);
  },
);

anyVersionTest("--until ends the watch, and --fail-on makes it exit with 1", async () => {
  await using cgroup = makeRealCgroup("until");
  cgroup.limit(10 * MIB);
  await using watched = await startWatched(
    ["--until", "oom_kill", "--fail-on", "oom_kill", cgroup.path],
  );
  await allocateUntilKilled(cgroup);
  const { code, events } = await watched.ended();
  assert.equal(code, 1);
  assert.equal(summaryOf(events).type, "summary");
});

kernelTest("of kills during the start of a watch, as many are reported as it counts", async () => {
  await using parent = makeRealCgroup("early");
  const children = Array.from({ length: 40 }, (_, n) => parent.child(`c${n}`));
  for (const child of children) child.limit(4 * MIB);
  let armed = false;
  const killing = (async () => {
    for (let n = 0; !armed; n = (n + 7) % children.length) await allocateUntilKilled(children[n]!);
  })();
  await using watched = await startWatched(["--recursive", parent.path]);
  armed = true;
  await killing;
  const events = await watched.stop();
  const counted = summaryOf(events).cgroups.map(({ oom_kill }: Json) => oom_kill);
  assert.equal(kills(events).length, counted.reduce((sum: number, n: number) => sum + n, 0));
});
