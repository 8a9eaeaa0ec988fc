/** A row of the live view: the state of one cgroup; the order and the filter of the rows. Pure. */

import type { CgroupUsage } from "../../core/collect/live_usage.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import { shareOf } from "../../core/policy/check.ts";
import type { Pressure } from "../../core/snapshot.ts";
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
}

/** Of two cgroups, or of one at two times. */
export const sumOf = (one: Counts, other: Counts): Counts => ({
  hits: one.hits + other.hits,
  ooms: one.ooms + other.ooms,
  kills: one.kills + other.kills,
  actions: one.actions + other.actions,
});

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

/** The orders in the sequence of the `s` key, with their names in the title line. */
export const SORT_LABELS = {
  time: "time to limit",
  left: "headroom",
  full: "% of limit",
  usage: "usage",
  rate: "rate",
  counts: "kills and limit hits",
  name: "name",
} as const;
export type Sort = keyof typeof SORT_LABELS;

const SORTS = Object.keys(SORT_LABELS) as Sort[];

export const nextSort = (sort: Sort): Sort => SORTS[(SORTS.indexOf(sort) + 1) % SORTS.length]!;

/** Ascending; unknown values come last. */
const KEYS: Readonly<Record<Exclude<Sort, "name">, (row: Row) => number>> = {
  time: ({ timeLeft }) => timeLeft ?? Infinity,
  left: ({ headroom }) => headroom ?? Infinity,
  full: (row) => -shareOfLimit(row),
  usage: ({ usage }) => -(usage ?? -1),
  rate: ({ rate }) => -(rate ?? -Infinity),
  counts: ({ counts: { kills, actions, ooms, hits } }) =>
    -((kills + actions) * 1e12 + ooms * 1e6 + hits),
};

/** -1 without a limit or a usage. */
const shareOfLimit = ({ usage, limit }: Row) => shareOf(usage, limit, 100) ?? -1;

/** A sorted copy. Equal rows are sorted by share of the limit; removed cgroups come last, except by name. */
export function ordered(rows: readonly Row[], sort: Sort): Row[] {
  const byName = (a: Row, b: Row) => compare(a.path, b.path);
  if (sort === "name") return rows.toSorted(byName);
  const key = KEYS[sort];
  // Each key is computed once: sorting a thousand rows takes ten thousand comparisons.
  const keyed = rows.map((row) => ({ row, first: key(row), second: -shareOfLimit(row) }));
  keyed.sort((a, b) =>
    Number(a.row.isRemoved) - Number(b.row.isRemoved) || compare(a.first, b.first) ||
    compare(a.second, b.second) || byName(a.row, b.row)
  );
  return keyed.map(({ row }) => row);
}

/** Not a subtraction: Infinity - Infinity is NaN. */
const compare = <T extends number | string>(a: T, b: T) => a < b ? -1 : a > b ? 1 : 0;

/** The rows with all words of `filter` in their path, ignoring case. */
export function matching(rows: readonly Row[], filter: string): readonly Row[] {
  const words = filter.toLowerCase().split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) return rows;
  return rows.filter(({ path }) => {
    const name = path.toLowerCase();
    return words.every((word) => name.includes(word));
  });
}
