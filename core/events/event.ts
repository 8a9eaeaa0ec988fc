/**
 * What happened, in the shape that leaves the program: one JSON line each, documented in docs/schema/event.schema.json.
 * Names are the kernel's; sizes are bytes; what is not known is `null`, never 0.
 */

import { identify } from "../cgroup/identity.ts";
import type { ActionOutcome, ReportedAction } from "../policy/actions.ts";

/** What told us. No payload of it is trusted: it led to a read, and the read is what the event says. */
export type Source =
  | "eventfd"
  | "inotify"
  | "psi"
  | "kmsg"
  | "watchfs"
  | "poll"
  | "parent"
  /** POLLPRI on memory.events. */
  | "pollpri"
  | "none";

export interface Head {
  readonly v: 2;
  /** RFC 3339 with as many digits as are known. */
  readonly ts: string;
  /** Cgroup path. */
  readonly cgroup: string;
  readonly container_id: string | null;
  readonly pod_uid: string | null;
  readonly source: Source;
}

/** A process that the kernel killed, as the kernel log tells it. */
export interface KernelVictim {
  readonly pid: number;
  readonly comm: string;
  readonly uid: number | null;
  readonly anon_rss: number | null;
  readonly file_rss: number | null;
  readonly shmem_rss: number | null;
  readonly oom_score_adj: number | null;
}

/** One line of the summary: what the kernel counted in one cgroup while it was watched. */
export interface CounterDeltas {
  readonly cgroup: string;
  readonly container_id: string | null;
  readonly pod_uid: string | null;
  /** Differences of the kernel's own counters; `null` where it does not count. */
  readonly max: bigint | null;
  readonly high: bigint | null;
  readonly oom: bigint | null;
  readonly oom_kill: bigint | null;
  readonly oom_group_kill: bigint | null;
  /** `oom_kill` events told: fewer than counted where a group kill counts somebody more than once. */
  readonly victims: number;
  /** How often the kernel log named one of them once more. */
  readonly repeated: number;
  /** Bytes; the highest since the cgroup was made. */
  readonly peak: number | null;
  readonly limit: number | null;
  readonly removed: boolean;
}

/** A process as a guard weighed it. */
export interface CandidateJson {
  readonly pid: number;
  readonly comm: string;
  readonly cmdline: readonly string[];
  readonly cgroup: string;
  readonly rss: number | null;
  readonly oom_score_adj: number | null;
  /** Bytes: the kernel's own weight, see `inspect`. */
  readonly badness: number;
  readonly preference: "prefer" | "none" | "avoid" | "excluded";
  readonly preference_reason: string | null;
}

export type Level = "warn" | "critical" | "imminent";

/** What a guard did, or would have done. Sizes are bytes, times milliseconds since the level was seen to be reached. */
export interface ActionBody {
  readonly type: "action";
  readonly action: ReportedAction;
  readonly level: Level;
  readonly mode: "notify" | "throttle" | "hold";
  readonly dry_run: boolean;
  readonly signal: string | null;
  readonly victim: CandidateJson | null;
  /** The cgroup that was ended as a whole. */
  readonly killed_cgroup: string | null;
  /** The first few, in the order in which they would be taken; those that are spared at the end. */
  readonly candidates: readonly CandidateJson[];
  readonly usage_before: number;
  readonly usage_after: number | null;
  readonly limit: number;
  readonly level_bytes: number;
  /** Which of them an action can have is in core/policy/actions.ts. `dry_run`: it would have been done. */
  readonly outcome: ActionOutcome;
  readonly reason: string | null;
  /** Processes that got the signal. */
  readonly count: number | null;
  readonly freed: number | null;
  readonly signal_ms: number | null;
  readonly exit_ms: number | null;
  readonly freed_ms: number | null;
}

export type Body =
  | ActionBody
  | {
    /** A guard has armed it, or armed it anew. */
    readonly type: "guard_armed";
    /** The rule of the configuration that holds here. */
    readonly rule: string | null;
    readonly limit: number;
    readonly limit_owner: string | null;
    /** Bytes at which each level begins. */
    readonly warn: number;
    readonly critical: number;
    readonly imminent: number;
    readonly metric: "usage" | "working-set";
    readonly mode: "notify" | "throttle" | "hold";
    readonly actions: Readonly<Record<Level, readonly string[]>>;
    readonly dry_run: boolean;
  }
  | {
    readonly type: "level_reached";
    readonly level: Level;
    readonly usage: number;
    /** The same in the guard's base. */
    readonly metric_value: number;
    readonly metric: "usage" | "working-set";
    readonly level_bytes: number;
    readonly limit: number;
    /** Bytes a second. */
    readonly rate: number | null;
  }
  | {
    /** The level was reached, and nothing had to die. */
    readonly type: "action_skipped";
    readonly level: Level;
    readonly reason: "recovered" | "reclaimable_cache";
    readonly usage: number;
    readonly reclaimable: number | null;
    readonly limit: number;
    readonly level_bytes: number;
  }
  | {
    /** What a guard had changed was put back; or not, for the reason. */
    readonly type: "restored";
    readonly file: string;
    readonly set: string;
    readonly before: string;
    readonly outcome: "restored" | "gone" | "left" | "failed";
    readonly reason: string | null;
  }
  | {
    readonly type: "threshold";
    readonly threshold: number;
    readonly direction: "above" | "below";
    readonly usage: number | null;
    readonly limit: number | null;
  }
  | {
    readonly type: "pressure";
    /** v1 `memory.pressure_level`. */
    readonly level: "low" | "medium" | "critical" | null;
    /** PSI: which line, and the microseconds stalled since the last event of it. */
    readonly kind: "some" | "full" | null;
    readonly stalled_us: bigint | null;
    /** Notifications that came as one. */
    readonly count: bigint;
    readonly usage: number | null;
  }
  | {
    readonly type: "high" | "max" | "oom_group_kill";
    readonly count: bigint;
    readonly usage: number | null;
  }
  | {
    readonly type: "oom";
    readonly count: bigint;
    readonly usage: number | null;
    /** The cgroup whose limit was hit. */
    readonly limit_owner: string | null;
    readonly limit: number | null;
  }
  | {
    readonly type: "oom_kill";
    readonly victim: KernelVictim | null;
    readonly limit_owner: string | null;
    readonly limit: number | null;
    /** Whether a memory cgroup or the whole machine ran out; `null` when only the counter told. */
    readonly scope: "cgroup" | "system" | null;
    /** True when no counter could confirm it, since the cgroup was gone before it could be read. */
    readonly inferred: boolean;
  }
  | { readonly type: "limit_changed"; readonly from: number | null; readonly to: number | null }
  | { readonly type: "cgroup_created" }
  | { readonly type: "cgroup_removed" }
  | {
    readonly type: "degraded";
    /** The source that was refused, what stands in for it, and why. */
    readonly requested: string;
    readonly fallback: string;
    readonly reason: string;
  }
  | {
    readonly type: "summary";
    readonly seconds: number;
    readonly cgroups: readonly CounterDeltas[];
  };

export type OomkitEvent = Head & Body;
export type EventType = Body["type"];

export const EVENT_TYPES: readonly EventType[] = [
  "threshold",
  "pressure",
  "high",
  "max",
  "oom",
  "oom_kill",
  "oom_group_kill",
  "guard_armed",
  "level_reached",
  "action",
  "action_skipped",
  "restored",
  "limit_changed",
  "cgroup_created",
  "cgroup_removed",
  "degraded",
  "summary",
];

/** @param at milliseconds since the epoch, with a fraction as far as it is known. */
export function makeEvent(at: number, cgroup: string, source: Source, body: Body): OomkitEvent {
  const { containerId, podUid } = identify(cgroup);
  return {
    v: 2,
    ts: timestamp(at),
    cgroup,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    source,
    ...body,
  };
}

/** RFC 3339 in UTC with microseconds, which is what the kernel log has. */
export function timestamp(at: number): string {
  const whole = Math.floor(at);
  const micros = Math.min(999, Math.floor((at - whole) * 1000));
  return new Date(whole).toISOString().replace("Z", `${String(micros).padStart(3, "0")}Z`);
}
