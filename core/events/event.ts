/**
 * The events that oomkit emits: one JSON line each, documented in docs/schema/event.schema.json. Names are the kernel's; sizes are
 * bytes; an unknown value is `null`, never 0.
 */

import { identify } from "../cgroup/identity.ts";
import type { ACTIONS, KillAction, ReportedAction } from "../policy/actions.ts";
import type { SkipReason } from "../policy/kill_cycle.ts";
import type { Level, Mode } from "../policy/levels.ts";
import type { CgroupRank } from "../policy/victim_order.ts";

/**
 * What triggered the event. A notification only leads to a read, and the event reports what was read. The exceptions are `oom`
 * and `pressure` of v1, which no file counts: their `count` is the one in the eventfd.
 */
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
  /** RFC 3339, in UTC with microseconds. */
  readonly ts: string;
  /** Cgroup path. */
  readonly cgroup: string;
  readonly container_id: string | null;
  readonly pod_uid: string | null;
  /** In Kubernetes; added like the message, where they are known. */
  readonly namespace?: string;
  readonly pod?: string;
  readonly container?: string;
  readonly node?: string;
  readonly source: Source;
  /** What happened, as a sentence; added where the event leaves the program. */
  readonly message?: string;
}

/** A process that the kernel killed, as the kernel log describes it. */
export interface KernelVictim {
  readonly pid: number;
  readonly comm: string;
  readonly uid: number | null;
  readonly anon_rss: number | null;
  readonly file_rss: number | null;
  readonly shmem_rss: number | null;
  readonly oom_score_adj: number | null;
}

/**
 * One entry of the summary: how the kernel's counters of one cgroup grew while it was watched. `oom_kill` includes kills that no
 * counter shows: those before a removal, and those that the log names in cgroups that are not watched themselves.
 */
export interface CounterDeltas {
  readonly cgroup: string;
  readonly container_id: string | null;
  readonly pod_uid: string | null;
  /** `null` for a counter that the kernel does not have. */
  readonly max: bigint | null;
  readonly high: bigint | null;
  readonly oom: bigint | null;
  readonly oom_kill: bigint | null;
  readonly oom_group_kill: bigint | null;
  /** `oom_kill` events emitted. Less than the counter where the kernel counts a process of a group kill more than once. */
  readonly victims: number;
  /** Kills by the guard, each one `action`: one process, or all of a cgroup. `null` for a watch. */
  readonly guard_kills: number | null;
  /** Names of processes that the guard has killed, each once, at most five. */
  readonly guard_victims: readonly string[];
  /** How often the kernel log named one of these victims again. */
  readonly repeated: number;
  /** Highest usage since the cgroup was created, in bytes. */
  readonly peak: number | null;
  readonly limit: number | null;
  readonly removed: boolean;
}

/** One entry of the summary: a mechanism that was not available. */
export interface DegradedCount {
  readonly requested: string;
  readonly fallback: string;
  readonly reason: string;
  /** How many cgroups it affected; 1 where it affects all alike. */
  readonly cgroups: number;
  /** The first few of them. */
  readonly examples?: string[];
}

/** A process as the guard ranked it. */
export interface CandidateJson {
  readonly pid: number;
  readonly comm: string;
  readonly cmdline: readonly string[];
  readonly cgroup: string;
  readonly rss: number | null;
  readonly oom_score_adj: number | null;
  /** The kernel's oom_badness in bytes, see `inspect`. */
  readonly badness: number;
  readonly preference: "prefer" | "none" | "avoid" | "excluded";
  readonly preference_reason: string | null;
  /** With `--victim-order` the place of its cgroup, from 1, and what it is ranked by: pages, percent or bytes. */
  readonly cgroup_rank?: CgroupRank;
}

type Metric = "usage" | "working-set";

interface ActionCommon<Action extends ReportedAction> {
  readonly type: "action";
  readonly action: Action;
  readonly outcome: (typeof ACTIONS)[Action]["outcomes"][number];
  /** Why the action failed or the victim survived; for `dry_run` of a hook the command. */
  readonly reason: string | null;
  readonly level: Level;
  readonly mode: Mode;
  readonly dry_run: boolean;
  readonly usage_before: number;
  readonly limit: number;
  readonly level_bytes: number;
}

/** Times are milliseconds since the read that showed the level as reached. */
export interface KillBody extends ActionCommon<KillAction> {
  readonly signal: string | null;
  readonly victim: CandidateJson | null;
  /** The cgroup of which every process was killed. */
  readonly killed_cgroup: string | null;
  /** The first few in victim order, then excluded processes. */
  readonly candidates: readonly CandidateJson[];
  readonly usage_after: number | null;
  readonly freed: number | null;
  readonly signal_ms: number | null;
  readonly exit_ms: number | null;
  readonly freed_ms: number | null;
}

export interface SignalBody extends ActionCommon<"signal"> {
  readonly signal: string;
  /** Processes that got the signal. */
  readonly count: number;
}

export interface ReclaimBody extends ActionCommon<"reclaim"> {
  readonly usage_after?: number | null;
  readonly freed?: number | null;
  /** Milliseconds since the start of reclaim. */
  readonly freed_ms?: number | null;
}

/** An action without fields of its own. */
export type PlainActionBody = ActionCommon<
  Exclude<ReportedAction, (KillBody | SignalBody | ReclaimBody)["action"]>
>;

export type ActionBody = KillBody | SignalBody | ReclaimBody | PlainActionBody;

/** An event of one action has the fields of all; {@link makeEvent} adds those that its action does not have. */
const UNUSED_ACTION_FIELDS = {
  signal: null,
  victim: null,
  killed_cgroup: null,
  candidates: [],
  usage_after: null,
  count: null,
  freed: null,
  signal_ms: null,
  exit_ms: null,
  freed_ms: null,
} as const;

/** A cgroup is guarded from now on, or with changed settings. */
export interface GuardArmedBody {
  readonly type: "guard_armed";
  /** Name of the configuration's rule that applies. */
  readonly rule: string | null;
  readonly limit: number;
  /** `null` for the machine's memory, of a cgroup with a limit that is wider. */
  readonly limit_owner: string | null;
  /** Bytes at which each level begins. */
  readonly warn: number;
  readonly critical: number;
  readonly imminent: number;
  readonly metric: Metric;
  readonly mode: Mode;
  readonly actions: Readonly<Record<Level, readonly string[]>>;
  readonly dry_run: boolean;
}

export interface LevelReachedBody {
  readonly type: "level_reached";
  readonly level: Level;
  readonly usage: number;
  /** What is compared with `level_bytes`: usage or working set, see `metric`. */
  readonly metric_value: number;
  readonly metric: Metric;
  /** Read after the level was reached. */
  readonly working_set?: number | null;
  readonly level_bytes: number;
  readonly limit: number;
  /** Bytes per second. */
  readonly rate: number | null;
}

/** A level was reached, but nothing was killed. */
export interface ActionSkippedBody {
  readonly type: "action_skipped";
  readonly level: Level;
  readonly reason: SkipReason;
  readonly usage: number;
  readonly reclaimable: number | null;
  /** What swap has room for. */
  readonly swappable: number;
  readonly limit: number;
  readonly level_bytes: number;
}

/** A control file that the guard had changed was restored, or was not for `reason`. */
export interface RestoredBody {
  readonly type: "restored";
  readonly file: string;
  readonly set: string;
  readonly before: string;
  readonly outcome: "restored" | "gone" | "changed" | "failed";
  readonly reason: string | null;
}

/** What a watch found in one cgroup. */
type WatchBody =
  | {
    readonly type: "threshold";
    readonly threshold: number;
    readonly direction: "above" | "below";
    /** At the crossing. */
    readonly usage: number | null;
    readonly limit: number | null;
    /** Crossings of this threshold between the last event and this one, which were not reported. */
    readonly suppressed: number;
  }
  | {
    readonly type: "pressure";
    /** v1 `memory.pressure_level`. */
    readonly level: "low" | "medium" | "critical" | null;
    /** The line of the PSI file, and the microseconds stalled since the last event of that line. */
    readonly kind: "some" | "full" | null;
    readonly stalled_us: bigint | null;
    /** Notifications that the kernel merged into this one. */
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
    /** The cgroup that has the limit. */
    readonly limit_owner: string | null;
    readonly limit: number | null;
  }
  | {
    readonly type: "oom_kill";
    readonly victim: KernelVictim | null;
    readonly limit_owner: string | null;
    readonly limit: number | null;
    /** Whether a memory cgroup or the whole machine ran out of memory; `null` without a kernel log line. */
    readonly scope: "cgroup" | "system" | null;
    /** True when no counter confirms the kill: the cgroup was removed before its counters were read. */
    readonly inferred: boolean;
  }
  | { readonly type: "limit_changed"; readonly from: number | null; readonly to: number | null }
  | { readonly type: "cgroup_created" }
  | { readonly type: "cgroup_removed" };

export type Body =
  | ActionBody
  | GuardArmedBody
  | LevelReachedBody
  | ActionSkippedBody
  | RestoredBody
  | WatchBody
  | {
    /** A mechanism was not available; `fallback` replaces it. */
    readonly type: "degraded";
    readonly requested: string;
    readonly fallback: string;
    readonly reason: string;
  }
  | {
    readonly type: "summary";
    readonly seconds: number;
    /** How many cgroups were watched: the targets, and with `--recursive` all descendants, also those removed meanwhile. */
    readonly watched_cgroups: number;
    /** Kills by the guard; `null` for a watch. */
    readonly guard_kills: number | null;
    /** The targets, and those in which something was counted: see `SummedDeltas` for more than 1,000 removed ones. */
    readonly cgroups: readonly CounterDeltas[];
    /** The causes that were emitted as `degraded`, and how many cgroups each has affected. */
    readonly degraded: readonly DegradedCount[];
  };

export type OomkitEvent = Head & Body;
export type EventType = Body["type"];
export type EventOf<Type extends EventType> = OomkitEvent & { readonly type: Type };

/** Which command emits it. A record, so that the compiler reports a missing type. */
const EMITTERS: Readonly<Record<EventType, "watch" | "guard" | "both">> = {
  threshold: "watch",
  pressure: "watch",
  high: "watch",
  max: "watch",
  oom: "watch",
  oom_kill: "watch",
  oom_group_kill: "watch",
  guard_armed: "guard",
  level_reached: "guard",
  action: "guard",
  action_skipped: "guard",
  restored: "guard",
  limit_changed: "watch",
  cgroup_created: "watch",
  cgroup_removed: "watch",
  degraded: "both",
  summary: "both",
};
export const EVENT_TYPES = Object.keys(EMITTERS) as readonly EventType[];
export const WATCH_EVENT_TYPES = EVENT_TYPES.filter((type) => EMITTERS[type] !== "guard");

const PRIORITY_TYPES = ["oom_kill", "oom_group_kill", "action"] as const satisfies EventType[];

/**
 * Kills and the guard's actions: what must reach a receiver before everything else. A receiver queues them apart from the others, so
 * that a flood of other events neither drops nor delays them.
 */
export const hasPriority = (type: string): boolean => PRIORITY_TYPES.some((each) => each === type);

/** The same of one event. A reclaim kills nothing, and is repeated for as long as page cache fills a cgroup. */
export const isPriorityEvent = (event: OomkitEvent): boolean =>
  hasPriority(event.type) && !(event.type === "action" && event.action === "reclaim");

/** @param at milliseconds since the epoch; the fraction is kept to microseconds. */
export function makeEvent(at: number, cgroup: string, source: Source, body: Body): OomkitEvent {
  const { containerId, podUid } = identify(cgroup);
  return {
    v: 2,
    ts: timestamp(at),
    cgroup,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    source,
    ...(body.type === "action" && UNUSED_ACTION_FIELDS),
    ...body,
  };
}

/** RFC 3339 in UTC with microseconds, the resolution of the kernel log. */
export function timestamp(at: number): string {
  const whole = Math.floor(at);
  const micros = Math.min(999, Math.floor((at - whole) * 1000));
  return new Date(whole).toISOString().replace("Z", `${String(micros).padStart(3, "0")}Z`);
}
