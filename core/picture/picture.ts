/**
 * What a picture shows of one run: made from a recording's lines by gather.ts, drawn by page.ts and still.ts. Times are
 * milliseconds since the epoch, sizes bytes; what is not known is `null`. Names and texts are such as can be shown: what
 * no eye sees is spelt out in them. Pure.
 */

import type { ReferenceLine } from "../record/format.ts";
import type { Series } from "./series.ts";

/** How bad it is; told by shape and word as well as by colour. */
export type Tone = "bad" | "warn" | "fine";

/**
 * What an event is marked by: the kernel killed, oomkit acted, the limit was hit, a level or a threshold was crossed,
 * anything else.
 */
export type Kind = "kill" | "act" | "oom" | "level" | "note";

export interface Step {
  readonly at: number;
  readonly limit: number | null;
}

export interface Group {
  readonly id: number;
  readonly path: string;
  readonly container: string | null;
  readonly pod: string | null;
  /** The latest one. */
  readonly limit: number | null;
  readonly owner: string | null;
  /** Each change of it, the first being the first that was known. */
  readonly limits: readonly Step[];
  readonly marks: readonly ReferenceLine[];
  readonly usage: Series;
  readonly working: Series;
  readonly some: Series;
  readonly full: Series;
  /** Of usage; `null` where there was no look. */
  readonly peak: number | null;
  /** The most of the limit that was in use at any look, 0 to 1 and above. */
  readonly peakShare: number | null;
  /** Which limit that was, and what was left of it then. */
  readonly peakShareLimit: number | null;
  readonly peakShareHeadroom: number | null;
  /** By the kernel. */
  readonly kills: number;
  /** When it was removed. */
  readonly removedAt: number | null;
}

export interface ChartEvent {
  readonly at: number;
  /** The place of its cgroup in `groups`; `null` where it is of none of them. */
  readonly group: number | null;
  readonly type: string;
  readonly kind: Kind;
  readonly text: string;
}

export interface KilledProcess {
  readonly at: number;
  readonly group: number | null;
  readonly cgroup: string;
  /** `null` where only a counter told of it. */
  readonly pid: number | null;
  readonly comm: string | null;
  readonly bytes: number | null;
  readonly by: "kernel" | "oomkit";
  readonly how: string;
}

export interface Picture {
  readonly command: string;
  readonly oomkit: string;
  readonly host: string;
  readonly kernel: string;
  readonly hierarchy: 1 | 2;
  readonly from: number;
  readonly to: number;
  readonly tone: Tone;
  /** One sentence. */
  readonly verdict: string;
  /** What the reader has to know of the recording itself: broken off, full, thinned. */
  readonly remarks: readonly string[];
  /** Those that matter most come first. */
  readonly groups: readonly Group[];
  readonly events: readonly ChartEvent[];
  readonly killedProcesses: readonly KilledProcess[];
}

/** Cgroups of different sizes are compared by how near each is to its own limit. */
export function isByShare({ groups }: Picture): boolean {
  const shown = groups.slice(0, SHOWN_AT_FIRST);
  return shown.length > 1 && shown.every(({ peakShare: closest }) => closest !== null);
}

/** So many cgroups are drawn at first; the others are a click away. */
export const SHOWN_AT_FIRST = 6;
