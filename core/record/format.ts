/**
 * The lines of a recording: what the decisions of one run were based on, one JSON line each, in the order in which it was
 * read; documented in docs/schema/recording.schema.json. Sizes are bytes, `at` is milliseconds since the epoch with a
 * fraction; `null` is unknown or no limit. Pure.
 */

import type { OomkitEvent } from "../events/event.ts";

/** Rises with every incompatible change; new fields and new types are compatible. */
export const RECORDING_VERSION = 2;

/** More characters than any line has: the summary of ten thousand cgroups takes 3 MB. */
export const MAX_LINE_LENGTH = 16 * 1024 ** 2;

/** The first line. */
export interface RecordingHead {
  readonly type: "recording";
  readonly v: typeof RECORDING_VERSION;
  readonly at: number;
  readonly command: "watch" | "guard" | "simulate";
  /** The version of oomkit, with its commit. */
  readonly oomkit: string;
  readonly host: string;
  readonly kernel: string;
  /** Of cgroups. */
  readonly hierarchy: 1 | 2;
  /** Guard only: one for each rule, and last the default policy. */
  readonly policies: readonly RecordedPolicy[] | null;
}

/** The policy of a guard, without the text of commands, which may hold secrets. Sizes are bytes, times milliseconds. */
export interface RecordedPolicy {
  /** The rule of the configuration; `null` for the default policy. */
  readonly rule: string | null;
  readonly mode: "auto" | "notify" | "throttle" | "hold";
  /** Percent of the limit. */
  readonly warn: number;
  readonly critical: number;
  /** An absent part is the default of the mode. */
  readonly margin: { readonly ratio?: number; readonly min?: number; readonly max?: number };
  readonly metric: "usage" | "working-set";
  /** For each level its actions: `noop`, `signal:SIGUSR1`, `reclaim`, `process`, `container`, `exec`. */
  readonly actions: {
    readonly warn: readonly string[];
    readonly critical: readonly string[];
    readonly imminent: readonly string[];
  };
  /** A fraction of the level's bytes. */
  readonly hysteresis: number;
  readonly cooldown: number;
  readonly repeat: boolean;
  readonly reclaim: boolean;
  readonly grace_period: number;
  readonly kill_timeout: number;
  readonly dry_run: boolean;
}

/** A horizontal line of a chart: a guard's level, or a threshold of a watch. */
export interface ReferenceLine {
  readonly name: string;
  readonly bytes: number;
}

/** Written before the first snapshot of a cgroup, and again whenever one of its fields has changed. */
export interface RecordedCgroup {
  readonly type: "cgroup";
  readonly at: number;
  /** The other lines refer to it; unique in the recording. */
  readonly id: number;
  readonly path: string;
  /** The cgroup that its snapshots are of: the owner of the limit for a guard, itself for a watch. */
  readonly usage_cgroup: string;
  readonly container_id: string | null;
  readonly pod_uid: string | null;
  /** The effective limit. */
  readonly limit: number | null;
  /** The cgroup that sets it. */
  readonly limit_owner: string | null;
  readonly reference_lines: readonly ReferenceLine[];
  /** Guard only: the index of its policy, its mode, and `totalpages` of oom_badness in bytes. */
  readonly policy: number | null;
  readonly mode: "notify" | "throttle" | "hold" | null;
  readonly oom_total_bytes: number | null;
}

/**
 * What a guard decided by a snapshot: a step of `core/policy/kill_cycle.ts`; or `deferred`, a kill that was not executed
 * because another victim is still exiting or the snapshot is too old; or `no_victim`. That no other candidate is left while
 * the victim is still exiting is recorded as `kill`.
 */
export const DECISIONS = [
  "reclaim",
  "kill",
  "escalate",
  "wait",
  "skip",
  "exhausted",
  "end",
  "deferred",
  "no_victim",
] as const;
export type RecordedDecision = typeof DECISIONS[number];

/**
 * One read of one cgroup. A guard writes no line when nothing has changed, not even usage: an idle guard reads several times
 * a second.
 */
export interface RecordedSnapshot {
  readonly type: "snapshot";
  readonly at: number;
  readonly id: number;
  readonly usage: number;
  /** This and the next three: absent where it was not read this time. */
  readonly inactive_file?: number;
  /** Inactive and active file. */
  readonly reclaimable?: number;
  /** PSI, percent of the last 10 s. */
  readonly some?: number;
  readonly full?: number;
  /** Read for the recording alone, several times a second; no decision is based on it. */
  readonly sampled?: true;
  /** Guard only: bytes a second at which usage and its unreclaimable part rise, as the decision had them. */
  readonly rate?: number;
  readonly unreclaimable_rate?: number;
  /** Guard only, at a level that kills: `alive` while one of the signalled victims is. */
  readonly victim?: "none" | "alive" | "dead";
  readonly decision?: RecordedDecision;
  /** Guard only: the levels that it reported as reached. */
  readonly levels?: readonly ("warn" | "critical" | "imminent")[];
}

/** The fields of every event. */
export interface AnyEvent {
  readonly type: string;
  /** RFC 3339. */
  readonly ts: string;
  /** Cgroup path. */
  readonly cgroup: string;
}

/** An emitted event; a simulation also emits those of docs/schema/simulate.schema.json. */
export interface RecordedEvent {
  readonly type: "event";
  readonly at: number;
  readonly event: OomkitEvent | AnyEvent;
}

export interface RecordedGone {
  readonly type: "gone";
  readonly at: number;
  readonly id: number;
}

/** These policies replace those of the head. */
export interface RecordedPolicies {
  readonly type: "policies";
  readonly at: number;
  readonly policies: readonly RecordedPolicy[];
}

/** Snapshots that were dropped because they came faster than they could be written. */
export interface RecordedLoss {
  readonly type: "lost";
  readonly at: number;
  readonly snapshots: number;
}

/** The last line; it is missing when the run was killed. */
export interface RecordedEnd {
  readonly type: "end";
  readonly at: number;
  /** `full` when `--record-max` was reached; the run continued. */
  readonly reason: "ended" | "full";
}

export type RecordingLine =
  | RecordingHead
  | RecordedCgroup
  | RecordedSnapshot
  | RecordedEvent
  | RecordedGone
  | RecordedPolicies
  | RecordedLoss
  | RecordedEnd;

/** Takes lines as they come, to write them to a file or to draw a picture of the run. Must neither wait nor throw. */
export interface RecordSink {
  line(line: RecordingLine): void;
}

/** Passes each line to all of them. */
export function both(...sinks: readonly RecordSink[]): RecordSink {
  return { line: (line) => sinks.forEach((sink) => sink.line(line)) };
}

/** At the event's own time, microseconds included. */
export function eventLine(event: AnyEvent): RecordedEvent {
  return { type: "event", at: parseTimestamp(event.ts), event };
}

/** Milliseconds since the epoch of an RFC 3339 time in UTC, with any number of digits after the seconds. */
function parseTimestamp(ts: string): number {
  const fraction = /\.\d{3}(\d+)Z$/.exec(ts)?.[1];
  return Date.parse(ts) + (fraction === undefined ? 0 : Number(`0.${fraction}`));
}
