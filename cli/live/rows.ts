/** A row of the live view: the state of one cgroup. Pure. */

import type { CgroupUsage } from "../../core/collect/live_usage.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import type { Pressure } from "../../core/snapshot.ts";
import { shortBytes } from "../options/units.ts";
import { fullnessOf, type UsageMark } from "../terminal/bars.ts";
import type { Role } from "../terminal/palette.ts";

/** Events since the view was opened. */
export interface Counts {
  readonly hits: number;
  readonly ooms: number;
  /** Processes killed by the kernel. */
  readonly kills: number;
  /** Kills by a guard. */
  readonly actions: number;
  /** The last process that the kernel and the guard killed, such as `tail (4242) at 62.8M of 64.0M`. */
  readonly kernelVictim?: string | undefined;
  readonly guardVictim?: string | undefined;
}

export const NO_COUNTS: Counts = { hits: 0, ooms: 0, kills: 0, actions: 0 };

/** Values that are read only for the rows on the screen. */
export interface RowDetails {
  /** Bytes. */
  readonly workingSet?: number | undefined;
  readonly pressure?: Pressure | undefined;
  /** v1: allocators are waiting for memory now. */
  readonly underOom?: boolean | undefined;
}

export interface Row extends Omit<CgroupUsage, "limit">, RowDetails {
  readonly path: string;
  /** Levels and thresholds across the usage bar. */
  readonly marks: readonly UsageMark[];
  readonly mode?: string;
  /** Bytes; `Infinity` without a limit. */
  readonly limit: number;
  /** Usage in the last minutes, oldest first; read only for the rows on the screen. */
  readonly history: readonly (number | undefined)[];
  readonly counts: Counts;
  readonly isRemoved: boolean;
  /** Seconds, of a removed cgroup. */
  readonly removedFor?: number | undefined;
}

/** Killed by the kernel or by a guard. */
export const killsIn = ({ kills, actions }: Counts): number => kills + actions;

/** How long the row of a removed cgroup stays: with kills long enough to be read after an alert. */
export const removedRowMs = (counts: Counts): number => killsIn(counts) > 0 ? 60_000 : 10_000;

/** Of two cgroups, or of one at two times. */
export const sumOf = (one: Counts, other: Counts): Counts => ({
  hits: one.hits + other.hits,
  ooms: one.ooms + other.ooms,
  kills: one.kills + other.kills,
  actions: one.actions + other.actions,
  kernelVictim: other.kernelVictim ?? one.kernelVictim,
  guardVictim: other.guardVictim ?? one.guardVictim,
});

export function counted(counts: Counts, event: OomkitEvent): Counts {
  switch (event.type) {
    case "max":
      return { ...counts, hits: counts.hits + Number(event.count) };
    case "oom":
      return { ...counts, ooms: counts.ooms + Number(event.count) };
    case "oom_kill":
      return { ...counts, kills: counts.kills + 1, kernelVictim: victimText(event.victim) };
    case "action":
      if (event.outcome !== "killed" || !("victim" in event)) return counts;
      return {
        ...counts,
        actions: counts.actions + 1,
        guardVictim: victimText(event.victim, event.usage_before, event.limit),
      };
    default:
      return counts;
  }
}

/** `tail (4242) at 62.8M of 64.0M` */
function victimText(
  victim: { readonly comm: string; readonly pid: number } | null,
  usage?: number,
  limit?: number,
): string | undefined {
  if (victim === null) return undefined;
  const at = usage === undefined ? "" : ` at ${shortBytes(usage)} of ${shortBytes(limit)}`;
  return `${victim.comm} (${victim.pid})${at}`;
}

interface State {
  /** At most nine letters. */
  readonly word: string;
  readonly role: Role;
}

export function stateOf(row: Row): State {
  const { isRemoved, underOom, usage, limit, marks, headroom } = row;
  if (isRemoved) return { word: "removed", role: "dim" };
  if (underOom) return { word: "under OOM", role: "bad" };
  if (usage === undefined) return { word: "unknown", role: "dim" };
  if (!Number.isFinite(limit)) {
    return headroom === undefined
      ? { word: "no limit", role: "dim" }
      : { word: "ok", role: "good" };
  }
  // A parent's limit can be hit while the cgroup's own is not.
  if (usage >= limit || headroom === 0) return { word: "at limit", role: "bad" };
  const role = fullnessOf(usage, limit, marks);
  return { word: role === "good" || role === "plain" ? "ok" : role, role };
}
