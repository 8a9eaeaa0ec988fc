/** What the live view knows of one cgroup. */

import type { Gauge } from "../../core/collect/gauges.ts";
import type { CgroupDetails } from "./cgroup_details.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import type { Role } from "../terminal/palette.ts";
import { fullnessOf, type UsageMark } from "../terminal/usage_bar.ts";

/** Since the view began. */
export interface Counts {
  /** Times that the limit was hit, and that nothing was left to reclaim. */
  readonly hits: number;
  readonly ooms: number;
  /** Processes that the kernel killed, and times that a guard ended somebody. */
  readonly kills: number;
  readonly actions: number;
}

export const NO_COUNTS: Counts = { hits: 0, ooms: 0, kills: 0, actions: 0 };

export interface Row extends Omit<Gauge, "limit">, CgroupDetails {
  readonly path: string;
  /** Lines across its bar. */
  readonly marks: readonly UsageMark[];
  /** Of a guard. */
  readonly mode?: string;
  /** Bytes; `Infinity` for none. */
  readonly limit: number;
  /** Of usage in the last minutes, oldest first; read for those alone that are shown, as is what a closer look tells. */
  readonly history: readonly (number | undefined)[];
  readonly counts: Counts;
  /** It was removed. */
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
  readonly word: string;
  readonly role: Role;
}

/** How it stands, in a word of at most nine letters. */
export function stateOf(row: Row): State {
  const { isRemoved, underOom, usage, limit, marks, headroom } = row;
  if (isRemoved) return { word: "gone", role: "dim" };
  if (underOom) return { word: "under OOM", role: "bad" };
  if (usage === undefined) return { word: "unknown", role: "dim" };
  if (!Number.isFinite(limit)) {
    return headroom === undefined
      ? { word: "no limit", role: "dim" }
      : { word: "ok", role: "good" };
  }
  // Its own limit may be far, and one above it be hit.
  if (usage >= limit || headroom === 0) return { word: "at limit", role: "bad" };
  const role = fullnessOf(usage, limit, marks);
  return { word: role === "good" || role === "plain" ? "ok" : role, role };
}
