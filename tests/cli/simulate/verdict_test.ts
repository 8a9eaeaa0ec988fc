import assert from "node:assert/strict";
import { verdictText } from "../../../cli/simulate/verdict.ts";
import type { Verdict } from "../../../core/simulate/event.ts";

const killed = { exit_code: 137, signal: "SIGKILL", oom_killed: true } as const;

const verdict: Verdict = {
  type: "verdict",
  outcome: "oom_kill",
  expected: null,
  as_expected: true,
  ended_by: "exit",
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
  duration_ms: null,
  thresholds: [],
  machine: null,
};

function sources(facts: Partial<Verdict>): string {
  const lines = verdictText({ ...verdict, ...facts }, "/s", (_, text) => text);
  return lines.find((line) => line.startsWith("sources"))!.slice("sources".length).trim();
}

Deno.test("a group kill is named as one, with its number of processes", () => {
  assert.equal(
    sources({}),
    "the cgroup's oom_kill counter and the kernel log agree: " +
      "1 group kill (memory.oom.group), 3 processes",
  );
  assert.match(
    sources({ oom_kill_count: 2n, oom_kill_log_lines: 1 }),
    /\(memory.oom.group\), 1 process$/,
  );
  assert.match(sources({ group_kills: 2n }), /2 group kills \(memory.oom.group\), 3 p/);
});

Deno.test("without the log the number of processes of a group is unknown, because one counts twice", () => {
  assert.equal(
    sources({ oom_kill_log_lines: null, sources_agree: null }),
    "the cgroup's oom_kill counter: 1 group kill (memory.oom.group)" +
      "; the kernel log cannot be read",
  );
});

Deno.test("single kills are counted, whether or not the kernel has group kills", () => {
  for (const group_kills of [0n, null]) {
    assert.match(sources({ group_kills, oom_kill_count: 3n }), /agree: 3 kills$/);
    assert.match(
      sources({ group_kills, oom_kill_count: 1n, oom_kill_log_lines: null, sources_agree: null }),
      /counter: 1 kill; the kernel log cannot be read$/,
    );
  }
});

Deno.test("sources that disagree are both quoted", () => {
  assert.equal(
    sources({ sources_agree: false, oom_kill_count: 2n }),
    "the sources disagree: 2 kills by the cgroup's oom_kill counter, 3 kills in the kernel log",
  );
});

Deno.test("the verdict on a machine names what killed, and how the machine fared", () => {
  const machineText = (killed_by: NonNullable<Verdict["machine"]>["killed_by"]) => {
    const machine = { memory: 2 ** 30, swap: 0, available_min: 2 ** 20, longest_pause_ms: 31 };
    const facts = { ...verdict, machine: { ...machine, killed_by } };
    return verdictText(facts, "/s", (_, text) => text)
      .find((line) => line.startsWith("machine"))!.slice("machine".length).trim();
  };
  assert.equal(
    machineText({ kind: "guard", pid: 5, name: "oomkit guard" }),
    "killed by oomkit guard (pid 5); at least 1.0 MiB stayed available; " +
      "the longest pause of a 1 ms ticker was 31.0 ms",
  );
  assert.match(
    machineText({ kind: "other", pid: null, name: null }),
    /^killed by another program;/,
  );
  assert.match(machineText({ kind: "kernel", pid: null, name: null }), /^killed by the kernel;/);
  assert.match(machineText(null), /^nothing was killed;/);
});
