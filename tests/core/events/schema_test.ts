import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { withMessage } from "../../../cli/output/event_text.ts";
import { type Body, EVENT_TYPES, makeEvent, type Source } from "../../../core/events/event.ts";
import { toJson } from "../../../core/events/json.ts";
import { type CommandFacts, commandReport } from "../../../core/events/command_report.ts";
import eventSchema from "../../../docs/schema/event.schema.json" with { type: "json" };
import runSchema from "../../../docs/schema/run.schema.json" with { type: "json" };

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
const isEvent = ajv.compile(eventSchema);
const isRun = ajv.compile(runSchema);

const deltas = {
  cgroup: "/a",
  container_id: null,
  pod_uid: null,
  max: 2n ** 60n,
  high: null,
  oom: 1n,
  oom_kill: null,
  oom_group_kill: null,
  victims: 1,
  guard_kills: 1,
  guard_victims: ["java"],
  repeated: 0,
  peak: 4096,
  limit: null,
  removed: false,
};
const victim = {
  pid: 7,
  comm: "x",
  uid: null,
  anon_rss: 4096,
  file_rss: null,
  shmem_rss: 0,
  oom_score_adj: -1000,
};
const candidate = {
  pid: 7,
  comm: "x",
  cmdline: ["x", ""],
  cgroup: "/a/b",
  rss: null,
  oom_score_adj: null,
  badness: -4096,
  preference: "none",
  preference_reason: null,
} as const;
const action = {
  type: "action",
  action: "process",
  level: "imminent",
  mode: "throttle",
  dry_run: false,
  signal: "SIGKILL",
  victim: candidate,
  killed_cgroup: null,
  candidates: [candidate, {
    ...candidate,
    rss: 1,
    preference: "excluded",
    preference_reason: "--ignore x",
  }],
  usage_before: 2,
  usage_after: 0,
  limit: 3,
  level_bytes: 1,
  outcome: "killed",
  reason: null,
  count: null,
  freed: 2,
  signal_ms: 0.123,
  exit_ms: 1.5,
  freed_ms: 2,
} as const;
const skipped = { type: "action_skipped", level: "imminent", limit: 3, level_bytes: 1 } as const;
const restored = { type: "restored", file: "memory.high", set: "4096", before: "max" } as const;
const summary = {
  type: "summary",
  seconds: 0.5,
  watched_cgroups: 8,
  guard_kills: null,
  cgroups: [deltas, { ...deltas, guard_kills: null, guard_victims: [] }],
  degraded: [{ requested: "a", fallback: "b", reason: "c", cgroups: 40 }],
} as const;

const bodies: readonly Body[] = [
  { type: "threshold", threshold: 1, direction: "above", usage: null, limit: null, suppressed: 2 },
  { type: "pressure", level: "low", kind: null, stalled_us: null, count: 1n, usage: 0 },
  { type: "pressure", level: null, kind: "full", stalled_us: 5n, count: 2n, usage: null },
  { type: "high", count: 1n, usage: 1 },
  { type: "max", count: 1n, usage: null },
  { type: "oom", count: 1n, usage: 1, limit_owner: "/", limit: 1 },
  { type: "oom_kill", victim, limit_owner: "/a", limit: 1, scope: "cgroup", inferred: false },
  {
    type: "oom_kill",
    victim: null,
    limit_owner: null,
    limit: null,
    scope: null,
    inferred: true,
  },
  { type: "oom_group_kill", count: 1n, usage: 1 },
  {
    type: "guard_armed",
    rule: "databases",
    limit: 4,
    limit_owner: null,
    warn: 1,
    critical: 2,
    imminent: 3,
    metric: "working-set",
    mode: "hold",
    actions: { warn: [], critical: ["signal:SIGUSR2", "exec:true"], imminent: ["process"] },
    dry_run: true,
  },
  {
    type: "level_reached",
    level: "warn",
    usage: 2,
    metric_value: 1,
    metric: "usage",
    level_bytes: 1,
    limit: 3,
    rate: -5,
  },
  action,
  {
    ...action,
    victim: null,
    candidates: [],
    outcome: "failed",
    reason: "no candidate",
    mode: "notify",
  },
  { ...skipped, reason: "recovered", usage: 0, reclaimable: null, swappable: 0 },
  { ...skipped, reason: "reclaimable_cache", usage: 2, reclaimable: 2, swappable: 0 },
  { ...skipped, reason: "swap", usage: 2, reclaimable: 0, swappable: 2 },
  { ...restored, outcome: "restored", reason: null },
  { ...restored, file: "memory.oom_control", outcome: "failed", reason: "busy" },
  { type: "limit_changed", from: null, to: 1 },
  { type: "cgroup_created" },
  { type: "cgroup_removed" },
  { type: "degraded", requested: "a", fallback: "b", reason: "c" },
  summary,
];

const eventJson = (source: Source, body: Body) =>
  JSON.parse(toJson(withMessage(makeEvent(1, "/a", source, body))));

Deno.test("events of every type fit the published schema, and an unknown type does not", () => {
  for (const body of bodies) {
    const event: Record<string, unknown> = eventJson("poll", body);
    assert.ok(!isEvent({ ...event, type: "other" }));
    assert.ok(isEvent(event), `${body.type}: ${JSON.stringify(isEvent.errors)}`);
  }
  assert.deepEqual(new Set(bodies.map(({ type }) => type)), new Set(EVENT_TYPES));
});

Deno.test("an event with a missing or an unknown field does not fit the schema", () => {
  for (const body of bodies) {
    const event: Record<string, unknown> = eventJson("pollpri", body);
    assert.ok(!isEvent({ ...event, other: null }), `${body.type} with another field`);
    for (const name of Object.keys(event)) {
      const { [name]: _, ...rest } = event;
      assert.ok(!isEvent(rest), `${body.type} without ${name}`);
    }
  }
});

Deno.test("the report of a command fits the published schema", () => {
  const kill = makeEvent(1, "/a", "kmsg", bodies.find(({ type }) => type === "oom_kill")!);
  const status = { success: false, code: 137, signal: "SIGKILL" } as const;
  const limits = [
    { requested: undefined, refused: undefined },
    { requested: 1024, refused: "no cgroup" },
  ];
  for (const [n, events] of [[], [kill]].entries()) {
    const facts: CommandFacts = {
      command: ["make", ""],
      status,
      events,
      summary: { ...makeEvent(1, "/a", "none", summary), ...summary },
      ancestry: { limit: { bytes: Infinity } } as CommandFacts["ancestry"],
      limit: limits[n]!,
    };
    const report = JSON.parse(toJson(commandReport(facts)));
    assert.ok(isRun(report), JSON.stringify(isRun.errors));
    assert.deepEqual(
      [report.own_cgroup, report.requested_limit, report.limit_refused],
      [[false, null, null], [true, 1024, "no cgroup"]][n],
    );
  }
});
