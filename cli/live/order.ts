/** Which cgroups are shown, and in which order. Pure. */

import type { Row } from "./rows.ts";

export const SORTS = [
  "time",
  "left",
  "full",
  "usage",
  "rate",

  "counts",
  "name",
] as const;
export type Sort = (typeof SORTS)[number];

/** As the view calls them. */
export const SORT_LABELS: Readonly<Record<Sort, string>> = {
  time: "least time to the limit",
  left: "least left",
  full: "fullest",
  usage: "most in use",
  rate: "fastest rise",
  counts: "most kills and hits",
  name: "name",
};

export const nextSort = (sort: Sort): Sort => SORTS[(SORTS.indexOf(sort) + 1) % SORTS.length]!;

/** Each the less the further ahead; what is not known comes last. */
const KEYS: Readonly<Record<Exclude<Sort, "name">, (row: Row) => number>> = {
  time: ({ timeLeft }) => timeLeft ?? Infinity,
  left: ({ headroom }) => headroom ?? Infinity,
  full: (row) => -fullness(row),
  usage: ({ usage }) => -(usage ?? -1),
  rate: ({ rate }) => -(rate ?? -Infinity),
  counts: ({ counts: { kills, actions: deeds, ooms, hits } }) =>
    -((kills + deeds) * 1e12 + ooms * 1e6 + hits),
};

/** A part of the limit; less than nothing where there is none. */
const fullness = ({ usage, limit }: Row) =>
  usage === undefined || !Number.isFinite(limit) || limit <= 0 ? -1 : usage / limit;

/**
 * A new list. Of equals the fuller one comes first, as those that do not grow are equally far from their limits; what is gone comes
 * last.
 */
export function ordered(rows: readonly Row[], sort: Sort): Row[] {
  const byName = (a: Row, b: Row) => a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
  if (sort === "name") return rows.toSorted(byName);
  const key = KEYS[sort];
  // Each key once: a thousand rows are compared ten thousand times.
  const keyed = rows.map((row) => ({ row, first: key(row), second: -fullness(row) }));
  keyed.sort((a, b) =>
    Number(a.row.isRemoved) - Number(b.row.isRemoved) || compare(a.first, b.first) ||
    compare(a.second, b.second) || byName(a.row, b.row)
  );
  return keyed.map(({ row }) => row);
}

/** Two infinities are equal, and their difference is no number. */
const compare = (a: number, b: number) => a < b ? -1 : a > b ? 1 : 0;

/** Those whose path has all the words of `filter`, whatever their case. */
export function matching(rows: readonly Row[], filter: string): readonly Row[] {
  const words = filter.toLowerCase().split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) return rows;
  return rows.filter(({ path }) => {
    const name = path.toLowerCase();
    return words.every((word) => name.includes(word));
  });
}
