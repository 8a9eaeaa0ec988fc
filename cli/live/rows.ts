/** A row of the live view: the state of one cgroup. Pure. */

import type { CgroupUsage } from "../../core/collect/live_usage.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import type { Pressure } from "../../core/snapshot.ts";
import type { Role } from "../terminal/palette.ts";
import { fullnessOf, type UsageMark } from "../terminal/usage_bar.ts";

/** Events since the view was opened. */
export interface Counts {
  /** Limit hits. */
  readonly hits: number;
  readonly ooms: number;
  /** Processes killed by the kernel. */
  readonly kills: number;
  /** Kills by a guard. */
  readonly actions: number;
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
  /** The mode of a guard. */
  readonly mode?: string;
  /** Bytes; `Infinity` without a limit. */
  readonly limit: number;
  /** Usage in the last minutes, oldest first; read only for the rows on the screen. */
  readonly history: readonly (number | undefined)[];
  readonly counts: Counts;
  readonly isRemoved: boolean;
}

export function counted(counts: Counts, event: OomkitEvent): Counts {
  switch (event.type) {
    case "max":
      return { ...counts, hits: counts.hits + Number(event.count) };
    case "oom":
      return { ...counts, ooms: counts.ooms + Number(event.count) };
    case "oom_kill":
      return { ...counts, kills: counts.kills + 1 };
    case "action":
      return event.outcome === "killed" ? { ...counts, actions: counts.actions + 1 } : counts;
    default:
      return counts;
  }
}

export interface State {
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
