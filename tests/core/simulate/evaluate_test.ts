import assert from "node:assert/strict";
import fc from "fast-check";
import { type Body, type CounterDeltas, makeEvent } from "../../../core/events/event.ts";
import type { Exit } from "../../../core/simulate/allocator.ts";
import { evaluate, type Evidence } from "../../../core/simulate/evaluate.ts";

const tally: CounterDeltas = {
  cgroup: "/s",
  container_id: null,
  pod_uid: null,
  max: 3n,
  high: 0n,
  oom: 1n,
  oom_kill: 1n,
  oom_group_kill: 0n,
  victims: 1,
  repeated: 0,
  peak: 1000,
  limit: 1000,
  removed: false,
};
const killed: Exit = { pid: 7, code: 137, signal: "SIGKILL" };
const left: Exit = { pid: 7, code: 0, signal: null };

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

function testify(changes: Partial<Evidence> = {}): Evidence {
  return {
    expected: "oom_kill",
    fake: false,
    exits: [killed],
    cut: undefined,
    events: [kill(7)],
    tally,
    hasLog: true,
    limit: 1000,
    limitOwner: "/s",
    began: 100,
    last: 200,
    ...changes,
  };
}

Deno.test("a kill that exit status, counter and log tell alike is agreed upon", () => {
  const verdict = evaluate(testify());
  assert.deepEqual(
    [verdict.outcome, verdict.as_expected, verdict.sources_agree, verdict.processes[0]!.oom_killed],
    ["oom_kill", true, true, true],
  );
});

Deno.test("status 137 alone is no OOM: somebody in user space was faster", () => {
  const nobody = { events: [], tally: { ...tally, oom_kill: 0n, victims: 0 } };
  const verdict = evaluate(testify(nobody));
  assert.deepEqual([verdict.outcome, verdict.as_expected], ["user_kill", false]);
  assert.equal(verdict.processes[0]!.oom_killed, false);
  assert.equal(evaluate(testify({ ...nobody, expected: "user_kill" })).as_expected, true);
});

Deno.test("an allocator that ends in failure by itself was killed by nobody", () => {
  const exits = [{ pid: 7, code: 1, signal: null }];
  const tallied = { ...tally, oom_kill: 0n, victims: 0 };
  assert.equal(evaluate(testify({ events: [], exits, tally: tallied })).outcome, "failed");
});

Deno.test("without a counter nobody can tell that the kernel was not it", () => {
  const verdict = evaluate(testify({ events: [], tally: undefined }));
  assert.equal(verdict.outcome, "failed");
});

Deno.test("without a log the counter convicts who died of SIGKILL", () => {
  const verdict = evaluate(testify({ events: [kill(undefined)], hasLog: false }));
  assert.deepEqual([verdict.oom_kill_log_lines, verdict.sources_agree], [null, null]);
  assert.equal(verdict.processes[0]!.oom_killed, true);
});

Deno.test("without log and counter nobody can say who sent the signal", () => {
  const verdict = evaluate(testify({ events: [], hasLog: false, tally: undefined }));
  assert.equal(verdict.processes[0]!.oom_killed, null);
});

Deno.test("what a group kill counts and logs more than once is no disagreement", () => {
  const exits = [1, 2, 3].map((pid) => ({ ...killed, pid }));
  const events = exits.map(({ pid }) => kill(pid));
  const group = { ...tally, oom_kill: 5n, oom_group_kill: 1n, repeated: 2 };
  assert.equal(evaluate(testify({ exits, events, tally: group })).sources_agree, true);
  assert.equal(
    evaluate(testify({ exits, events, tally: { ...group, oom_kill: 6n } })).sources_agree,
    false,
  );
});

Deno.test("who lives, by itself or until the time is over, has survived", () => {
  const quiet = { events: [], tally: { ...tally, oom_kill: 0n }, expected: "survive" as const };
  assert.equal(evaluate(testify({ ...quiet, exits: [left] })).as_expected, true);
  assert.equal(evaluate(testify({ ...quiet, cut: "time" })).as_expected, true);
  assert.equal(evaluate(testify({ ...quiet, cut: "interrupt" })).as_expected, false);
});

Deno.test("what user space had to act is counted from the telling to the last page, also when that is negative", () => {
  const threshold = (at: number, bytes: number) =>
    makeEvent(at, "/s", "eventfd", {
      type: "threshold",
      threshold: bytes,
      direction: "above",
      usage: bytes,
      limit: 1000,
    });
  const events = [threshold(150, 650), threshold(201.5, 900), threshold(300, 650), kill(7)];
  assert.deepEqual(evaluate(testify({ events })).crossings, [
    { threshold: 650, after_ms: 50, left_ms: 50 },
    { threshold: 900, after_ms: 101.5, left_ms: -1.5 },
  ]);
});

Deno.test("an expectation is met exactly when the outcome is its own", () => {
  const outcomes = fc.record({
    expected: fc.constantFrom("oom_kill" as const, "survive" as const, null),
    cut: fc.constantFrom("interrupt" as const, "time" as const, undefined),
    exits: fc.array(fc.constantFrom(killed, left), { maxLength: 3 }),
    events: fc.constantFrom([], [kill(7)]),
  }, { noNullPrototype: true });
  fc.assert(fc.property(outcomes, (changes) => {
    const kills = { ...tally, oom_kill: BigInt(changes.events.length) };
    const { outcome, as_expected: met } = evaluate(testify({ ...changes, tally: kills }));
    const requested = { oom_kill: ["oom_kill"], survive: ["survived"] };
    const right = changes.expected === null
      ? outcome !== "failed"
      : requested[changes.expected].includes(outcome);
    assert.equal(met, right);
  }));
});
