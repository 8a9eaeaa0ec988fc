/** Kills that fail, one at a time: cases that the property in tests/fuzz/never_stuck_test.ts found, reduced. */

import assert from "node:assert/strict";
import { openCgroup } from "../../../../core/cgroup/cgroup.ts";
import {
  type KnownProcesses,
  NOTHING_KNOWN,
  selectVictims,
} from "../../../../core/guard/thread/victim_selection.ts";
import { WARM_UP_POLICY } from "../../../../core/guard/thread/warmup.ts";
import {
  type Case,
  FIRST_NEWCOMER,
  killsIn,
  LIMIT,
  modelOf,
  type PostedKill,
  type ProcessCase,
  runCase,
} from "../../../fuzz/guarded_model.ts";
import {
  CALL_MS,
  CHILD,
  type Faults,
  FIRST_PID,
  KEPT,
  OMITTED,
  SCOPE,
} from "../../../fuzz/kernel_calls.ts";

const ALLOCATOR: ProcessCase = {
  cgroup: SCOPE,
  protection: "none",
  share: 1,
  growth: 0,
  exitMs: 5,
  termMs: 1,
  canBeReaped: false,
  mayBeSignalled: true,
};
/** In an uninterruptible sleep. */
const STUCK: ProcessCase = { ...ALLOCATOR, exitMs: Infinity, termMs: Infinity };
/** Of another user. */
const DENIED: ProcessCase = { ...ALLOCATOR, mayBeSignalled: false };

/** At the limit, where the kernel kills nothing. */
const FULL: Case = {
  version: 2,
  hasCgroupKill: false,
  hasOomGroup: false,
  hasReclaim: false,
  reclaimable: 0,
  hasDescriptors: true,
  isHold: true,
  isNested: false,
  action: "process",
  metric: "usage",
  graceMs: 0,
  exitTimeoutMs: 100,
  reclaimFirst: false,
  usage: 1,
  cache: 0,
  processes: [ALLOCATOR],
  newcomers: [],
  incidents: [],
  callMs: CALL_MS,
  preemption: 0,
  faults: undefined,
};

/** @param seed of the errno. */
const failing = (calls: Faults["calls"], seed: number): Faults => ({
  pattern: "fixed",
  probability: 1,
  calls,
  from: 1,
  until: Infinity,
  seed,
});

const outcomeOf = ({ outcome, victim, signal, reason }: PostedKill) =>
  [outcome, victim?.pid, signal, reason] as const;

/** Runs a case, in which no signal may be wrong and no descriptor may stay open. */
function run(part: Partial<Case>) {
  const { kernel, reports } = runCase({ ...FULL, ...part });
  assert.deepEqual(kernel.violations, []);
  assert.deepEqual(kernel.leaked, []);
  const types = new Set(reports.map(({ report }) => report.type));
  const killed = new Set(
    kernel.delivered.filter(({ signal }) => signal === 9).map(({ process }) => process.pid),
  );
  return { kills: killsIn(reports), outcomes: killsIn(reports).map(outcomeOf), types, killed };
}

function selecting(cases: readonly ProcessCase[], version: Case["version"] = FULL.version) {
  const kernel = modelOf({ ...FULL, version, processes: cases });
  const limitOwner = openCgroup(kernel.hierarchy, SCOPE)!;
  const select = (known: KnownProcesses) => {
    const selection = selectVictims(limitOwner, {
      policy: WARM_UP_POLICY,
      isExcluded: () => false,
      limitOwner,
      oomTotalBytes: LIMIT,
      outOfTime: () => false,
      usage: () => 0,
      signalled: new Set(),
      known,
    })!;
    selection.close();
    return selection;
  };
  return { kernel, select };
}

const EPERM = "pidfd_send_signal: EPERM (it takes the same user, or CAP_KILL)";

Deno.test("a cgroup that may not be accessed is neither taken for removed nor the end of the thread", () => {
  const { types } = run({ faults: failing(["read", "stat"], 1) });
  assert.ok(!types.has("gone"));
  assert.ok(types.has("fallback"));
});

Deno.test("a process that does not exit is reported once, and that no other one may be killed", () => {
  const { outcomes } = run({ processes: [STUCK] });
  assert.deepEqual(outcomes, [
    ["survived", FIRST_PID, "SIGKILL", "has not exited 5000 ms after SIGKILL"],
    [
      "failed",
      undefined,
      "SIGKILL",
      `pid ${FIRST_PID} (p${FIRST_PID}): it has not exited since SIGKILL, and no other process may be killed`,
    ],
  ]);
});

Deno.test("what was killed beside a process that does not exit is reported before that exits", () => {
  const { kills } = run({
    processes: [{ ...STUCK, share: 3 }, { ...ALLOCATOR, exitMs: 200 }, STUCK],
  });
  const killed = kills.find(({ outcome }) => outcome === "killed");
  assert.equal(killed?.victim?.pid, FIRST_PID + 1);
  assert.ok(killed.at < 2000, String(killed.at));
});

Deno.test("a victim of SIGKILL is not killed again after the grace period of a kill that found no other", () => {
  const { outcomes } = run({ processes: [STUCK], graceMs: 50 });
  assert.deepEqual(outcomes.map(([outcome, , signal]) => [outcome, signal]), [
    ["survived", "SIGTERM"],
    ["survived", "SIGKILL"],
    ["failed", "SIGTERM"],
  ]);
});

Deno.test("a victim of SIGTERM that leaves its cgroup is given up, and the next process is killed", () => {
  const { outcomes } = run({
    graceMs: 50,
    exitTimeoutMs: 500,
    processes: [{ ...STUCK, share: 2, growth: 1 }, { ...ALLOCATOR, growth: 1 }],
    usage: 0.98,
    incidents: [{ at: 30, what: "move", index: 0 }],
  });
  assert.deepEqual(outcomes.map(([outcome, pid]) => [outcome, pid]), [
    ["survived", FIRST_PID],
    ["killed", FIRST_PID + 1],
  ]);
  assert.match(String(outcomes[0]?.[3]), /SIGKILL: has left its cgroup$/);
});

Deno.test("a container is killed although some of its processes may not be signalled", () => {
  const large = { ...DENIED, share: 3 };
  const { outcomes, killed } = run({ action: "container", processes: [large, ALLOCATOR] });
  assert.deepEqual([...killed], [FIRST_PID + 1]);
  assert.deepEqual(outcomes.slice(0, 1), [["survived", FIRST_PID, "SIGKILL", EPERM]]);
});

Deno.test("reasons that alternate are reported once each", () => {
  const { outcomes } = run({
    version: 1,
    hasDescriptors: false,
    processes: [DENIED],
    faults: {
      pattern: "random",
      probability: 0.2,
      calls: ["open"],
      from: 1,
      until: Infinity,
      seed: 1,
    },
  });
  const reasons = outcomes.map(([, , , reason]) => reason);
  assert.ok(reasons.length > 1);
  assert.equal(new Set(reasons).size, reasons.length);
});

Deno.test("however many processes may not be signalled, the next one is killed", () => {
  const many = Array.from({ length: 40 }, () => ({ ...DENIED, share: 2 }));
  const { killed } = run({ processes: [...many, ALLOCATOR] });
  assert.deepEqual([...killed], [FIRST_PID + 40]);
});

Deno.test("a process is killed although each selection takes longer than its observation may be old", () => {
  const three = [ALLOCATOR, ALLOCATOR, ALLOCATOR];
  const { kills } = run({ callMs: 2000 * CALL_MS, processes: three });
  assert.equal(kills[0]?.outcome, "killed");
  assert.ok(kills[0].at < 1000, String(kills[0].at));
});

Deno.test("where the allocator is slowed down, there is time to find the process that the kernel would kill", () => {
  const processes = [{ ...ALLOCATOR, share: 0.1 }, { ...ALLOCATOR, share: 0.9, growth: 1600 }];
  const { kills } = run({ isHold: false, isThrottled: true, usage: 0.988, processes });
  assert.equal(kills[0]?.victim?.pid, FIRST_PID + 1);
});

Deno.test("of a process that frees its memory it is known how much that was", () => {
  const { kernel, select } = selecting([{ ...ALLOCATOR, share: 2, exitMs: 50 }, ALLOCATOR]);
  using _ = kernel;
  const before = select(NOTHING_KNOWN);
  assert.equal(before.exiting, undefined);
  kernel.processes[0]!.killedAt = kernel.world.now;
  kernel.pass(10);
  const rss = before.known.rssByPid.get(FIRST_PID);
  assert.deepEqual(select(before.known).exiting, {
    pid: FIRST_PID,
    rss,
    isFreeing: true,
    isOutside: false,
  });
});

Deno.test("of a process that was first seen while it frees its memory, that is what no other process in its cgroup has", () => {
  for (const version of [1, 2] as const) {
    const freeing = { ...ALLOCATOR, share: 2, exitMs: 50 };
    const { kernel, select } = selecting([freeing, ALLOCATOR, ALLOCATOR], version);
    using _ = kernel;
    const [first] = kernel.processes;
    first!.killedAt = kernel.world.now;
    kernel.pass(10);
    const { exiting } = select(NOTHING_KNOWN);
    assert.equal(exiting?.isFreeing, true);
    // The resident memory of each process is in KiB.
    assert.ok(Math.abs(exiting.rss! - first!.anon) <= 2 * 1024, `${exiting.rss} ${first!.anon}`);
  }
});

Deno.test("the reason says why processes could not be pinned", () => {
  const { outcomes } = run({
    usage: 0.9,
    processes: [{ ...ALLOCATOR, growth: 20 }],
    faults: failing(["pidfd_open"], 1),
  });
  assert.equal(outcomes.length, 1);
  assert.match(String(outcomes[0]?.[3]), /^pidfd_open \d+: E[A-Z]+$/);
});

Deno.test("a directory with an unreadable inode is closed", () => {
  run({ usage: 0.9, processes: [{ ...ALLOCATOR, growth: 20 }], faults: failing(["stat"], 1) });
});

for (const hasCgroupKill of [true, false]) {
  const by = hasCgroupKill ? "cgroup.kill" : "single signals";
  Deno.test(`what appears in an exempt cgroup is not killed with the container, by ${by}`, () => {
    const exempt = { ...ALLOCATOR, cgroup: KEPT, protection: "exempt" as const };
    const { killed } = run({
      hasCgroupKill,
      action: "container",
      processes: [{ ...STUCK, growth: 0 }],
      newcomers: [exempt, ALLOCATOR],
      incidents: [{ at: 40, what: "appear", index: 0 }, { at: 80, what: "appear", index: 1 }],
    });
    assert.deepEqual([...killed], [FIRST_PID, FIRST_NEWCOMER + 1]);
  });

  Deno.test(`what appears with oom_score_adj -1000 is not killed with the group, by ${by}`, () => {
    const { killed } = run({
      hasCgroupKill,
      hasOomGroup: true,
      processes: [{ ...STUCK, growth: 0 }],
      newcomers: [{ ...ALLOCATOR, protection: "immune" }, ALLOCATOR],
      incidents: [{ at: 40, what: "appear", index: 0 }, { at: 80, what: "appear", index: 1 }],
    });
    assert.deepEqual([...killed], [FIRST_PID, FIRST_NEWCOMER + 1]);
  });

  Deno.test(`an exempt cgroup is not killed with the container when it cannot be listed, by ${by}`, () => {
    const exempt = { ...ALLOCATOR, cgroup: KEPT, protection: "self" as const };
    const { killed } = run({
      hasCgroupKill,
      action: "container",
      processes: [ALLOCATOR, exempt],
      faults: failing(["list"], 1),
    });
    assert.ok(!killed.has(FIRST_PID + 1));
  });
}

Deno.test("a cgroup that may have oomd_omit is not killed while that cannot be read", () => {
  const omitted = { ...ALLOCATOR, cgroup: OMITTED, protection: "exempt" as const, share: 3 };
  for (let seed = 1; seed <= 20; seed++) {
    const { outcomes } = run({
      usage: 0.9,
      processes: [omitted, { ...ALLOCATOR, growth: 20 }],
      faults: failing(["xattr"], seed),
    });
    assert.ok(outcomes.length > 0);
  }
});

Deno.test("a process that does not exit in one guarded cgroup does not keep others from being killed", () => {
  const { outcomes } = run({
    isNested: true,
    processes: [{ ...STUCK, cgroup: CHILD, share: 3 }, ALLOCATOR],
  });
  assert.ok(outcomes.some(([outcome, pid]) => outcome === "killed" && pid === FIRST_PID + 1));
});
