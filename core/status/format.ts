/** What a guard answers on its status socket, documented in docs/schema/status.schema.json. Sizes are bytes; `null` is unknown. */

import * as v from "valibot";

const bytes = v.nullable(v.number());
const level = v.picklist(["warn", "critical", "imminent"]);

const lastAction = v.object({
  ts: v.string(),
  cgroup: v.string(),
  action: v.string(),
  level,
  outcome: v.string(),
  dry_run: v.boolean(),
  message: v.string(),
});

const cgroup = v.object({
  cgroup: v.string(),
  container_id: v.nullable(v.string()),
  pod_uid: v.nullable(v.string()),
  rule: v.nullable(v.string()),
  /** Of the limit owner, as in the guard's events. */
  usage: bytes,
  metric_value: bytes,
  limit: v.number(),
  limit_owner: v.nullable(v.string()),
  warn: v.number(),
  critical: v.number(),
  imminent: v.number(),
  /** The highest one reached now. */
  level: v.nullable(level),
  mode: v.string(),
  requested_mode: v.string(),
  /** In mode `throttle`: the file now; `null` also for `max`. */
  memory_high: bytes,
  throttled: v.boolean(),
  /** In the modes that hold. */
  oom_killer_disabled: v.nullable(v.boolean()),
  under_oom: v.nullable(v.boolean()),
  victims: v.number(),
  guard_kills: v.number(),
  last_action: v.nullable(lastAction),
});

const guard = v.object({
  v: v.literal(2),
  ts: v.string(),
  version: v.string(),
  pid: v.number(),
  uid: v.nullable(v.number()),
  started: v.string(),
  uptime_seconds: v.number(),
  targets: v.array(v.string()),
  recursive: v.boolean(),
  policies: v.array(v.object({
    rule: v.nullable(v.string()),
    cgroups: v.number(),
    mode: v.string(),
    dry_run: v.boolean(),
    metric: v.string(),
    warn_percent: v.number(),
    critical_percent: v.number(),
    /** Absent from an older guard. */
    swap: v.optional(v.string()),
    psi: v.optional(v.nullable(v.string())),
    actions: v.record(level, v.array(v.string())),
  })),
  scheduling: v.string(),
  heartbeat_age_seconds: v.number(),
  sources: v.array(v.string()),
  receivers: v.array(v.object({
    receiver: v.string(),
    pending: v.number(),
    sent: v.number(),
    dropped: v.number(),
    failed: v.number(),
  })),
  process: v.object({
    rss: bytes,
    anon_rss: bytes,
    cpu_seconds: v.number(),
  }),
  degraded: v.array(v.object({
    requested: v.string(),
    fallback: v.string(),
    reason: v.string(),
    cgroups: v.number(),
    examples: v.exactOptional(v.array(v.string())),
  })),
  victims: v.number(),
  guard_kills: v.number(),
  last_actions: v.array(lastAction),
  cgroups: v.array(cgroup),
});

export type GuardStatus = v.InferOutput<typeof guard>;
export type CgroupStatus = v.InferOutput<typeof cgroup>;

/** No other cgroup of this name has the machine's memory as its limit. */
export const isMachine = ({ cgroup, limit_owner: owner }: CgroupStatus): boolean =>
  cgroup === "/" && owner === null;
export type LastAction = v.InferOutput<typeof lastAction>;

/** @returns `undefined` for anything else than the answer of a guard. */
export function parseGuardStatus(text: string): GuardStatus | undefined {
  try {
    const result = v.safeParse(guard, JSON.parse(text));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}
