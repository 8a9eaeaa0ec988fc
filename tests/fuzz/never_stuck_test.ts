/**
 * The monitor loop over a kernel in which any call of the way to a kill may fail, processes do not exit, move, become another user's,
 * appear and disappear, and the cgroup is frozen. As long as usage is above the level there is a kill or one report of why
 * there is none: never silence, never a report at each poll.
 */

import assert from "node:assert/strict";
import { SIGKILL, SIGTERM } from "../../core/control/kill.ts";
import type { Report } from "../../core/guard/thread/protocol.ts";
import { fc, repeatable } from "./cases.ts";
import {
  type Case,
  CHILD_ID,
  killsIn,
  MAX_RETRY_MS,
  type ProcessCase,
  type Run,
  RUN_MS,
  runCase,
  SCOPE_ID,
} from "./guarded_model.ts";
import {
  CALL_MS,
  CALLS,
  CHILD,
  type Delivered,
  type Faults,
  type Incident,
  KEPT,
  OMITTED,
  SCOPE,
} from "./kernel_calls.ts";

/** Less than 5 s. */
const USUAL_RUNS = 50;
/** Faults end then, so that what follows shows whether the guard recovers. */
const LAST_FAULT_MS = 1000;
/** Within this an excess above the level is followed by a kill or a report: the guard reclaims for at most 1 s, and waits 5 s for an exit. */
const MAX_SILENCE_MS = 5300;
/** The same where usage may be unreadable, for which it waits 2 s. */
const MAX_SILENCE_MS_WITH_FAULTS = 6200;
/** A victim that does not exit is reported after 5 s. */
const MAX_MS_TO_REPORT = 6200;

const place = fc.constantFrom<Pick<ProcessCase, "cgroup" | "protection">>(
  { cgroup: SCOPE, protection: "none" },
  { cgroup: SCOPE, protection: "none" },
  { cgroup: SCOPE, protection: "none" },
  { cgroup: CHILD, protection: "none" },
  { cgroup: SCOPE, protection: "self" },
  { cgroup: CHILD, protection: "self" },
  { cgroup: SCOPE, protection: "immune" },
  { cgroup: KEPT, protection: "exempt" },
  { cgroup: OMITTED, protection: "exempt" },
);
const incident = fc.constantFrom<Incident>("move", "deny", "exit", "kill", "freeze", "thaw");
const processCase = fc.tuple(
  place,
  fc.record({
    share: fc.integer({ min: 1, max: 10 }),
    growth: fc.constantFrom(0, 0, 1, 20, 200, 2000),
    exitMs: fc.constantFrom(0.1, 5, 30, 800, Infinity),
    termMs: fc.constantFrom(1, 20, Infinity),
    canBeReaped: fc.boolean(),
    mayBeSignalled: fc.constantFrom(true, true, true, false),
    onPin: fc.option(incident, { nil: undefined, freq: 4 }),
  }),
).map(([place, rest]): ProcessCase => ({ ...place, ...rest }));

/** Those that hold the guard up come first in the victim order. */
const deniedCase = processCase.map((each): ProcessCase => ({
  ...each,
  cgroup: SCOPE,
  protection: "none",
  share: each.share + 10,
  mayBeSignalled: false,
}));
const stuckCase = processCase.map((each): ProcessCase => ({
  ...each,
  cgroup: SCOPE,
  protection: "none",
  share: each.share + 10,
  exitMs: Infinity,
}));

const KILLABLE: ProcessCase = {
  cgroup: SCOPE,
  protection: "none",
  share: 1,
  growth: 0,
  exitMs: 5,
  termMs: Infinity,
  canBeReaped: false,
  mayBeSignalled: true,
};

const faults: fc.Arbitrary<Faults> = fc.record({
  pattern: fc.constantFrom("fixed", "random"),
  probability: fc.constantFrom(0.02, 0.2, 0.5, 1),
  calls: fc.subarray([...CALLS], { minLength: 1 }),
  from: fc.constantFrom(1, 50, 500),
  until: fc.integer({ min: 100, max: LAST_FAULT_MS }),
  seed: fc.integer(),
});

const anyCase: fc.Arbitrary<Case> = fc.record({
  version: fc.constantFrom(1, 2),
  hasCgroupKill: fc.boolean(),
  hasOomGroup: fc.boolean(),
  hasReclaim: fc.boolean(),
  reclaimable: fc.constantFrom(0, 0.5, 1),
  hasDescriptors: fc.boolean(),
  isHold: fc.boolean(),
  isNested: fc.boolean(),
  action: fc.constantFrom("process", "container"),
  metric: fc.constantFrom("usage", "working-set"),
  graceMs: fc.constantFrom(0, 0, 50),
  exitTimeoutMs: fc.constantFrom(100, 500),
  reclaimFirst: fc.boolean(),
  usage: fc.constantFrom(0.5, 0.9, 0.97, 0.99, 1, 1, 1),
  cache: fc.constantFrom(0, 0, 0.01, 0.3, 0.9),
  processes: fc.oneof(
    { weight: 10, arbitrary: fc.array(processCase, { maxLength: 6 }) },
    {
      weight: 5,
      arbitrary: fc.array(fc.oneof(deniedCase, deniedCase, processCase), { maxLength: 6 }),
    },
    { weight: 4, arbitrary: fc.array(fc.oneof(stuckCase, processCase), { maxLength: 4 }) },
    // More than are pinned at a time.
    {
      weight: 1,
      arbitrary: fc.array(fc.oneof(deniedCase, processCase), { minLength: 17, maxLength: 24 }),
    },
  ),
  newcomers: fc.array(processCase, { maxLength: 3 }),
  incidents: fc.array(
    fc.record({
      at: fc.integer({ min: 1, max: LAST_FAULT_MS }),
      what: fc.oneof(
        incident,
        fc.constantFrom("appear" as const, "appear" as const, "remove" as const),
      ),
      index: fc.nat(5),
    }),
    { maxLength: 5 },
  ),
  // An emulated machine takes 100 times as long.
  callMs: fc.constantFrom(CALL_MS, CALL_MS, 100 * CALL_MS),
  preemption: fc.constantFrom(0, 0, 0.002),
  faults: fc.option(faults, { nil: undefined, freq: 4 }),
});

/** At a limit at which the kernel kills nothing, one process can be killed, after all of the others. */
const lastResort: fc.Arbitrary<Case> = fc.record({
  one: anyCase,
  others: fc.array(fc.oneof(deniedCase, deniedCase, stuckCase), { minLength: 1, maxLength: 4 }),
  many: fc.constantFrom(0, 0, 0, 17),
  until: fc.constantFrom(2, 50, 300),
}).map(({ one, others, many, until }) => ({
  ...one,
  isHold: true,
  // A group or container is killed by the first signal.
  action: "process" as const,
  hasOomGroup: false,
  usage: 1,
  cache: 0,
  newcomers: [],
  incidents: [],
  faults: one.faults && { ...one.faults, until },
  processes: [
    ...others.map((each) => ({ ...each, onPin: each.onPin === "deny" ? each.onPin : undefined })),
    ...Array.from({ length: many }, () => ({ ...KILLABLE, share: 20, mayBeSignalled: false })),
    KILLABLE,
  ],
}));

const ends = ({ signal }: Delivered) => signal === SIGKILL || signal === SIGTERM;

const isOutcome = (id: number, report: Report): boolean =>
  "id" in report && report.id === id && report.type !== "level_reached" &&
  !(report.type === "fallback" && report.affects === "all");

/** While usage is above the level something happens, or is reported. */
function neverSilent(
  id: number,
  { kernel, reports, situations }: Run,
  { faults, exitTimeoutMs, graceMs }: Case,
): void {
  const maxSilence = (faults ? MAX_SILENCE_MS_WITH_FAULTS : MAX_SILENCE_MS) + exitTimeoutMs +
    graceMs;
  const outcomes = [
    ...reports.filter(({ report }) => isOutcome(id, report)).map(({ at }) => at),
    // Each is reported, see below.
    ...kernel.delivered.filter(ends).map(({ at }) => at),
  ].sort((a, b) => a - b);
  for (const { from, until } of situations) {
    if (until - from < maxSilence) continue;
    // Usage may have been above the level before, within a turn.
    const first = outcomes.find((at) => at >= from - MAX_RETRY_MS);
    assert.ok(
      first !== undefined && first - from <= maxSilence,
      `silence: above the level from ${from} to ${until}, and the first outcome is at ${first}`,
    );
  }
}

/** Each signal that was to end a process is reported while it matters, and not only when the guard ends. */
function everySignalIsReported({ kernel, reports }: Run, { exitTimeoutMs, graceMs }: Case): void {
  const kills = killsIn(reports);
  // A container is signalled until it is empty.
  const first = Map.groupBy(
    kernel.delivered.filter(ends),
    ({ process, signal }) => `${process.pid} ${signal}`,
  );
  for (const [{ process: { pid }, signal, at }] of first.values() as Iterable<[Delivered]>) {
    const due = at + MAX_MS_TO_REPORT + exitTimeoutMs + graceMs;
    const isReported = kills.some((kill) =>
      kill.at <= due && (kill.killed_cgroup !== null || (kill.victim?.pid === pid && kill.at >= at))
    );
    assert.ok(isReported || due >= RUN_MS, `signal ${signal} to ${pid} at ${at} is not reported`);
  }
}

/** A reason is reported once, until a process was signalled or usage was below the level. */
function neverRepeated(id: number, { kernel, reports, excesses }: Run): void {
  const failures = killsIn(reports, id).filter(({ outcome, victim }) =>
    outcome === "failed" && victim === null
  );
  const triggers = reports.flatMap(({ at, report }) =>
    report.type === "level_reached" && report.id === id && report.body.level === "imminent"
      ? [at]
      : []
  );
  const changes = [...triggers, ...excesses.map(({ from }) => from)];
  failures.forEach(({ reason, at }, n) => {
    assert.ok(reason, "a failure without its reason");
    const before = failures.slice(0, n).findLast((each) => each.reason === reason)?.at;
    if (before === undefined) return;
    const isNewSituation = changes.some((change) => change > before && change <= at) ||
      kernel.delivered.some((signal) => signal.at >= before && signal.at <= at);
    assert.ok(isNewSituation, `${reason}: at ${before} and again at ${at}`);
  });
}

/** One outcome for each signal to a single process. */
function neverReportedTwice({ kernel, reports }: Run): void {
  const alone = killsIn(reports).filter(({ killed_cgroup: killed, victim, outcome }) =>
    killed === null && victim !== null && (outcome === "killed" || outcome === "survived")
  );
  const groups = Map.groupBy(
    alone,
    ({ victim, signal, outcome }) => `${victim!.pid} ${outcome} ${signal}`,
  );
  for (const [key, { length, 0: first }] of groups) {
    const number = first!.signal === "SIGTERM" ? SIGTERM : SIGKILL;
    const signals = kernel.delivered.filter(({ process, signal }) =>
      process.pid === first!.victim!.pid && signal === number
    );
    assert.ok(length === 1 || length <= signals.length, `${key} ${length} times`);
  }
}

/** A process that could be killed all along is killed, whatever the ones before it do. */
function neverStuck(
  { kernel, reports, excesses }: Run,
  { exitTimeoutMs, graceMs, faults, incidents }: Case,
): void {
  const killable = kernel.world.processes.filter((each) =>
    each.protection === "none" && each.mayBeSignalled && each.killedAt === undefined &&
    each.terminatedAt === undefined && each.left === undefined && each.anon > 0
  );
  const last = excesses.at(-1);
  if (kernel.isFrozen || last === undefined || last.until < RUN_MS) return;
  const from = Math.max(last.from, faults?.until ?? 0, ...incidents.map(({ at }) => at));
  const signalled = new Set(kernel.delivered.filter(ends).map(({ process }) => process));
  const msToWait = (signalled.size + 1) * (exitTimeoutMs + graceMs);
  if (RUN_MS - from < MAX_RETRY_MS + msToWait) return;
  // Usage that does not rise after a kill is no reason for another one.
  const hasKilled = kernel.delivered.some(({ process }) => process.exitedAt !== undefined);
  const isSkipped = reports.some(({ report }) =>
    report.type === "event" && report.body.type === "action_skipped"
  );
  assert.ok(
    killable.length === 0 || hasKilled || isSkipped,
    `${killable.map(({ pid }) => pid)} could be killed since ${from}`,
  );
}

function check(one: Case): Run {
  const run = runCase(one);
  assert.deepEqual(run.kernel.violations, []);
  assert.deepEqual(run.kernel.leaked, []);
  for (const id of one.isNested ? [SCOPE_ID, CHILD_ID] : [SCOPE_ID]) {
    neverSilent(id, run, one);
    neverRepeated(id, run);
  }
  everySignalIsReported(run, one);
  neverReportedTwice(run);
  neverStuck(run, one);
  return run;
}

Deno.test("whatever fails on the way to a kill, it ends in a kill, in one report of why not, or in recovery", () => {
  fc.assert(fc.property(anyCase, (one) => void check(one)), repeatable(USUAL_RUNS));
});

Deno.test("whatever holds the guard up, the one process that can be killed is killed", () => {
  fc.assert(
    fc.property(lastResort, (one) => {
      const { kernel, excesses } = check(one);
      const last = kernel.processes.at(-1)!;
      const hasRecovered = (excesses.at(-1)?.until ?? 0) < RUN_MS;
      assert.ok(hasRecovered || last.killedAt !== undefined, "it was not killed");
    }),
    repeatable(USUAL_RUNS / 2),
  );
});
