/** `oomkit simulate`: what the kernel does to an allocator. How a run ends otherwise: simulate_end_test.ts. */

import assert from "node:assert/strict";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { countsGroupKills, keepsPeak, kernelTest, MIB } from "../helpers/kernel_cases.ts";
import { makeRealCgroup, whyNoRealCgroup } from "../helpers/real_cgroup.ts";
import { runOomkit } from "../helpers/run_oomkit.ts";
import {
  assertGone,
  exists,
  isAlive,
  type Simulated,
  simulateJson,
  startSimulation,
} from "../helpers/simulation.ts";

const version = whyNoRealCgroup() === undefined ? discover().version.number : undefined;

/** Exactly one kill, of the allocator, by the limit of its cgroup, in all sources. */
function assertOneKill(run: Simulated, limit: number): void {
  const { start, verdict } = run;
  const [pid] = start.pids;
  assert.equal(run.code, 0, run.stderr);
  assert.equal(start.fake_reason, null);
  assert.equal(start.hierarchy, version);
  assert.equal(start.limit, limit);
  assert.equal(verdict.outcome, "oom_kill");
  assert.deepEqual(verdict.processes, [
    { pid, exit_code: 137, signal: "SIGKILL", oom_killed: true },
  ]);
  assert.deepEqual([verdict.oom_kill_count, verdict.oom_kill_log_lines, verdict.sources_agree], [
    1,
    1,
    true,
  ]);
  const kills = run.ofType("oom_kill");
  assert.deepEqual(kills.map(({ victim }) => [victim.pid, victim.comm]), [[pid, "oomkit-alloc"]]);
  assert.equal(kills[0].limit_owner, start.cgroup);
  assert.equal(kills[0].limit, limit);
  assert.ok(run.ofType("oom").length >= 1);
  if (keepsPeak) {
    assert.ok(verdict.peak > 0.9 * limit && verdict.peak <= limit, `peak ${verdict.peak}`);
  } else assert.equal(verdict.peak, null);
  assertGone(run);
}

kernelTest(
  "a 20 MiB limit ends in exactly one OOM kill, of the right pid, and leaves nothing behind",
  async () => {
    assertOneKill(await simulateJson(["--mb", "20"]), 20 * MIB);
  },
);

kernelTest(
  "the allocator fits a limit of 4 MiB, which is less than its runtime needs",
  async () => {
    const run = await simulateJson(["--mb", "4"]);
    assertOneKill(run, 4 * MIB);
    const touched = Math.max(...run.ofType("step").map(({ allocated }) => allocated));
    assert.ok(touched > 3 * MIB, `the allocator touched only ${touched} bytes`);
  },
);

kernelTest("shared memory is killed like anonymous memory", async () => {
  assertOneKill(await simulateJson(["--mb", "8", "--kind", "shmem"]), 8 * MIB);
});

kernelTest("both thresholds alert before a slow allocator is killed, in order", async () => {
  const run = await simulateJson(["--mb", "8", "--rate", "4M/s"]);
  assertOneKill(run, 8 * MIB);
  const above = run.ofType("threshold").filter(({ direction }) => direction === "above");
  const thresholds = [...new Set(above.map(({ threshold }) => threshold))];
  assert.deepEqual(thresholds, [Math.floor(0.65 * 8 * MIB), Math.floor(0.9 * 8 * MIB)]);
  const { duration_ms: duration, thresholds: reached } = run.verdict;
  assert.ok(duration > 1500 && duration < 8000, `8 MiB at 4 MiB/s took ${duration} ms`);
  // v2 has no threshold notification, and on an emulated machine a poll may be late.
  const [first, second] = reached;
  assert.ok(first.before_peak_ms >= second.before_peak_ms);
  if (version === 1) assert.ok(second.before_peak_ms > 0, `${-second.before_peak_ms} ms late`);
});

kernelTest(
  "three processes are killed one by one, or as a group where the kernel supports it",
  async () => {
    const run = await simulateJson(["--mb", "20", "--procs", "3", "--group"]);
    const { start, verdict } = run;
    assert.equal(run.code, 0, run.stderr);
    assert.equal(start.pids.length, 3);
    assert.equal(start.group_kill, version === 2);
    const killed = verdict.processes.filter((process: { oom_killed: boolean }) =>
      process.oom_killed
    );
    assert.deepEqual([killed.length, verdict.oom_kill_log_lines, verdict.sources_agree], [
      3,
      3,
      true,
    ]);
    const victims = run.ofType("oom_kill").map(({ victim }) => victim.pid);
    assert.deepEqual(victims.toSorted(), start.pids.toSorted());
    if (version === 2) {
      assert.equal(verdict.group_kills, countsGroupKills ? 1 : null);
      assert.equal(run.ofType("oom_group_kill").length, countsGroupKills ? 1 : 0);
    } else {
      assert.ok(run.ofType("degraded").some(({ requested }) => requested === "memory.oom.group"));
    }
    assertGone(run);
  },
);

kernelTest(
  "an allocator that stops at half of the limit survives, and an unmet expectation is exit 1",
  async () => {
    const survivor = await simulateJson(["--mb", "20", "--stop-at", "50%", "--expect", "survived"]);
    assert.equal(survivor.code, 0);
    assert.equal(survivor.verdict.outcome, "survived");
    assert.deepEqual([survivor.verdict.oom_kill_count, survivor.ofType("oom_kill").length], [0, 0]);
    const last = survivor.ofType("step").at(-1);
    assert.ok(last.usage > 8 * MIB && last.usage <= 10 * MIB, `stopped at ${last.usage}`);
    // What the runtime touches while it exits is charged too, 256 KiB at a time and for each CPU.
    const { peak } = survivor.verdict;
    if (keepsPeak) assert.ok(peak >= last.usage && peak < 15 * MIB, `peak ${peak}`);
    else assert.equal(peak, null);
    assertGone(survivor);
    const unexpected = await simulateJson([
      "--mb",
      "20",
      "--stop-at",
      "50%",
      "--expect",
      "oom_kill",
    ]);
    assert.equal(unexpected.code, 1);
    assert.equal(unexpected.verdict.as_expected, false);
  },
);

kernelTest("page cache alone is reclaimed, and nothing is killed", async () => {
  const run = await runOomkit(["simulate", "--mb", "16", "--kind", "file", "--json"]);
  if (run.code === 2) {
    assert.match(run.stderr, /no directory on a disk is writable/);
    return;
  }
  const verdict = JSON.parse(run.stdout.trimEnd().split("\n").at(-1)!);
  assert.deepEqual([verdict.outcome, verdict.oom_kill_count], ["survived", 0]);
});

kernelTest(
  "the allocator of a killed run dies with it, and the next run removes its cgroup",
  async () => {
    const running = startSimulation(["--mb", "64", "--rate", "4M/s"]);
    let start;
    {
      await using killed = running;
      start = await killed.next("start");
      await killed.next("allocator_started");
      killed.kill("SIGKILL");
      await killed.status;
    }
    assert.equal(exists(start.cgroup), true);
    const next = await simulateJson(["--mb", "4"]);
    assert.deepEqual(
      next.ofType("stale_cgroup").map(({ cgroup, removed }) => [cgroup, removed]),
      [[start.cgroup, true]],
    );
    assertGone({ start });
    assertGone(next);
  },
);

kernelTest("the cgroup of a running simulation is not stale for another one", async () => {
  // Long enough for another run on an emulated machine.
  await using first = startSimulation(["--mb", "64", "--rate", "1M/s"]);
  const { cgroup, pids } = await first.next("start");
  const second = await simulateJson(["--mb", "4"]);
  assert.deepEqual(second.ofType("stale_cgroup"), []);
  assert.ok(exists(cgroup) && isAlive(pids[0]));
});

/** CAP_SYS_RESOURCE, which lowering an oom_score_adj needs. */
const mayLowerOomScoreAdj = () => {
  const effective = /^CapEff:\s*(\w+)/m.exec(Deno.readTextFileSync("/proc/self/status"))![1];
  return (BigInt(`0x${effective}`) & 1n << 24n) !== 0n;
};

/** The words that start a program inside a cgroup. */
const inside = (cgroup: { readonly dir: string }) => [
  ...["sh", "-c", 'echo 0 > "$1" && shift && exec "$@"', "sh"],
  `${cgroup.dir}/cgroup.procs`,
];

kernelTest(
  "with --here, in a cgroup with a limit, the allocator is killed and oomkit survives if it may lower its oom_score_adj",
  async () => {
    await using cgroup = makeRealCgroup("here");
    cgroup.limit(400 * MIB);
    const wrap = inside(cgroup);
    const stopped = await simulateJson(["--here", "--stop-at", "70%"], { wrap });
    assert.equal(stopped.verdict.outcome, "survived");
    const degraded = stopped.ofType("degraded").filter(({ requested }) =>
      /oom_score/.test(requested)
    );
    assert.equal(degraded.length, mayLowerOomScoreAdj() ? 0 : 1);
    // Otherwise the kernel may kill oomkit as a second victim.
    if (!mayLowerOomScoreAdj()) return;
    const run = await simulateJson(["--here", "--rate", "1G/s"], { wrap });
    const { start, verdict } = run;
    assert.equal(run.code, 0, run.stderr);
    assert.deepEqual([start.cgroup, start.limit, start.swap_off], [cgroup.path, 400 * MIB, null]);
    assert.deepEqual([verdict.outcome, verdict.oom_kill_count], ["oom_kill", 1]);
    assert.deepEqual(run.ofType("oom_kill").map(({ victim }) => victim.pid), start.pids);
  },
);
