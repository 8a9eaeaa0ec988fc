import assert from "node:assert/strict";
import fc from "fast-check";
import { type Body, type CounterDeltas, makeEvent } from "../../../core/events/event.ts";
import type { AllocatorExit } from "../../../core/simulate/allocator_handle.ts";
import { evaluate, type Evidence } from "../../../core/simulate/evaluate.ts";

const deltas: CounterDeltas = {
  cgroup: "/s",
  container_id: null,
  pod_uid: null,
  max: 3n,
  high: 0n,
  oom: 1n,
  oom_kill: 1n,
  oom_group_kill: 0n,
  victims: 1,
  guard_kills: null,
  guard_victims: [],
  repeated: 0,
  peak: 1000,
  limit: 1000,
  removed: false,
};
const killed: AllocatorExit = { pid: 7, code: 137, signal: "SIGKILL" };
const exited: AllocatorExit = { pid: 7, code: 0, signal: null };

function kill(pid: number | undefined) {
  const victim = pid === undefined ? null : {
    pid,
    comm: "x",
    uid: 0,
    anon_rss: null,
    file_rss: null,
    shmem_rss: null,
    oom_score_adj: null,
  };
  const body: Body = {
    type: "oom_kill",
    victim,
    limit_owner: "/s",
    limit: 1000,
    scope: "cgroup",
    inferred: false,
  };
  return makeEvent(1000, "/s", "kmsg", body);
}

function evidence(changes: Partial<Evidence> = {}): Evidence {
  return {
    expected: "oom_kill",
    isRequested: true,
    fake: false,
    exits: [killed],
    endedEarly: undefined,
    events: [kill(7)],
    deltas,
    hasLog: true,
    limit: 1000,
    limitOwner: "/s",
    firstPageAt: 100,
    lastPageAt: 200,
    ...changes,
  };
}

Deno.test("a kill with matching exit status, counter and log is an OOM kill on which the sources agree", () => {
  const verdict = evaluate(evidence());
  assert.deepEqual(
    [verdict.outcome, verdict.as_expected, verdict.sources_agree, verdict.processes[0]!.oom_killed],
    ["oom_kill", true, true, true],
  );
});

Deno.test("exit status 137 alone is a kill by user space, not an OOM kill", () => {
  const noOomKill = { events: [], deltas: { ...deltas, oom_kill: 0n, victims: 0 } };
  const verdict = evaluate(evidence(noOomKill));
  assert.deepEqual([verdict.outcome, verdict.as_expected], ["user_kill", false]);
  assert.equal(verdict.processes[0]!.oom_killed, false);
  assert.equal(evaluate(evidence({ ...noOomKill, expected: "user_kill" })).as_expected, true);
});

Deno.test("a guard that wins is as expected, unless another outcome was requested", () => {
  const noOomKill = { events: [], deltas: { ...deltas, oom_kill: 0n, victims: 0 } };
  for (const expected of ["oom_kill", "survived"] as const) {
    const asExpected = (isRequested: boolean) =>
      evaluate(evidence({ ...noOomKill, expected, isRequested })).as_expected;
    assert.deepEqual([asExpected(false), asExpected(true)], [true, false], expected);
  }
});

Deno.test("an allocator that exits with an error by itself is a failure", () => {
  const exits = [{ pid: 7, code: 1, signal: null }];
  const noKills = { ...deltas, oom_kill: 0n, victims: 0 };
  assert.equal(evaluate(evidence({ events: [], exits, deltas: noKills })).outcome, "failed");
});

Deno.test("without a counter an OOM kill cannot be ruled out, and a kill is a failure", () => {
  const verdict = evaluate(evidence({ events: [], deltas: undefined }));
  assert.equal(verdict.outcome, "failed");
});

Deno.test("without a log a counted kill is attributed to the process that died of SIGKILL", () => {
  const verdict = evaluate(evidence({ events: [kill(undefined)], hasLog: false }));
  assert.deepEqual([verdict.oom_kill_log_lines, verdict.sources_agree], [null, null]);
  assert.equal(verdict.processes[0]!.oom_killed, true);
});

Deno.test("without log and counter the sender of the signal is unknown", () => {
  const verdict = evaluate(evidence({ events: [], hasLog: false, deltas: undefined }));
  assert.equal(verdict.processes[0]!.oom_killed, null);
});

Deno.test("victims that a group kill counts more than once are no disagreement", () => {
  const exits = [1, 2, 3].map((pid) => ({ ...killed, pid }));
  const events = exits.map(({ pid }) => kill(pid));
  const group = { ...deltas, oom_kill: 5n, oom_group_kill: 1n, repeated: 2 };
  assert.equal(evaluate(evidence({ exits, events, deltas: group })).sources_agree, true);
  assert.equal(
    evaluate(evidence({ exits, events, deltas: { ...group, oom_kill: 6n } })).sources_agree,
    false,
  );
});

Deno.test("a process that exits by itself, or is alive when the time is over, has survived", () => {
  const quiet = { events: [], deltas: { ...deltas, oom_kill: 0n }, expected: "survived" as const };
  assert.equal(evaluate(evidence({ ...quiet, exits: [exited] })).as_expected, true);
  assert.equal(evaluate(evidence({ ...quiet, endedEarly: "timeout" })).as_expected, true);
  assert.equal(evaluate(evidence({ ...quiet, endedEarly: "interrupt" })).as_expected, false);
});

Deno.test("the time left to user space is counted from the alert to the last page, and may be negative", () => {
  const threshold = (at: number, bytes: number) =>
    makeEvent(at, "/s", "eventfd", {
      type: "threshold",
      threshold: bytes,
      direction: "above",
      usage: bytes,
      limit: 1000,
      suppressed: 0,
    });
  const events = [threshold(150, 650), threshold(201.5, 900), threshold(300, 650), kill(7)];
  assert.deepEqual(evaluate(evidence({ events })).thresholds, [
    { threshold: 650, after_start_ms: 50, before_peak_ms: 50 },
    { threshold: 900, after_start_ms: 101.5, before_peak_ms: -1.5 },
  ]);
});

Deno.test("an expectation is met exactly when the outcome matches it", () => {
  const outcomes = fc.record({
    expected: fc.constantFrom("oom_kill" as const, "survived" as const, null),
    endedEarly: fc.constantFrom("interrupt" as const, "timeout" as const, undefined),
    exits: fc.array(fc.constantFrom(killed, exited), { maxLength: 3 }),
    events: fc.constantFrom([], [kill(7)]),
  }, { noNullPrototype: true });
  fc.assert(fc.property(outcomes, (changes) => {
    const counted = { ...deltas, oom_kill: BigInt(changes.events.length) };
    const { outcome, as_expected: met } = evaluate(evidence({ ...changes, deltas: counted }));
    const matching = { oom_kill: ["oom_kill"], survived: ["survived"] };
    const expected = changes.expected === null
      ? outcome !== "failed"
      : matching[changes.expected].includes(outcome);
    assert.equal(met, expected);
  }));
});
