import assert from "node:assert/strict";
import { openCgroup } from "../../../../core/cgroup/cgroup.ts";
import { tryReadText } from "../../../../core/cgroup/files.ts";
import { discover } from "../../../../core/cgroup/hierarchy.ts";
import {
  type GuardPolicy,
  policyOfMachine,
  resolvePolicy,
  singlePolicy,
} from "../../../../core/guard/policy.ts";
import { pressureOf, type PressureState } from "../../../../core/guard/thread/cgroup_state.ts";
import { machineIntervalFor } from "../../../../core/guard/thread/machine_state.ts";
import { limitOf } from "../../../../core/guard/targets.ts";
import { MonitorLoop } from "../../../../core/guard/thread/loop.ts";
import {
  flatten,
  type GuardSettings,
  type Report,
} from "../../../../core/guard/thread/protocol.ts";
import type { Essential } from "../../../../core/policy/victims.ts";
import { WARM_UP_POLICY } from "../../../../core/guard/thread/warmup.ts";
import { levelBytesIn } from "../../../../core/policy/levels.ts";
import { libc } from "../../../../core/kernel/libc.ts";
import { delay, withDeadline } from "../../../../core/timing.ts";
import { until } from "../../../helpers/guarded.ts";
import { idleEpoll } from "../../../helpers/guarded_tree.ts";
import { meminfoOf, type MeminfoRows } from "../../../helpers/meminfo.ts";
import { type Files, makeTree } from "../../../helpers/trees.ts";
import {
  hasStarted,
  isRunning,
  startWaitingProcesses,
} from "../../../helpers/waiting_processes.ts";

// Loaded once for all tests.
libc();

/** As the default: 65 %, 90 %, and the margin of the machine. */
const LEVELS = { warn: 65, critical: 90, margin: {} };
const NEARLY_FULL = { MemAvailable: 100, Cached: 200 };

const linesOf = (pids: readonly number[]) => pids.map((pid) => `${pid}\n`).join("");

interface GuardedMachine extends Disposable {
  /** Replaces the figures; MiB. */
  become(rows: MeminfoRows, arcstats?: string): void;
  unloadZfs(): void;
  /** Processes have waited for memory for so long since boot; milliseconds. */
  stall(total: number): void;
  /** Some polls. @returns the reports of them. */
  poll(): Report[];
}

/** A dry run over a tree and files of this test. @param pids in the cgroup /svc. @param rows MiB. */
function guardMachine(
  pids: readonly number[],
  rows: MeminfoRows,
  part: Partial<GuardPolicy> = {},
  essentials: readonly Essential[] = [],
  rootFiles: Files = {},
  files: Files = {},
): GuardedMachine {
  using stack = new DisposableStack();
  const svc = { ...files, "cgroup.procs": linesOf(pids) };
  const tree = stack.use(makeTree(2, { "/": rootFiles, "/svc": svc }));
  const machine = {
    meminfo: `${tree.dir}/meminfo`,
    arcstats: `${tree.dir}/arcstats`,
    pressure: `${tree.dir}/pressure`,
    lruGen: `${tree.dir}/lru_gen`,
  };
  const become = (rows: MeminfoRows, arcstats?: string) => {
    Deno.writeTextFileSync(machine.meminfo, meminfoOf(rows));
    if (arcstats !== undefined) Deno.writeTextFileSync(machine.arcstats, arcstats);
  };
  const stall = (total: number) => {
    const line = `avg10=0.00 avg60=0.00 avg300=0.00 total=${1000 * total}\n`;
    Deno.writeTextFileSync(machine.pressure, `some ${line}full ${line}`);
  };
  become(rows, "");
  stall(0);
  const cgroup = { ...openCgroup(discover(tree.dir), "/")!, machine };
  const policy = policyOfMachine({ ...WARM_UP_POLICY, levels: LEVELS, ...part }, essentials);
  const found = limitOf(cgroup, true, false)!;
  const reports: Report[] = [];
  const loop = new MonitorLoop(singlePolicy(policy), idleEpoll, (report) => reports.push(report));
  stack.defer(() => loop.close());
  const root = flatten(cgroup);
  loop.add({
    id: 1,
    policy: 0,
    mode: "notify",
    eventfds: [],
    limit: found.limit,
    oomTotalBytes: found.oomTotalBytes,
    canSwap: found.canSwap,
    levelBytes: levelBytesIn(policy, found.limit, "notify")!,
    limitOwner: root,
    scope: root,
  });
  const kept = stack.move();
  return {
    become,
    unloadZfs: () => Deno.removeSync(machine.arcstats),
    stall,
    poll() {
      reports.length = 0;
      for (let poll = 0; poll < 4; poll++) {
        // Makes it due.
        loop.updateSettings(1, {});
        loop.runOnce();
      }
      return [...reports];
    },
    [Symbol.dispose]: () => kept.dispose(),
  };
}

const killsIn = (reports: readonly Report[]) =>
  reports.flatMap((report) => report.type === "kill" ? [report.kill] : []);
const levelsIn = (reports: readonly Report[]) =>
  reports.flatMap((report) => report.type === "level_reached" ? [report.body.level] : []);

Deno.test("a machine with less available memory than the margin has a process killed", async () => {
  await using processes = startWaitingProcesses();
  using guarded = guardMachine(processes.pids, NEARLY_FULL);
  const kills = killsIn(guarded.poll());
  assert.equal(kills[0]?.outcome, "dry_run");
  assert.ok(processes.pids.some((pid) => pid === kills[0]?.victim?.pid));
  assert.equal(kills[0]?.victim?.cgroup, "/svc");
});

const NEVER: Readonly<Record<string, readonly [rows: MeminfoRows, arcstats?: string]>> = {
  "full of page cache": [{ MemFree: 100, MemAvailable: 14_000, Cached: 15_000 }],
  "with half of its memory in huge pages": [{ MemAvailable: 4000, MemFree: 1000, Hugetlb: 8000 }],
  "with half of its memory in slab that cannot be reclaimed": [
    { MemAvailable: 5000, MemFree: 500, SUnreclaim: 8000 },
  ],
  "with its memory in the cache of ZFS": [
    { MemAvailable: 100, MemFree: 100, SUnreclaim: 14_000, Cached: 100 },
    `c_min 4 ${2 ** 30}\nsize 4 ${13 * 2 ** 30}\n`,
  ],
  "with figures of a container and of the machine": [{ MemTotal: 1000, MemAvailable: 12_000 }],
};

for (const [what, [rows, arcstats]] of Object.entries(NEVER)) {
  Deno.test(`nothing is killed on a machine ${what}`, async () => {
    await using processes = startWaitingProcesses();
    using guarded = guardMachine(processes.pids, {});
    guarded.become(rows, arcstats);
    assert.deepEqual(killsIn(guarded.poll()), []);
    guarded.become(NEARLY_FULL, "");
    assert.equal(killsIn(guarded.poll()).length, 1, "the test could fail");
  });
}

Deno.test("the cache of ZFS counts as available also where the module is loaded later", async () => {
  await using processes = startWaitingProcesses();
  using guarded = guardMachine(processes.pids, {});
  guarded.unloadZfs();
  assert.deepEqual(killsIn(guarded.poll()), []);
  guarded.become(...NEVER["with its memory in the cache of ZFS"]!);
  assert.deepEqual(killsIn(guarded.poll()), []);
});

Deno.test("huge pages that are set up while the machine is guarded reach no level", () => {
  using guarded = guardMachine([], {});
  guarded.become({ MemAvailable: 4000, Hugetlb: 8000 });
  assert.deepEqual(levelsIn(guarded.poll()), []);
  guarded.become({ MemAvailable: 700, Hugetlb: 8000 });
  assert.deepEqual(levelsIn(guarded.poll()), ["critical"], "90 % of what is left");
});

Deno.test("while swap has room for anonymous memory nothing is killed, and then something is", async () => {
  await using processes = startWaitingProcesses();
  const swapping = { ...NEARLY_FULL, SwapTotal: 8000, "Inactive(anon)": 14_000 };
  using guarded = guardMachine(processes.pids, { ...swapping, SwapFree: 4000 });
  const reports = guarded.poll();
  assert.deepEqual(killsIn(reports), []);
  assert.match(JSON.stringify(reports), /"action_skipped".*"reason":"swap"/);
});

Deno.test("memory that its cgroup may not swap has no room in the machine's swap", async () => {
  await using processes = startWaitingProcesses();
  const swapping = {
    ...NEARLY_FULL,
    SwapTotal: 8000,
    SwapFree: 7000,
    "Inactive(anon)": 14_000,
  };
  const killsWith = (files: Files) => {
    using guarded = guardMachine(processes.pids, swapping, {}, [], {}, files);
    return killsIn(guarded.poll()).length;
  };
  const stat = `anon ${14_900 * 2 ** 20}\nshmem 0\ninactive_file 0\nactive_file 0\n`;
  assert.equal(killsWith({ "memory.stat": stat }), 0);
  assert.equal(killsWith({ "memory.stat": stat, "memory.swap.max": 8000 * 2 ** 20 }), 0);
  assert.equal(killsWith({ "memory.stat": stat, "memory.swap.max": 0 }), 1);
});

Deno.test("swappiness 0 keeps the machine from swapping only with the multi-generational LRU", async () => {
  await using processes = startWaitingProcesses();
  const swapping = {
    ...NEARLY_FULL,
    SwapTotal: 8000,
    SwapFree: 4000,
    "Inactive(anon)": 14_000,
  };
  const killsWith = (lruGen: string) => {
    const files = { "memory.swappiness": 0, lru_gen: lruGen };
    using guarded = guardMachine(processes.pids, swapping, {}, [], files);
    return killsIn(guarded.poll()).length;
  };
  assert.equal(killsWith("0x0000\n"), 0);
  assert.equal(killsWith("0x0006\n"), 0, "the main switch is off");
  assert.equal(killsWith("0x0007\n"), 1);
});

Deno.test("an essential program is not killed, however large it is", async () => {
  await using processes = startWaitingProcesses();
  for (const pid of processes.pids) await until("it has a command line", hasStarted(pid));
  using guarded = guardMachine(processes.pids, NEARLY_FULL, {}, [{
    name: "cat",
    expression: /^(.*\/)?cat$/,
  }]);
  const [kill] = killsIn(guarded.poll());
  assert.equal(kill?.outcome, "failed");
  assert.equal(kill?.victim, null);
  assert.deepEqual(kill?.candidates.map(({ preference }) => preference), ["excluded", "excluded"]);
});

const UNDER_PRESSURE: Partial<GuardPolicy> = {
  pressure: { kind: "full", share: 0.1, window: 1 },
  actions: { warn: [], critical: [{ kind: "process" }], imminent: [] },
};

Deno.test("with --psi the critical level kills only when processes have waited for memory", async () => {
  await using processes = startWaitingProcesses();
  using guarded = guardMachine(processes.pids, { MemAvailable: 1400 }, UNDER_PRESSURE);
  await delay(2);
  assert.deepEqual(killsIn(guarded.poll()), []);
  await delay(2);
  guarded.stall(60_000);
  const [kill] = killsIn(guarded.poll());
  assert.equal(kill?.level, "critical");
  assert.equal(kill?.outcome, "dry_run");
});

Deno.test("with --psi the imminent level kills without pressure", async () => {
  await using processes = startWaitingProcesses();
  const imminent = { ...UNDER_PRESSURE.actions!, imminent: [{ kind: "process" }] } as const;
  const policy = { ...UNDER_PRESSURE, actions: imminent };
  using guarded = guardMachine(processes.pids, NEARLY_FULL, policy);
  assert.equal(killsIn(guarded.poll())[0]?.level, "imminent");
});

Deno.test("the end of the pressure is not reported as a recovery of usage", async () => {
  const swapping = { MemAvailable: 1400, SwapTotal: 8000, SwapFree: 7000, "Inactive(anon)": 9000 };
  using guarded = guardMachine([], swapping, { ...UNDER_PRESSURE, dryRun: false });
  guarded.poll();
  await delay(2);
  guarded.stall(60_000);
  const reasons: (string | undefined)[] = [];
  // Until the pressure is over.
  for (const _ of [1, 2, 3]) {
    const skipped = guarded.poll().flatMap((report) =>
      report.type === "event" ? [report.body] : []
    );
    reasons.push(
      ...skipped.map((body) => body.type === "action_skipped" ? body.reason : body.type),
    );
    await delay(2);
  }
  assert.deepEqual(reasons, ["swap"]);
});

// process_mrelease runs on another thread.
const killing = { sanitizeOps: false };

Deno.test(
  "with --psi a process that ignores SIGTERM is sent SIGKILL after its grace period",
  killing,
  async () => {
    const child = new Deno.Command("sh", { args: ["-c", "trap '' TERM; exec sleep 600"] }).spawn();
    try {
      const ignores = () =>
        /^SigIgn:.*[4-7c-f]...$/m.test(tryReadText(`/proc/${child.pid}/status`)!);
      await until("it ignores SIGTERM", () => ignores() && hasStarted(child.pid)());
      const killSettings = { ...WARM_UP_POLICY.killSettings, graceMs: 5 };
      const policy = { ...UNDER_PRESSURE, dryRun: false, killSettings };
      using guarded = guardMachine([child.pid], { MemAvailable: 1400 }, policy);
      assert.deepEqual(killsIn(guarded.poll()), []);
      await delay(2);
      guarded.stall(60_000);
      let kill: ReturnType<typeof killsIn>[number] | undefined;
      await until("the grace period is over", () => {
        kill ??= killsIn(guarded.poll())[0];
        return kill !== undefined;
      });
      assert.deepEqual([kill!.signal, kill!.outcome], ["SIGTERM", "survived"]);
      const ended = await withDeadline(5000, child.status, () => undefined);
      assert.equal(ended?.signal, "SIGKILL");
    } finally {
      if (isRunning(child.pid)) child.kill("SIGKILL");
      await child.status;
    }
  },
);

Deno.test("a level that waits for pressure is polled for the pressure, and the imminent one for usage", () => {
  const levels = { warn: 1, critical: 90, margin: {} };
  const actions = { warn: [{ kind: "process" }], critical: [], imminent: [] } as const;
  const pressure = { kind: "full", share: 0.1, window: 10_000 } as const;
  const limit = 16 * 2 ** 30;
  const ofMachine = policyOfMachine({ ...WARM_UP_POLICY, levels, actions, pressure }, []);
  const policy = resolvePolicy(ofMachine);
  const settings = { levelBytes: levelBytesIn(policy, limit, "notify")! } as GuardSettings;
  const intervalAt = (usage: number, part: Partial<PressureState>) =>
    machineIntervalFor({ policy, settings, pressure: { ...pressureOf(policy)!, ...part } }, usage);
  assert.equal(intervalAt(limit / 2, {}), 500);
  assert.equal(intervalAt(limit, {}), 10, "at the imminent level");
  assert.equal(intervalAt(limit / 2, { isReached: true }), 10);
});

Deno.test("with --swap 90% swap makes room until nine tenths of it are used", async () => {
  await using processes = startWaitingProcesses();
  const swapping = { ...NEARLY_FULL, SwapTotal: 8000, "Inactive(anon)": 14_000 };
  const killSettings = { ...WARM_UP_POLICY.killSettings, swapUsedLimit: 0.9 };
  using guarded = guardMachine(processes.pids, { ...swapping, SwapFree: 2800 }, { killSettings });
  assert.deepEqual(killsIn(guarded.poll()), []);
  guarded.become({ ...swapping, SwapFree: 700 });
  // A reading of swap counts for 5 ms.
  await delay(6);
  assert.equal(killsIn(guarded.poll()).length, 1);
});
