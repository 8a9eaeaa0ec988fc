/**
 * A recording: what reached the decisions of one run, one JSON line each, in the order in which it was seen; documented in
 * docs/schema/recording.schema.json. Sizes are bytes, `at` is milliseconds since the epoch with a fraction; what is not known
 * is `null`, and so is no limit. Pure.
 */

import type { OomkitEvent } from "../events/event.ts";

/** Rises when a reader of today could no longer make sense of it; new fields and new types come without. */
export const RECORDING_VERSION = 2;

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
  /** Of a guard: what it was told to do, one for each rule, and last what holds where no rule does. */
  readonly policies: readonly RecordedPolicy[] | null;
}

/** What a guard is asked to do, without the text of commands, which may hold secrets. Sizes are bytes, times milliseconds. */
export interface RecordedPolicy {
  /** The rule of the configuration; `null` for what holds where no rule does. */
  readonly rule: string | null;
  readonly mode: "auto" | "notify" | "throttle" | "hold";
  /** Percent of the limit. */
  readonly warn: number;
  readonly critical: number;
  /** What is not given of it is that of the mode. */
  readonly margin: { readonly ratio?: number; readonly min?: number; readonly max?: number };
  readonly metric: "usage" | "working-set";
  /** For each level what is done there: `noop`, `signal:SIGUSR1`, `reclaim`, `process`, `container`, `exec`. */
  readonly actions: {
    readonly warn: readonly string[];
    readonly critical: readonly string[];
    readonly imminent: readonly string[];
  };
  /** A fraction of the level. */
  readonly hysteresis: number;
  readonly cooldown: number;
  readonly repeat: boolean;
  readonly reclaim: boolean;
  readonly grace_period: number;
  readonly kill_timeout: number;
  readonly dry_run: boolean;
}

/** A line that a chart draws across: a guard's level, or a threshold of a watch. */
export interface ReferenceLine {
  readonly name: string;
  readonly bytes: number;
}

/** Before its first snapshot, and anew whenever anything of it has changed. */
export interface RecordedCgroup {
  readonly type: "cgroup";
  readonly at: number;
  /** By which the other lines name it; never used again in the same recording. */
  readonly id: number;
  readonly path: string;
  /** Whose usage its snapshots are: of a guard the owner of the limit, else itself. */
  readonly usage_cgroup: string;
  readonly container_id: string | null;
  readonly pod_uid: string | null;
  /** The effective one. */
  readonly limit: number | null;
  /** The cgroup that sets it. */
  readonly limit_owner: string | null;
  readonly reference_lines: readonly ReferenceLine[];
  /** Of a guard: which of the plans, in which mode, and what badness is weighed against. */
  readonly policy: number | null;
  readonly mode: "notify" | "throttle" | "hold" | null;
  readonly oom_total_bytes: number | null;
}

/**
 * What came of a guard's look: as `core/policy/kill_cycle.ts` has it; or a strike that was `put_off`, since somebody else is
 * dying or what was seen is too old by now; or one that found `nobody`. That nobody is left beside who is dying is a strike all
 * the same.
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
 * One look at one cgroup. Of those that led a guard to nothing new, not even another usage, there is no line: at rest it looks
 * some times a second.
 */
export interface RecordedSnapshot {
  readonly type: "snapshot";
  readonly at: number;
  readonly id: number;
  readonly usage: number;
  /** Absent where it was not read at this look. */
  readonly inactive_file?: number;
  /** Inactive and active file; absent where it was not read at this look. */
  readonly reclaimable?: number;
  /** PSI, percent of the last 10 s; absent where it was not read at this look. */
  readonly some?: number;
  readonly full?: number;
  /** Nobody decided by it: it was read for the recording's sake, some times a second. */
  readonly sampled?: true;
  /** Of a guard: bytes a second at which usage rises, and what of it cannot be taken back, as the decision had them. */
  readonly rate?: number;
  readonly unreclaimable_rate?: number;
  /** Of a guard that is at a level where something dies: those that were struck: alive while one of them is. */
  readonly victim?: "none" | "alive" | "dead";
  readonly decision?: RecordedDecision;
  /** Of a guard: the levels that it told of at this look. */
  readonly levels?: readonly ("warn" | "critical" | "imminent")[];
}

/** What all events have. */
export interface AnyEvent {
  readonly type: string;
  /** RFC 3339. */
  readonly ts: string;
  /** Cgroup path. */
  readonly cgroup: string;
}

/** What was told, as it was told: by a simulation also what docs/schema/simulate.schema.json has. */
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

/** From now on the plans are these; before that, those of the head. */
export interface RecordedPolicies {
  readonly type: "policies";
  readonly at: number;
  readonly policies: readonly RecordedPolicy[];
}

/** Snapshots that were taken faster than they could be written: nobody waited for that. */
export interface RecordedLoss {
  readonly type: "lost";
  readonly at: number;
  readonly snapshots: number;
}

/** The last line; a recording without it was broken off. */
export interface RecordedEnd {
  readonly type: "end";
  readonly at: number;
  /** `full` when `--record-max` was reached, though the run went on. */
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

/** Takes lines as they come: the writer of a file, or who draws a picture of the run. Must neither wait nor throw. */
export interface RecordSink {
  line(line: RecordingLine): void;
}

/** All of them get each line. */
export function both(...recorders: readonly RecordSink[]): RecordSink {
  return { line: (line) => recorders.forEach((each) => each.line(line)) };
}
