import { candidateText } from "../../../cli/output/candidate_text.ts";
import {
  cgroupName,
  eventFacts,
  eventLogLine,
  eventText,
  shortEventType,
  withMessage,
} from "../../../cli/output/event_text.ts";
import type { Style } from "../../../cli/terminal/palette.ts";
import { type Body, EVENT_TYPES, type KillBody, makeEvent } from "../../../core/events/event.ts";
import { actionFields, candidate, killBody } from "../../helpers/guard_events.ts";
import assert from "node:assert/strict";
import fc from "fast-check";

const plain: Style = (_, text) => text;
const at = new Date(2026, 10, 21, 9, 5, 7, 42).getTime();
const line = (body: Body, cgroup = "/a/oomkit-sim-42-7") =>
  eventText(makeEvent(at, cgroup, "eventfd", body), plain);

const kill: Body = {
  type: "oom_kill",
  victim: {
    pid: 4242,
    comm: "oomkit",
    uid: 0,
    anon_rss: 19 * 1024 ** 2,
    file_rss: 0,
    shmem_rss: 0,
    oom_score_adj: 0,
  },
  limit_owner: "/a",
  limit: 20 * 1024 ** 2,
  scope: "cgroup",
  inferred: false,
};

Deno.test("an event is one line with local time, type, cgroup, facts and source", () => {
  assert.equal(
    line(kill),
    "09:05:07.042  oom_kill        /a/oomkit-sim-42-7          " +
      "  pid 4242 (oomkit) killed at the limit of /a (20.0 MiB), anon 19.0 MiB  [eventfd]",
  );
});

Deno.test("in a log an event is one line with RFC 3339 time in UTC and the whole path", () => {
  const path = `/kubepods/burstable/pod1/${"0123456789abcdef".repeat(4)}`;
  const event = makeEvent(Date.UTC(2026, 10, 21, 9, 5, 7, 42), path, "eventfd", kill);
  assert.equal(
    eventLogLine(event, plain),
    `2026-11-21T09:05:07.042000Z  oom_kill        ${path}` +
      "  pid 4242 (oomkit) killed at the limit of /a (20.0 MiB), anon 19.0 MiB  [eventfd]",
  );
});

Deno.test("the message of an event is what its line in a log says after the cgroup", () => {
  const path = `/a/${"b".repeat(60)}`;
  const event = makeEvent(at, path, "none", {
    type: "summary",
    seconds: 1,
    watched_cgroups: 1,
    guard_kills: null,
    cgroups: [{
      cgroup: path,
      container_id: null,
      pod_uid: null,
      max: null,
      high: null,
      oom: null,
      oom_kill: 1n,
      oom_group_kill: null,
      victims: 1,
      guard_kills: null,
      guard_victims: [],
      repeated: 0,
      peak: null,
      limit: null,
      removed: false,
    }],
    degraded: [],
  });
  const { message } = withMessage(event);
  assert.equal(message, `${path}, watched for 1.0 s, oom_kill 1, 1 victim`);
  assert.ok(eventLogLine(event, plain).endsWith(message!));
});

Deno.test("a threshold states its share of the limit", () => {
  const body: Body = {
    type: "threshold",
    threshold: 13 * 1024 ** 2,
    direction: "above",
    usage: 13.5 * 1024 ** 2,
    limit: 20 * 1024 ** 2,
    suppressed: 0,
  };
  assert.match(line(body), /usage 13\.5 MiB rose above 13\.0 MiB \(65\.0% of 20\.0 MiB\)(?!,)/);
  assert.match(line({ ...body, suppressed: 61 }), /MiB\), after 61 unreported crossings/);
});

Deno.test("a kill that is only known from a counter names no victim", () => {
  const body: Body = { ...kill, victim: null, limit_owner: null, limit: null, scope: null };
  assert.equal(
    eventFacts(makeEvent(at, "/a", "poll", body)),
    "unknown process killed",
  );
});

Deno.test("unknown sizes are a dash or left out, and never a zero", () => {
  const body: Body = { type: "max", count: 3n, usage: null };
  const removed: Body = { type: "cgroup_removed" };
  assert.match(line(removed), /cgroup removed/);
  const crossing: Body = {
    type: "threshold",
    threshold: 1024,
    direction: "above",
    usage: null,
    limit: null,
    suppressed: 0,
  };
  assert.match(line(crossing), /usage – rose above 1\.0 KiB/);
  assert.match(line(body), /limit hit 3 times, the kernel reclaims(?!, usage)/);
});

Deno.test("usage that was read after the event is called usage now, and left out where it is unknown", () => {
  const v1 = { level: "critical", kind: null, stalled_us: null, count: 1n } as const;
  const psi = { level: null, kind: "some", stalled_us: 150_000n, count: 1n } as const;
  const texts: [Omit<Body & { usage: number | null }, "usage">, string][] = [
    [{ type: "max", count: 3n } as Body & { usage: null }, "the kernel reclaims"],
    [{ type: "high", count: 1n } as Body & { usage: null }, "allocators throttled at memory.high"],
    [
      { type: "pressure", ...v1 } as Body & { usage: null },
      "critical: out of memory is near, or reached",
    ],
    [{ type: "pressure", ...psi } as Body & { usage: null }, "some stalled 150 ms for memory"],
  ];
  for (const [body, text] of texts) {
    const facts = (usage: number | null) =>
      eventFacts(makeEvent(at, "/a", "poll", { ...body, usage } as Body));
    assert.ok(facts(40_960).endsWith(`${text}, usage now 40.0 KiB`), facts(40_960));
    assert.ok(facts(null).endsWith(text), facts(null));
  }
});

Deno.test("a summary counts all watched cgroups, not only those with events", () => {
  const entry = {
    cgroup: "/a",
    container_id: null,
    pod_uid: null,
    max: 2n,
    high: null,
    oom: 1n,
    oom_kill: 1n,
    oom_group_kill: null,
    victims: 1,
    guard_kills: null,
    guard_victims: [],
    repeated: 0,
    peak: 1024,
    limit: null,
    removed: false,
  };
  const facts = (watched_cgroups: number, cgroups: readonly (typeof entry)[]) =>
    eventFacts(makeEvent(at, "/", "none", {
      type: "summary",
      seconds: 4,
      watched_cgroups,
      guard_kills: null,
      cgroups,
      degraded: [],
    }));
  const counts = "watched for 4.0 s, oom_kill 1, oom 1, max 2, 1 victim";
  assert.equal(facts(1, [entry]), `/a, ${counts}, peak 1.0 KiB`);
  assert.equal(facts(8, [entry]), `8 cgroups, ${counts}`);
  assert.match(
    facts(8, [entry, entry]),
    /^8 cgroups, watched for 4\.0 s, oom_kill 2, .*2 victims$/,
  );
  assert.equal(facts(0, []), "0 cgroups, watched for 4.0 s, 0 victims");
});

Deno.test("the summary of a guard says what the guard and the kernel have killed, and where", () => {
  const deltas = (cgroup: string, guard_kills: number, guard_victims: string[], victims = 0) => ({
    cgroup,
    container_id: null,
    pod_uid: null,
    max: null,
    high: null,
    oom: null,
    oom_kill: null,
    oom_group_kill: null,
    victims,
    guard_kills,
    guard_victims,
    repeated: 0,
    peak: null,
    limit: null,
    removed: false,
  });
  const facts = (...cgroups: ReturnType<typeof deltas>[]) =>
    eventFacts(makeEvent(at, "/", "none", {
      type: "summary",
      seconds: 4,
      watched_cgroups: 8,
      guard_kills: cgroups.reduce((sum, { guard_kills }) => sum + guard_kills, 0),
      cgroups,
      degraded: [],
    })).replace("8 cgroups, watched for 4.0 s, ", "");
  assert.equal(facts(), "guard killed 0; kernel killed 0");
  assert.equal(facts(deltas("/a", 0, [], 3)), "guard killed 0; kernel killed 3");
  assert.equal(
    facts(deltas("/a", 2, ["python3"])),
    "guard killed 2 (python3 in /a); kernel killed 0",
  );
  assert.equal(
    facts(deltas("/a", 1, []), deltas("/b", 2, ["java", "x y"], 1)),
    "guard killed 3 (java, x y in /b; in /a); kernel killed 1",
  );
  assert.match(
    facts(...["/a", "/b", "/c", "/d", "/e"].map((path) => deltas(path, 1, ["sh"]))),
    /^guard killed 5 \(sh in \/a; sh in \/b; sh in \/c; and 2 more cgroups\)/,
  );
});

Deno.test("a container id is shortened to twelve digits as in its runtime", () => {
  const id = "0123456789ab".padEnd(64, "c");
  assert.equal(
    cgroupName(`/system.slice/docker-${id}.scope`),
    "…/docker-0123456789ab.scope",
  );
});

Deno.test("any cgroup name fits into the column and has no control characters", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), (name) => {
    const shown = cgroupName(`/${name}`);
    assert.ok(shown.length <= 28, shown);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(shown, /[\x00-\x1f\x7f]/);
  }));
});

Deno.test("a process name cannot break the line or colour the terminal", () => {
  const body: Body = { ...kill, victim: { ...kill.victim!, comm: "x\n\x1b[31m" } };
  assert.ok(line(body).includes("(x\\x0a\\x1b[31m)"));
});

const MIB = 1024 ** 2;
const facts = (body: Body) => eventFacts(makeEvent(at, "/a", "none", body));

const armed: Body = {
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

Deno.test("guard_armed is one line with limit, mode, and each level with its actions", () => {
  assert.equal(
    facts(armed),
    "limit 64.0 MiB, notify: warn 41.6 MiB signal:SIGUSR1 reclaim, critical 57.6 MiB noop, " +
      "imminent 62.7 MiB exec:echo\\x0a\\x1b[2J",
  );
});

Deno.test("guard_armed names the ancestor that sets the limit, and a dry run", () => {
  const line = facts({ ...armed, limit_owner: "/", dry_run: true });
  assert.match(line, /^limit 64\.0 MiB of \/, notify, dry run: warn/);
  assert.match(facts({ ...armed, limit_owner: null }), /^limit \S+ \S+ of the machine, /);
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

Deno.test("level_reached states usage, limit and growth", () => {
  const line = "warn: usage 42.0 MiB (65.6% of 64.0 MiB), rising by 3.0 MiB/s";
  assert.equal(facts(level), line);
  const withoutGrowth = "critical: working set 42.0 MiB (65.6% of 64.0 MiB)";
  for (const rate of [null, 0, -3 * MIB]) {
    assert.equal(
      facts({ ...level, level: "critical", metric: "working-set", rate }),
      withoutGrowth,
    );
  }
});

Deno.test("a kill names its victim, the freed memory, and the latency of each stage", () => {
  assert.equal(
    facts(killBody()),
    "pid 4242 (java) killed by SIGKILL at 62.7 MiB of 64.0 MiB: signalled in 0.1 ms, " +
      "exited in 3.4 ms, freed 60.0 MiB in 3.5 ms",
  );
  assert.match(
    facts(killBody({ action: "container", killed_cgroup: "/a/b" })),
    /^pid 4242 \(java\) and all of \/a\/b killed by SIGKILL/,
  );
});

Deno.test("a dry run, a survivor and a failed kill do not read like a kill", () => {
  const cases: [Partial<KillBody>, string][] = [
    [{ outcome: "dry_run" }, "pid 4242 (java) would be killed by SIGKILL at 62.7 MiB of 64.0 MiB"],
    [
      { outcome: "survived", signal: "SIGTERM", reason: "did not exit within the grace period" },
      "pid 4242 (java) survived SIGTERM at 62.7 MiB of 64.0 MiB: " +
      "did not exit within the grace period",
    ],
    [
      { victim: null, outcome: "failed", reason: "no process in the cgroup may be killed" },
      "no process could be killed at 62.7 MiB of 64.0 MiB: no process in the cgroup may be killed",
    ],
  ];
  for (const [more, line] of cases) assert.equal(facts(killBody(more)), line);
});

Deno.test("signals, reclaim and hooks state their outcome", () => {
  const fields = { ...actionFields, level: "warn" } as const;
  const signal = { ...fields, action: "signal", signal: "SIGUSR1" } as const;
  const reclaim = { ...fields, action: "reclaim" } as const;
  const hook = { ...fields, action: "exec" } as const;
  const cases: [Body, string][] = [
    [{ ...signal, outcome: "signalled", count: 1 }, "SIGUSR1 at warn sent to 1 process"],
    [{ ...signal, outcome: "dry_run", count: 2 }, "SIGUSR1 at warn would be sent to 2 processes"],
    [{ ...signal, outcome: "failed", count: 0, reason: "x" }, "SIGUSR1 at warn was not sent: x"],
    [
      { ...reclaim, outcome: "reclaimed", freed: 3 * MIB, freed_ms: 20 },
      "reclaim at warn: freed 3.0 MiB in 20.0 ms",
    ],
    [{ ...reclaim, outcome: "dry_run" }, "reclaim at warn would run"],
    [{ ...reclaim, outcome: "failed", reason: "x" }, "reclaim at warn failed: x"],
    [{ ...hook, outcome: "ok" }, "exec at warn ran"],
    [
      { ...hook, outcome: "failed", reason: "it exited with 3" },
      "exec at warn failed: it exited with 3",
    ],
    [{ ...hook, outcome: "dry_run", reason: "notify-me" }, "exec at warn would run: notify-me"],
  ];
  for (const [body, line] of cases) assert.equal(facts(body), line);
});

Deno.test("action_skipped states the reason", () => {
  const skip = {
    type: "action_skipped",
    level: "imminent",
    usage: 63 * MIB,
    reclaimable: 40 * MIB,
    swappable: 0,
    limit: 64 * MIB,
    level_bytes: 62.7 * MIB,
  } as const;
  const recovered = facts({ ...skip, reason: "recovered", usage: 20 * MIB });
  assert.equal(recovered, "no action: usage 20.0 MiB is below 62.7 MiB again");
  const cache = "no action: the kernel can reclaim 40.0 MiB of 63.0 MiB";
  assert.equal(facts({ ...skip, reason: "reclaimable_cache" }), cache);
});

Deno.test("restored states the value, or why the file was not restored", () => {
  const high = { type: "restored", file: "memory.high", set: "4096", before: "max" } as const;
  const cases = [
    ["restored", null, "memory.high restored to max"],
    ["gone", null, "memory.high not restored: the cgroup was removed"],
    ["changed", null, "memory.high not restored: another process has changed it since"],
    ["failed", "busy", "memory.high could not be restored to max: busy"],
  ] as const;
  for (const [outcome, reason, line] of cases) {
    assert.equal(facts({ ...high, outcome, reason }), line);
  }
});

Deno.test("no name of a process, a cgroup or a command can break a line", () => {
  const bad = "x\n\x1b[31m";
  const process = { ...candidate, comm: bad, cmdline: [bad], preference_reason: bad };
  const bodies: Body[] = [
    killBody({ victim: process, killed_cgroup: `/${bad}`, reason: bad }),
    { ...actionFields, action: "exec", outcome: "failed", reason: bad },
    { ...armed, limit_owner: `/${bad}` },
    { type: "restored", file: bad, set: bad, before: bad, outcome: "failed", reason: bad },
  ];
  const lines = bodies.map((body) => eventText(makeEvent(at, `/${bad}`, "none", body), plain));
  lines.push(candidateText(process, 0));
  // deno-lint-ignore no-control-regex
  for (const line of lines) assert.doesNotMatch(line, /[\x00-\x1f\x7f]/);
});

Deno.test("a candidate is a line with its rank and the values that rank it", () => {
  const line = " 1  pid 4242 (java)  badness 61.0 MiB, rss 60.0 MiB  java -jar x.jar";
  assert.equal(candidateText(candidate, 0), line);
  const preferred = {
    preference: "prefer",
    preference_reason: "--prefer java",
    oom_score_adj: -500,
  } as const;
  assert.equal(
    candidateText({ ...candidate, ...preferred, cmdline: [], rss: null }, 11),
    "12  pid 4242 (java)  badness 61.0 MiB, rss –, oom_score_adj -500, prefer, " +
      "--prefer java  java",
  );
  const excluded = { preference: "excluded", preference_reason: "oom_score_adj is -1000" } as const;
  const left = candidateText({ ...candidate, ...excluded }, 2);
  assert.ok(left.startsWith(" –  pid 4242 (java)  excluded, rss 60.0 MiB, oom_score_adj is"), left);
});

Deno.test("a long command line is cut", () => {
  const line = candidateText({ ...candidate, cmdline: ["x".repeat(5000)] }, 0);
  assert.ok(line.endsWith(`${"x".repeat(59)}…`) && line.length < 150, line);
});

Deno.test("a type has ten columns in the live view, also one that only a recording has", () => {
  assert.equal(shortEventType("oom_kill", plain), "oom_kill  ");
  assert.equal(shortEventType("level_reached", plain), "level     ");
  for (const type of [...EVENT_TYPES, "a_type_of_a_later_version", "constructor", "\x1b[2J"]) {
    const text = shortEventType(type, plain);
    assert.equal(text.length, 10, text);
    assert.ok(!text.includes("\x1b"));
  }
  const short = EVENT_TYPES.map((type) => shortEventType(type, plain));
  assert.equal(new Set(short).size, EVENT_TYPES.length, "each has a name of its own");
});
