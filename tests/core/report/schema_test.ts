import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { type Body, EVENT_TYPES, makeEvent } from "../../../core/report/event.ts";
import { toJson } from "../../../core/report/json.ts";
import { judge, type RunFacts } from "../../../core/report/run.ts";
import eventSchema from "../../../docs/schema/event.schema.json" with { type: "json" };
import runSchema from "../../../docs/schema/run.schema.json" with { type: "json" };

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
const isEvent = ajv.compile(eventSchema);
const isRun = ajv.compile(runSchema);

const tally = {
  cgroup: "/a",
  container_id: null,
  pod_uid: null,
  max: 2n ** 60n,
  high: null,
  oom: 1n,
  oom_kill: null,
  oom_group_kill: null,
  victims: 1,
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
const summary = { type: "summary", seconds: 0.5, cgroups: [tally] } as const;

const bodies: readonly Body[] = [
  { type: "threshold", threshold: 1, direction: "above", usage: null, limit: null },
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
  { type: "limit_changed", from: null, to: 1 },
  { type: "created" },
  { type: "removed" },
  { type: "degraded", wanted: "a", using: "b", reason: "c" },
  summary,
];

Deno.test("events of every type fit the published schema, and no other type does", () => {
  for (const body of bodies) {
    const event: Record<string, unknown> = JSON.parse(toJson(makeEvent(1, "/a", "poll", body)));
    assert.ok(!isEvent({ ...event, type: "other" }));
    assert.ok(isEvent(event), `${body.type}: ${JSON.stringify(isEvent.errors)}`);
  }
  assert.deepEqual(new Set(bodies.map(({ type }) => type)), new Set(EVENT_TYPES));
});

Deno.test("the report of a command fits the published schema", () => {
  const kill = makeEvent(1, "/a", "kmsg", bodies.find(({ type }) => type === "oom_kill")!);
  const status = { success: false, code: 137, signal: "SIGKILL" } as const;
  for (const events of [[], [kill]]) {
    const facts: RunFacts = {
      command: ["make", ""],
      status,
      events,
      summary: { ...makeEvent(1, "/a", "none", summary), ...summary },
      ancestry: { limit: { bytes: Infinity } } as RunFacts["ancestry"],
      own: false,
    };
    const report = JSON.parse(toJson(judge(facts)));
    assert.ok(isRun(report), JSON.stringify(isRun.errors));
  }
});
