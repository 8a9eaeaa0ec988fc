import assert from "node:assert/strict";
import { openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { makeRealCgroup, whyNoRealCgroup } from "../helpers/real_cgroup.ts";
import { oomkit, runOomkit } from "../helpers/run_oomkit.ts";
import { type Simulated, simulateJson, startSimulation } from "../helpers/simulation.ts";

const ignore = whyNoRealCgroup() !== undefined;
const version = ignore ? undefined : discover().version.number;
const MIB = 1024 ** 2;

function real(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore, fn });
}

const isThere = (path: string) => openCgroup(discover(), path) !== undefined;
const isAlive = (pid: number) => {
  try {
    return !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
};

/** Nothing of a run is left: neither its cgroup nor a process of it. */
function assertGone({ start }: Pick<Simulated, "start">): void {
  assert.equal(isThere(start.cgroup), false, `${start.cgroup} is still there`);
  for (const pid of start.pids) assert.equal(isAlive(pid), false, `${pid} is still alive`);
}

/** Exactly one kill, of the allocator, by the limit of its cgroup, and all witnesses say so. */
function assertOneKill(run: Simulated, limit: number): void {
  const { start, verdict } = run;
  const [pid] = start.pids;
  assert.equal(run.code, 0, run.stderr);
  assert.equal(start.fake, null);
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
  assert.ok(verdict.peak > 0.9 * limit && verdict.peak <= limit, `peak ${verdict.peak}`);
  assertGone(run);
}

real(
  "a 20 MiB limit ends in exactly one kernel kill, of the right pid, and leaves nothing",
  async () => {
    assertOneKill(await simulateJson(["--mb", "20"]), 20 * MIB);
  },
);

real("the allocator fits a limit of 4 MiB, which is less than its runtime takes", async () => {
  const run = await simulateJson(["--mb", "4"]);
  assertOneKill(run, 4 * MIB);
  const touched = Math.max(...run.ofType("step").map(({ allocated }) => allocated));
  assert.ok(touched > 3 * MIB, `only ${touched} bytes were its own`);
});

real("shared memory is killed like anonymous memory", async () => {
  assertOneKill(await simulateJson(["--mb", "8", "--kind", "shmem"]), 8 * MIB);
});

real("a slow allocator is told at both thresholds, in time and in order", async () => {
  const run = await simulateJson(["--mb", "8", "--rate", "4M/s"]);
  assertOneKill(run, 8 * MIB);
  const above = run.ofType("threshold").filter(({ direction }) => direction === "above");
  const thresholds = [...new Set(above.map(({ threshold }) => threshold))];
  assert.deepEqual(thresholds, [Math.floor(0.65 * 8 * MIB), Math.floor(0.9 * 8 * MIB)]);
  const { lasted_ms: lasted, crossings } = run.verdict;
  assert.ok(lasted > 1500 && lasted < 8000, `8 MiB at 4 MiB/s took ${lasted} ms`);
  // v2 has no threshold to notify of, and a poll on an emulated machine comes when it comes.
  const [first, second] = crossings;
  assert.ok(first.left_ms >= second.left_ms);
  if (version === 1) assert.ok(second.left_ms > 0, `told ${-second.left_ms} ms late`);
});

real("three processes die one by one, or as a group where the kernel has groups", async () => {
  const run = await simulateJson(["--mb", "20", "--procs", "3", "--group"]);
  const { start, verdict } = run;
  assert.equal(run.code, 0, run.stderr);
  assert.equal(start.pids.length, 3);
  assert.equal(start.group_kill, version === 2);
  const killed = verdict.processes.filter((process: { oom_killed: boolean }) => process.oom_killed);
  assert.deepEqual([killed.length, verdict.oom_kill_log_lines, verdict.sources_agree], [
    3,
    3,
    true,
  ]);
  const victims = run.ofType("oom_kill").map(({ victim }) => victim.pid);
  assert.deepEqual(victims.toSorted(), start.pids.toSorted());
  if (version === 2) {
    assert.equal(verdict.group_kills, 1);
    assert.equal(run.ofType("oom_group_kill").length, 1);
  } else {
    assert.ok(run.ofType("degraded").some(({ requested }) => requested === "memory.oom.group"));
  }
  assertGone(run);
});

real("who stops at half of the limit survives, and an expectation not met is exit 1", async () => {
  const survives = await simulateJson(["--mb", "20", "--stop-at", "50%", "--expect", "survive"]);
  assert.equal(survives.code, 0);
  assert.equal(survives.verdict.outcome, "survived");
  assert.deepEqual([survives.verdict.oom_kill_count, survives.ofType("oom_kill").length], [0, 0]);
  const last = survives.ofType("step").at(-1);
  assert.ok(last.usage > 8 * MIB && last.usage <= 10 * MIB, `stopped at ${last.usage}`);
  // What its runtime still touches on its way out is charged too, 256 KiB at a time and for each CPU.
  const { peak } = survives.verdict;
  assert.ok(peak >= last.usage && peak < 15 * MIB, `peak ${peak}`);
  assertGone(survives);
  const surprises = await simulateJson(["--mb", "20", "--stop-at", "50%", "--expect", "oom_kill"]);
  assert.equal(surprises.code, 1);
  assert.equal(surprises.verdict.as_expected, false);
});

real("page cache alone is reclaimed and kills nobody", async () => {
  const run = await runOomkit(["simulate", "--mb", "16", "--kind", "file", "--json"]);
  if (run.code === 2) {
    assert.match(run.stderr, /no folder on a disk can be written/);
    return;
  }
  const verdict = JSON.parse(run.stdout.trimEnd().split("\n").at(-1)!);
  assert.deepEqual([verdict.outcome, verdict.oom_kill_count], ["survived", 0]);
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  real(`${signal} ends a run cleanly, with a verdict so far`, async () => {
    await using running = startSimulation(["--mb", "64", "--rate", "4M/s"]);
    await running.next("step");
    running.kill(signal);
    const run = await running.end();
    assert.equal(run.verdict.outcome, "interrupted");
    assert.equal(run.code, 1);
    assert.equal(run.stderr, "");
    assertGone(run);
  });
}

real(
  "what a killed run left behind is removed by the next one, its allocator died with it",
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
    assert.equal(isThere(start.cgroup), true);
    const next = await simulateJson(["--mb", "4"]);
    assert.deepEqual(
      next.ofType("leftover").map(({ cgroup, removed }) => [cgroup, removed]),
      [[start.cgroup, true]],
    );
    assertGone({ start });
    assertGone(next);
  },
);

real("a run that is under way is no leftover to another", async () => {
  // Long enough for an emulated machine to have another run meanwhile.
  await using first = startSimulation(["--mb", "64", "--rate", "1M/s"]);
  const { cgroup, pids } = await first.next("start");
  const second = await simulateJson(["--mb", "4"]);
  assert.deepEqual(second.ofType("leftover"), []);
  assert.ok(isThere(cgroup) && isAlive(pids[0]));
});

real("an allocator that is killed by somebody else was not killed by the kernel", async () => {
  await using running = startSimulation(["--mb", "64", "--rate", "4M/s"]);
  const { pids } = await running.next("start");
  await running.next("allocator_started");
  Deno.kill(pids[0], "SIGKILL");
  const run = await running.end();
  assert.equal(run.code, 1);
  assert.deepEqual([run.verdict.outcome, run.verdict.oom_kill_count], ["user_kill", 0]);
  assert.equal(run.verdict.processes[0].oom_killed, false);
  assertGone(run);
});

real("an allocator that heeds a warning frees, and grows again", async () => {
  await using running = startSimulation(["--mb", "64", "--rate", "40M/s", "--on-signal", "free"]);
  const { pids } = await running.next("start");
  let before = await running.next("step");
  while (before.usage < 12 * MIB) before = await running.next("step");
  Deno.kill(pids[0], "SIGUSR1");
  assert.equal((await running.next("signal")).signal, "SIGUSR1");
  let after = await running.next("step");
  while (after.allocated > before.allocated) after = await running.next("step");
  running.kill("SIGINT");
  const run = await running.end();
  assert.equal(run.code, 0);
  assertGone(run);
});

real("an allocator that ignores a signal dies at the limit, one that exits lives", async () => {
  for (const [reply, outcome] of [["ignore", "oom_kill"], ["exit", "survived"]] as const) {
    await using running = startSimulation(["--mb", "16", "--rate", "40M/s", "--on-signal", reply]);
    const { pids } = await running.next("start");
    await running.next("step");
    Deno.kill(pids[0], "SIGTERM");
    const run = await running.end();
    assert.equal(run.verdict.outcome, outcome);
    assert.deepEqual(run.ofType("signal").map(({ signal }) => signal), ["SIGTERM"]);
    assert.equal(run.code, 0);
  }
});

real("the allocator answers /healthz while it fills, and a port in use is one line", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const busy = await runOomkit(["simulate", "--http", `:${taken.addr.port}`]);
  assert.equal(busy.code, 2);
  assert.equal(
    busy.stderr,
    `oomkit: cannot listen on 127.0.0.1:${taken.addr.port}: the port is in use; ` +
      "choose another port with --http\n",
  );
  taken.close();
  const { port } = taken.addr;
  await using running = startSimulation(["--mb", "64", "--rate", "8M/s", "--http", `:${port}`]);
  await running.next("allocator_started");
  const response = await fetch(`http://127.0.0.1:${port}/healthz`);
  assert.deepEqual([response.status, await response.text()], [200, "ok\n"]);
});

/** CAP_SYS_RESOURCE, which it takes to lower an oom_score_adj. */
const mayShieldItself = () => {
  const effective = /^CapEff:\s*(\w+)/m.exec(Deno.readTextFileSync("/proc/self/status"))![1];
  return (BigInt(`0x${effective}`) & 1n << 24n) !== 0n;
};

/** The words that start what follows them inside of `cgroup`. */
const inside = (cgroup: { readonly dir: string }) => [
  ...["sh", "-c", 'echo 0 > "$1" && shift && exec "$@"', "sh"],
  `${cgroup.dir}/cgroup.procs`,
];

real(
  "here, in a cgroup with a limit, the allocator dies and the program, where it may shield itself, lives to tell",
  async () => {
    await using cgroup = makeRealCgroup("here");
    cgroup.limit(400 * MIB);
    const wrap = inside(cgroup);
    const stops = await simulateJson(["--here", "--stop-at", "70%"], { wrap });
    assert.equal(stops.verdict.outcome, "survived");
    const unshielded = stops.ofType("degraded").filter(({ requested }) =>
      /oom_score/.test(requested)
    );
    assert.equal(unshielded.length, mayShieldItself() ? 0 : 1);
    // The kernel may then take the program as a second victim: what it does is not ours to promise.
    if (!mayShieldItself()) return;
    const run = await simulateJson(["--here", "--rate", "1G/s"], { wrap });
    const { start, verdict } = run;
    assert.equal(run.code, 0, run.stderr);
    assert.deepEqual([start.cgroup, start.limit, start.swap_off], [cgroup.path, 400 * MIB, null]);
    assert.deepEqual([verdict.outcome, verdict.oom_kill_count], ["oom_kill", 1]);
    assert.deepEqual(run.ofType("oom_kill").map(({ victim }) => victim.pid), start.pids);
  },
);

for (const output of ["json", "text"]) {
  real(`a reader of ${output} who goes away leaves nothing behind`, async () => {
    const before = sandboxes();
    const line = `"$@" simulate --mb 64 --rate 16M/s --output ${output} | head -n 1`;
    const command = new Deno.Command("sh", { args: ["-c", line, "sh", ...oomkit()] });
    const { stdout, stderr } = await command.output();
    assert.match(new TextDecoder().decode(stdout), /^(simulate .*|\{.*"type":"start".*\})\n$/);
    assert.equal(new TextDecoder().decode(stderr), "");
    assert.deepEqual(sandboxes(), before);
  });
}

function sandboxes(): string[] {
  const hierarchy = discover();
  const { dir } = openCgroup(hierarchy, hierarchy.own!)!;
  return [...Deno.readDirSync(dir)].map(({ name }) => name).filter((n) => n.startsWith("oomkit-"));
}
