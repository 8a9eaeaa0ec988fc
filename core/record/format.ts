/**
 * A recording: what reached the decisions of one run, one JSON line each, in the order in which it was seen; documented in
 * docs/schema/recording.schema.json. Sizes are bytes, `at` is milliseconds since the epoch with a fraction; what is not known
 * is `null`, and so is no limit. Pure.
 */

import type { OomkitEvent } from "../report/event.ts";

/** Rises when a reader of today could no longer make sense of it; new fields and new types come without. */
export const RECORDING_VERSION = 1;

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
  readonly plans: readonly RecordedPlan[] | null;
}

/** A guard's plan as it is written down; what the decision depends on, and nothing of this machine. */
export type RecordedPlan = Readonly<Record<string, unknown>>;

/** A line that a chart draws across: a guard's level, or a threshold of a watch. */
export interface Mark {
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
  readonly container_id: string | null;
  readonly pod_uid: string | null;
  /** The effective one. */
  readonly limit: number | null;
  /** The cgroup that sets it. */
  readonly limit_owner: string | null;
  readonly marks: readonly Mark[];
  /** Of a guard: which of the plans, in which mode, and what badness is weighed against. */
  readonly plan: number | null;
  readonly mode: "notify" | "tripwire" | "hold" | null;
  readonly capacity: number | null;
}

/** One look at one cgroup. */
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
  /** Of a guard: those that were struck, where it strikes: alive while one of them is. */
  readonly victim?: "none" | "alive" | "dead";
}

/** What was told, as it was told. */
export interface RecordedEvent {
  readonly type: "event";
  readonly at: number;
  readonly event: OomkitEvent | Readonly<Record<string, unknown>>;
}

export interface RecordedGone {
  readonly type: "gone";
  readonly at: number;
  readonly id: number;
}

/** The last line; a recording without it was broken off. */
export interface RecordedEnd {
  readonly type: "end";
  readonly at: number;
  /** `full` when `--record-max` was reached, though the run went on. */
  readonly why: "ended" | "full";
}

export type RecordingLine =
  | RecordingHead
  | RecordedCgroup
  | RecordedSnapshot
  | RecordedEvent
  | RecordedGone
  | RecordedEnd;
