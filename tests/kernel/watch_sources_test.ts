/** `oomkit watch` and what the kernel reports before an OOM, which differs between cgroup v1 and v2. */

import assert from "node:assert/strict";
import { disk, withoutDisk } from "../helpers/disk.ts";
import { makeDirectory } from "../helpers/directory.ts";
import { allocateUntilKilled, kernelTest, killOf, MIB, ofType } from "../helpers/kernel_cases.ts";
import { noMountNamespace, withKernelLog } from "../helpers/kernel_log.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit } from "../helpers/run_oomkit.ts";
import { startWatched } from "../helpers/watched.ts";

/** Allocates without end until it is disposed of. */
function startAllocator(cgroup: RealCgroup): AsyncDisposable {
  const child = new Deno.Command("sh", {
    args: ["-c", 'echo 0 > "$0/cgroup.procs" && exec tail /dev/zero', cgroup.dir],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch { /* it has exited */ }
      await child.status;
    },
  };
}

kernelTest("every pressure level is reported before an OOM", async () => {
  await using cgroup = makeRealCgroup("levels");
  cgroup.limit(24 * MIB);
  await using watched = await startWatched(["--pressure", "low,medium,critical", cgroup.path]);
  const { pid } = await allocateUntilKilled(cgroup);
  await watched.next(killOf(pid));
  // A listener for a level is notified of all levels above it too (kernel, cgroup-v1/memory.rst).
  for (const level of ["low", "medium", "critical"]) {
    const event = await watched.next((e) => e.type === "pressure" && e.level === level);
    assert.equal(event.cgroup, cgroup.path);
    assert.equal(event.source, "eventfd");
    assert.equal(event.kind, null);
  }
  const events = await watched.stop();
  assert.deepEqual(ofType(events, "degraded"), []);
  assert.equal(ofType(events, "oom_kill").length, 1);
}, { only: 1 });

kernelTest("a cgroup full of page cache is reported as low pressure, not as an OOM", async () => {
  await using cgroup = makeRealCgroup("cache");
  cgroup.limit(16 * MIB);
  const file = Deno.makeTempFileSync({ dir: disk!, prefix: "oomkit-test-" });
  try {
    await using watched = await startWatched(["--pressure", "low", cgroup.path]);
    const { success } = await new Deno.Command("sh", {
      args: [
        "-c",
        'echo 0 > "$0/cgroup.procs" && dd if=/dev/zero of="$1" bs=65536 count=768 conv=fsync',
        cgroup.dir,
        file,
      ],
      stdin: "null",
    }).output();
    assert.ok(success);
    const event = await watched.next(({ type }) => type === "pressure");
    assert.equal(event.level, "low");
    const events = await watched.stop();
    assert.deepEqual(ofType(events, "oom"), []);
    assert.deepEqual(ofType(events, "oom_kill"), []);
    assert.ok(ofType(events, "max").length >= 1, "its limit was hit without an OOM");
  } finally {
    Deno.removeSync(file);
  }
}, { only: 1, why: withoutDisk });

kernelTest("reaching memory.high is reported as high, and its stalls as PSI", async () => {
  await using cgroup = makeRealCgroup("high");
  cgroup.write("memory.high", 8 * MIB);
  await using watched = await startWatched(
    ["--psi", "some:5ms/500ms,full:5ms/500ms", cgroup.path],
  );
  await using _allocator = startAllocator(cgroup);
  const high = await watched.next(({ type }) => type === "high");
  assert.equal(high.cgroup, cgroup.path);
  assert.ok(high.count >= 1);
  assert.ok(high.usage > 7 * MIB, `usage ${high.usage}`);
  // One process alone: while it stalls all do.
  for (const kind of ["some", "full"]) {
    const stall = await watched.next((e) => e.type === "pressure" && e.kind === kind);
    assert.equal(stall.source, "psi");
    assert.equal(stall.level, null);
    assert.ok(stall.stalled_us >= 5000, `stalled for ${stall.stalled_us} µs`);
  }
  const events = await watched.stop();
  for (const type of ["degraded", "oom", "oom_kill"]) assert.deepEqual(ofType(events, type), []);
  const [deltas] = events.at(-1).cgroups;
  const reported = ofType(events, "high").reduce((sum, { count }) => sum + count, 0);
  assert.equal(reported, deltas.high, "as many as the kernel counted");
}, { only: 2 });

kernelTest(
  "what the cgroup version lacks is reported once as degraded, and the watch continues",
  async () => {
    await using parent = makeRealCgroup("lack");
    const children = ["a", "b"].map((name) => parent.child(name));
    for (const child of children) child.limit(10 * MIB);
    const [args, reason] = parent.version === 1
      ? [["--psi", "some:150ms/1s,full:50ms/2s"], /v1 .*PSI.*--pressure/]
      : [["--pressure", "low,critical:hierarchy"], /v1 only.*--psi/];
    await using watched = await startWatched([...args, ...children.map(({ path }) => path)]);
    for (const child of children) {
      const { pid } = await allocateUntilKilled(child);
      assert.equal((await watched.next(killOf(pid))).cgroup, child.path);
    }
    const events = await watched.stop();
    const [degraded, ...more] = ofType(events, "degraded");
    assert.deepEqual(more, []);
    assert.equal(degraded.requested, "pressure");
    assert.equal(degraded.fallback, "none");
    assert.match(degraded.reason, reason);
    assert.deepEqual(ofType(events, "pressure"), []);
    assert.equal(ofType(events, "oom_kill").length, 2);
  },
);

kernelTest("with both --pressure and --psi, the available one is reported", async () => {
  await using cgroup = makeRealCgroup("both");
  // A kill alone need not raise PSI: the stalls before it can be too short.
  if (cgroup.version === 1) cgroup.limit(24 * MIB);
  else cgroup.write("memory.high", 8 * MIB);
  const both = ["--pressure", "low", "--psi", "some:5ms/500ms"];
  await using watched = await startWatched([...both, cgroup.path]);
  await using _allocator = startAllocator(cgroup);
  const pressure = await watched.next(({ type }) => type === "pressure");
  assert.equal(pressure.source, cgroup.version === 1 ? "eventfd" : "psi");
  assert.equal(ofType(await watched.stop(), "degraded").length, 1);
});

for (const hasLog of [true, false]) {
  const how = hasLog ? "with its victim" : "at that ancestor, without the kernel log";
  kernelTest(
    `a kill in a leaf without the memory controller, which an ancestor is charged for, is reported ${how}`,
    async () => {
      await using pod = makeRealCgroup("uncharged");
      pod.limit(16 * MIB);
      // Not by `child`, which would enable the controller.
      const [leaf, other] = ["leaf", "other"].map((name) => ({
        path: `${pod.path}/${name}`,
        dir: `${pod.dir}/${name}`,
      }));
      for (const { dir } of [leaf!, other!]) Deno.mkdirSync(dir);
      using directory = makeDirectory();
      const program = hasLog
        ? oomkit()
        : [...withKernelLog(directory.path, "ln -s /dev/null $f"), ...oomkit()];
      await using watched = await startWatched([leaf!.path], program);
      const degraded = ofType(watched.events, "degraded");
      const uncharged = degraded.find(({ requested }) => requested === "memory events");
      assert.equal(uncharged.cgroup, leaf!.path);
      assert.equal(uncharged.fallback, `those of ${pod.path}, which is charged for it`);
      const { pid } = await allocateUntilKilled(leaf!);
      const kill = await watched.next(({ type }) => type === "oom_kill");
      assert.equal(kill.cgroup, hasLog ? leaf!.path : pod.path, Deno.inspect(kill));
      assert.equal(kill.victim?.pid, hasLog ? pid : undefined);
      assert.equal(kill.limit_owner, pod.path);
      // A kill of another cgroup's process is not the leaf's.
      await allocateUntilKilled(other!);
      const kills = ofType(await watched.stop(), "oom_kill");
      assert.equal(kills.filter(({ cgroup }) => cgroup === leaf!.path).length, hasLog ? 1 : 0);
    },
    { only: 2, why: hasLog ? undefined : noMountNamespace },
  );
}
