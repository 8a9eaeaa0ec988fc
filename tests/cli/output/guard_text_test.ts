import assert from "node:assert/strict";
import { eventFacts, eventText } from "../../../cli/output/event_text.ts";
import { candidateText } from "../../../cli/guard/explain.ts";
import type { Style } from "../../../cli/terminal/style.ts";
import {
  type ActionBody,
  type Body,
  type CandidateJson,
  makeEvent,
} from "../../../core/events/event.ts";

const MIB = 1024 ** 2;
const plain: Style = (_, text) => text;
const at = new Date(2026, 10, 21, 9, 5, 7, 42).getTime();
const facts = (body: Body) => eventFacts(makeEvent(at, "/a", "none", body));

const victim: CandidateJson = {
  pid: 4242,
  comm: "java",
  cmdline: ["java", "-jar", "x.jar"],
  cgroup: "/a/b",
  rss: 60 * MIB,
  oom_score_adj: 0,
  badness: 61 * MIB,
  preference: "none",
  preference_reason: null,
};

const action: ActionBody = {
  type: "action",
  action: "process",
  level: "imminent",
  mode: "notify",
  dry_run: false,
  signal: "SIGKILL",
  victim,
  killed_cgroup: null,
  candidates: [victim],
  usage_before: 62.7 * MIB,
  usage_after: 2.7 * MIB,
  limit: 64 * MIB,
  level_bytes: 62.7 * MIB,
  outcome: "killed",
  reason: null,
  count: null,
  freed: 60 * MIB,
  signal_ms: 0.12,
  exit_ms: 3.4,
  freed_ms: 3.51,
};

const nobody = {
  victim: null,
  candidates: [],
  signal: null,
  usage_after: null,
  freed: null,
  signal_ms: null,
  exit_ms: null,
  freed_ms: null,
};

const guarding: Body = {
  type: "guard_armed",
  rule: null,
  limit: 64 * MIB,
  limit_owner: "/a",
  warn: 41.6 * MIB,
  critical: 57.6 * MIB,
  imminent: 62.7 * MIB,
  metric: "usage",
  mode: "notify",
  actions: { warn: ["signal:SIGUSR1", "reclaim"], critical: [], imminent: ["exec:echo\n\x1b[2J"] },
  dry_run: false,
};

Deno.test("what is guarded is one line with limit, mode, and what is done from where on", () => {
  assert.equal(
    facts(guarding),
    "limit 64.0 MiB, notify: warn 41.6 MiB signal:SIGUSR1 reclaim, critical 57.6 MiB noop, " +
      "imminent 62.7 MiB exec:echo\\x0a\\x1b[2J",
  );
});

Deno.test("a limit of somebody else's names him, and a dry run says so", () => {
  const line = facts({ ...guarding, limit_owner: "/", dry_run: true });
  assert.match(line, /^limit 64\.0 MiB of \/, notify, dry run: warn/);
  assert.doesNotMatch(facts({ ...guarding, limit_owner: null }), / of /);
});

const level: Body = {
  type: "level_reached",
  level: "warn",
  usage: 50 * MIB,
  metric_value: 42 * MIB,
  metric: "usage",
  level_bytes: 41.6 * MIB,
  limit: 64 * MIB,
  rate: 3 * MIB,
};

Deno.test("a level says how much there is, of what, and how fast it grows", () => {
  const line = "warn: usage 42.0 MiB (65.6% of 64.0 MiB), rising by 3.0 MiB/s";
  assert.equal(facts(level), line);
  const calm = "critical: working set 42.0 MiB (65.6% of 64.0 MiB)";
  for (const rate of [null, 0, -3 * MIB]) {
    assert.equal(facts({ ...level, level: "critical", metric: "working-set", rate }), calm);
  }
});

Deno.test("a kill names its victim, what it freed, and how long each step took", () => {
  assert.equal(
    facts(action),
    "pid 4242 (java) ended by SIGKILL at 62.7 MiB of 64.0 MiB: struck after 0.1 ms, " +
      "dead after 3.4 ms, 60.0 MiB free after 3.5 ms",
  );
  assert.match(
    facts({ ...action, action: "container", killed_cgroup: "/a/b" }),
    /^pid 4242 \(java\) and all of \/a\/b ended by SIGKILL/,
  );
});

Deno.test("what was not done, did not work, or only would have been done, does not read like a kill", () => {
  const cases: [Partial<ActionBody>, string][] = [
    [{ outcome: "dry_run" }, "pid 4242 (java) would be ended by SIGKILL at 62.7 MiB of 64.0 MiB"],
    [
      { outcome: "survived", signal: "SIGTERM", reason: "did not exit within the grace period" },
      "pid 4242 (java) lives in spite of SIGTERM at 62.7 MiB of 64.0 MiB: " +
      "did not exit within the grace period",
    ],
    [
      { ...nobody, outcome: "failed", reason: "no process in the cgroup may be killed" },
      "no process could be ended at 62.7 MiB of 64.0 MiB: no process in the cgroup may be killed",
    ],
  ];
  for (const [more, line] of cases) assert.equal(facts({ ...action, ...more }), line);
});

Deno.test("signals, reclaim and hooks say what became of them", () => {
  const done = { ...action, ...nobody, level: "warn" as const };
  const signal = { ...done, action: "signal" as const, signal: "SIGUSR1" };
  const reclaim = { ...done, action: "reclaim" as const };
  const hook = { ...done, action: "exec" as const };
  const cases: [ActionBody, string][] = [
    [{ ...signal, outcome: "signalled", count: 1 }, "SIGUSR1 at warn sent to 1 process"],
    [{ ...signal, outcome: "dry_run", count: 2 }, "SIGUSR1 at warn would go to 2 processes"],
    [{ ...signal, outcome: "failed", count: 0, reason: "x" }, "SIGUSR1 at warn was not sent: x"],
    [
      { ...reclaim, outcome: "reclaimed", freed: 3 * MIB, freed_ms: 20 },
      "reclaim at warn: 3.0 MiB given back in 20.0 ms",
    ],
    [{ ...reclaim, outcome: "dry_run" }, "reclaim at warn would be asked for"],
    [{ ...reclaim, outcome: "failed", reason: "x" }, "reclaim at warn failed: x"],
    [{ ...hook, outcome: "ok" }, "hook at warn ran"],
    [
      { ...hook, outcome: "failed", reason: "it exited with 3" },
      "hook at warn failed: it exited with 3",
    ],
    [{ ...hook, outcome: "dry_run", reason: "notify-me" }, "hook at warn would run: notify-me"],
  ];
  for (const [body, line] of cases) assert.equal(facts(body), line);
});

Deno.test("what is let go says why", () => {
  const skip = {
    type: "action_skipped",
    level: "imminent",
    usage: 63 * MIB,
    reclaimable: 40 * MIB,
    limit: 64 * MIB,
    level_bytes: 62.7 * MIB,
  } as const;
  const recovered = facts({ ...skip, reason: "recovered", usage: 20 * MIB });
  assert.equal(recovered, "let go: usage 20.0 MiB is below 62.7 MiB again");
  const cache = "let go: the kernel can take back 40.0 MiB of 63.0 MiB by itself";
  assert.equal(facts({ ...skip, reason: "reclaimable_cache" }), cache);
});

Deno.test("what was put back says what it is now, or why not", () => {
  const high = { type: "restored", file: "memory.high", set: "4096", before: "max" } as const;
  const cases = [
    ["restored", null, "memory.high is max again"],
    ["gone", null, "memory.high: the cgroup is gone"],
    ["left", null, "memory.high: somebody has changed it since, so it stays"],
    ["failed", "busy", "memory.high could not be set to max again: busy"],
  ] as const;
  for (const [outcome, reason, line] of cases) {
    assert.equal(facts({ ...high, outcome, reason }), line);
  }
});

Deno.test("no name of a process, a cgroup or a command can break a line", () => {
  const bad = "x\n\x1b[31m";
  const process = { ...victim, comm: bad, cmdline: [bad], preference_reason: bad };
  const bodies: Body[] = [
    { ...action, victim: process, killed_cgroup: `/${bad}`, reason: bad },
    { ...action, action: "exec", outcome: "failed", reason: bad },
    { ...guarding, limit_owner: `/${bad}` },
    { type: "restored", file: bad, set: bad, before: bad, outcome: "failed", reason: bad },
  ];
  const lines = bodies.map((body) => eventText(makeEvent(at, `/${bad}`, "none", body), plain));
  lines.push(candidateText(process, 0));
  // deno-lint-ignore no-control-regex
  for (const line of lines) assert.doesNotMatch(line, /[\x00-\x1f\x7f]/);
});

Deno.test("a candidate is a line with its rank and the values that decide", () => {
  const line = " 1  pid 4242 (java)  badness 61.0 MiB, rss 60.0 MiB  java -jar x.jar";
  assert.equal(candidateText(victim, 0), line);
  const preferred = {
    preference: "prefer",
    preference_reason: "--prefer java",
    oom_score_adj: -500,
  } as const;
  assert.equal(
    candidateText({ ...victim, ...preferred, cmdline: [], rss: null }, 11),
    "12  pid 4242 (java)  badness 61.0 MiB, rss –, oom_score_adj -500, prefer, " +
      "--prefer java  java",
  );
  const spared = { preference: "excluded", preference_reason: "oom_score_adj is -1000" } as const;
  const left = candidateText({ ...victim, ...spared }, 2);
  assert.ok(left.startsWith(" –  pid 4242 (java)  excluded, rss 60.0 MiB, oom_score_adj is"), left);
});

Deno.test("a long command line is cut", () => {
  const line = candidateText({ ...victim, cmdline: ["x".repeat(5000)] }, 0);
  assert.ok(line.endsWith(`${"x".repeat(59)}…`) && line.length < 150, line);
});
