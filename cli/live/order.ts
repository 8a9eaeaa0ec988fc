/** Sort order and filter of the rows. Pure. */

import type { Row } from "./rows.ts";

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
const shareOfLimit = ({ usage, limit }: Row) =>
  usage === undefined || !Number.isFinite(limit) || limit <= 0 ? -1 : usage / limit;

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
