/**
 * The content of a picture of one run: built from a recording by picture_builder.ts, drawn by page.ts and still.ts. Times are
 * milliseconds since the epoch, sizes bytes; an unknown value is `null`. Names and texts are printable. Pure.
 */

import type { ReferenceLine } from "../record/format.ts";
import { SEVERITY } from "./page/glyphs.js";
import { append, emptySeries, hold, type Series } from "./series.ts";

/** The severity of a run, shown by shape and word as well as by colour. */
export type Tone = "bad" | "warn" | "fine";

/** The mark of an event: a kernel kill, an action of oomkit, a limit hit, a level or threshold, any other event. */
export type Kind = "kill" | "act" | "oom" | "level" | "note";

export interface Step {
  readonly at: number;
  readonly limit: number | null;
}

/** A cgroup. */
export interface Group {
  readonly id: number;
  readonly path: string;
  readonly container: string | null;
  readonly pod: string | null;
  /** The current limit. */
  readonly limit: number | null;
  readonly owner: string | null;
  /** The first known limit, and each change. */
  readonly limits: readonly Step[];
  readonly marks: readonly ReferenceLine[];
  /** To the end of the cgroup or of the run, like the next three. */
  readonly usage: Series;
  readonly working: Series;
  readonly some: Series;
  readonly full: Series;
  /**
   * The highest usage: of the samples, of the kernel's own peak where it rose during the run, and of a limit that was hit;
   * `null` if there is none.
   */
  readonly peak: number | null;
  /** The highest share of the limit that was in use, 0 to 1 and above; 1 where the limit was hit. */
  readonly peakShare: number | null;
  /** The limit and the headroom at that time. */
  readonly peakShareLimit: number | null;
  readonly peakShareHeadroom: number | null;
  /** The smallest difference of limit and usage, 0 where the limit was hit; `null` without a limit or without a sample. */
  readonly minHeadroom: number | null;
  /** Kills by the kernel, and by a guard, in it and in cgroups below it that are not among the groups. */
  readonly kills: number;
  readonly guardKills: number;
  readonly removedAt: number | null;
}

export interface ChartEvent {
  readonly at: number;
  /** Index of the cgroup in `groups`; `null` if it is not among them. */
  readonly group: number | null;
  readonly cgroup: string;
  readonly type: string;
  readonly kind: Kind;
  readonly text: string;
}

export interface KilledProcess {
  readonly at: number;
  readonly group: number | null;
  readonly cgroup: string;
  /** `null` if only a counter reported the kill. */
  readonly pid: number | null;
  readonly comm: string | null;
  readonly bytes: number | null;
  readonly by: "kernel" | "oomkit";
  /** `null` if it is unknown. */
  readonly why: string | null;
  readonly signal: string | null;
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
  /** Limits of the recording: incomplete, full, samples lost. */
  readonly remarks: readonly string[];
  /** Kills by the kernel and by a guard, also those that are in no list. */
  readonly kills: number;
  readonly guardKills: number;
  /** The most important first. */
  readonly groups: readonly Group[];
  readonly events: readonly ChartEvent[];
  readonly killedProcesses: readonly KilledProcess[];
}

/** The limits over time, to the end of the cgroup or of the run; -1 for none. */
export function limitSeries({ limits, removedAt }: Group, to: number): Series {
  const series = emptySeries();
  for (const { at, limit } of limits) append(series, at, limit ?? -1);
  hold(series, removedAt ?? to);
  return series;
}

/** The cgroups that are drawn at first; the page can select others. */
export const SHOWN_AT_FIRST = 6;

/** Several cgroups with limits are compared by their share of the limit, because their sizes may differ. */
export function isByShare({ groups }: Picture): boolean {
  const shown = groups.slice(0, SHOWN_AT_FIRST);
  return shown.length > 1 && shown.every(({ peakShare }) => peakShare !== null);
}

/**
 * The most severe events, at most `max`, in their order. Where not all of one severity have room, the first and the last of
 * them are kept: how it began, and how it ended.
 */
export function mostSevere(events: readonly ChartEvent[], max: number): ChartEvent[] {
  if (events.length <= max) return [...events];
  const severity = ({ kind }: ChartEvent) => SEVERITY.indexOf(kind);
  const least = events.map(severity).sort((a, b) => b - a)[max - 1]!;
  const equal = events.filter((event) => severity(event) === least);
  const room = max - events.filter((event) => severity(event) > least).length;
  const first = Math.ceil(room / 2);
  const kept = new Set([
    ...equal.slice(0, first),
    ...equal.slice(equal.length - (room - first)),
  ]);
  return events.filter((event) => severity(event) > least || kept.has(event));
}

/** From this share of the limit on a run was close; `inspect` and the live view turn red there as well. */
export const CLOSE_SHARE = 0.9;

/** The cgroup with the highest share of its limit; `undefined` without a limit. */
export function nearestToLimit(groups: readonly Group[]): Group | undefined {
  return groups.filter(({ peakShare }) => peakShare !== null)
    .sort((a, b) => b.peakShare! - a.peakShare!)[0];
}

/** The cgroup with the highest peak; `undefined` without a sample. */
export function largestPeak(groups: readonly Group[]): Group | undefined {
  return groups.filter(({ peak }) => peak !== null).sort((a, b) => b.peak! - a.peak!)[0];
}
