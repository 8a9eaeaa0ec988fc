import assert from "node:assert/strict";
import { verdictText } from "../../../cli/simulate/verdict.ts";
import type { Verdict } from "../../../core/simulate/event.ts";

const killed = { exit_code: 137, signal: "SIGKILL", oom_killed: true } as const;

const verdict: Verdict = {
  type: "verdict",
  outcome: "oom_kill",
  expected: null,
  as_expected: true,
  ended_by: "itself",
  fake: false,
  processes: [{ pid: 7, ...killed }, { pid: 8, ...killed }, { pid: 9, ...killed }],
  oom_kill_count: 4n,
  oom_kill_log_lines: 3,
  group_kills: 1n,
  sources_agree: true,
  limit: null,
  limit_owner: null,
  peak: null,
  limit_hits: null,
  lasted_ms: null,
  crossings: [],
};

function witnesses(facts: Partial<Verdict>): string {
  const lines = verdictText({ ...verdict, ...facts }, "/s", (_, text) => text);
  return lines.find((line) => line.startsWith("witnesses"))!.slice("witnesses".length).trim();
}

Deno.test("the kill of a whole cgroup is told as that, with the processes that it had", () => {
  assert.equal(
    witnesses({}),
    "the cgroup's oom_kill counter and the kernel log agree: " +
      "the whole cgroup was killed at once (memory.oom.group), 3 processes",
  );
  assert.match(
    witnesses({ oom_kill_count: 2n, oom_kill_log_lines: 1 }),
    /\(memory.oom.group\), 1 process$/,
  );
  assert.match(witnesses({ group_kills: 2n }), /killed at once, 2 times \(memory.oom.group\), 3 p/);
});

Deno.test("without the log nobody can say how many processes a group had, since one counts twice", () => {
  assert.equal(
    witnesses({ oom_kill_log_lines: null, sources_agree: null }),
    "the cgroup's oom_kill counter: the whole cgroup was killed at once (memory.oom.group)" +
      "; the kernel log cannot be read",
  );
});

Deno.test("kills one by one are counted as such, whether or not the kernel knows of groups", () => {
  for (const group_kills of [0n, null]) {
    assert.match(witnesses({ group_kills, oom_kill_count: 3n }), /agree: 3 kills$/);
    assert.match(
      witnesses({ group_kills, oom_kill_count: 1n, oom_kill_log_lines: null, sources_agree: null }),
      /counter: 1 kill; the kernel log cannot be read$/,
    );
  }
});

Deno.test("witnesses that disagree are both quoted", () => {
  assert.equal(
    witnesses({ sources_agree: false, oom_kill_count: 2n }),
    "they disagree: the cgroup's oom_kill counter says 2, the kernel log 3",
  );
});
