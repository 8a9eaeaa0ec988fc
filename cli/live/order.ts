/** The order and the filter of the rows of the live view, as a list and as a tree. Pure. */

import { parentPath } from "../../core/cgroup_path.ts";
import { shareOf } from "../../core/policy/check.ts";
import { killsIn, type Row } from "./rows.ts";

/** The orders in the sequence of the `s` key, with their names in the title line. */
export const SORT_LABELS = {
  time: "time to limit",
  left: "headroom",
  full: "% of limit",
  usage: "usage",
  rate: "rate",
  pressure: "pressure",
  counts: "kills and limit hits",
  name: "name",
} as const;
export type Sort = keyof typeof SORT_LABELS;

const SORTS = Object.keys(SORT_LABELS) as Sort[];

export const nextSort = (sort: Sort): Sort => SORTS[(SORTS.indexOf(sort) + 1) % SORTS.length]!;

/** Without any limit, the order by time to the limit is that by usage. */
export const sortLabel = (sort: Sort, rows: readonly Row[]): string =>
  sort === "time" && rows.length > 0 && !rows.some(isLimited)
    ? "usage: no limits"
    : SORT_LABELS[sort];

const isLimited = ({ limit }: Row) => Number.isFinite(limit);

/** The highest comes first. */
const KEYS: Readonly<Record<Exclude<Sort, "name">, (row: Row) => number | undefined>> = {
  // Without a limit it is the time until the machine is out of memory, the same for all.
  time: (row) => isLimited(row) ? -(row.timeLeft ?? Infinity) : undefined,
  left: ({ headroom }) => headroom === undefined ? undefined : -headroom,
  full: ({ usage, limit }) => shareOf(usage, limit, 100),
  usage: ({ usage }) => usage,
  rate: ({ rate }) => rate,
  pressure: ({ pressure }) => pressure?.full?.avg10 ?? pressure?.some?.avg10,
  counts: ({ counts }) => killsIn(counts) * 1e12 + counts.ooms * 1e6 + counts.hits,
};

export interface Order {
  readonly sort: Sort;
  readonly isReversed: boolean;
  /** Below each cgroup its descendants. */
  readonly isTree: boolean;
}

/**
 * A sorted copy. Equal rows are sorted by usage, as a share of the limit where there is one; unknown values come last. Removed cgroups
 * come last, but first as long as they have kills.
 */
export function ordered(rows: readonly Row[], order: Order): Row[] {
  const sorted = sortedBy(rows, order);
  return order.isTree ? asTree(sorted) : sorted;
}

function sortedBy(rows: readonly Row[], { sort, isReversed }: Order): Row[] {
  const direction = isReversed ? -1 : 1;
  const byName = (a: Row, b: Row) => direction * compare(a.path, b.path);
  if (sort === "name") return rows.toSorted(byName);
  const key = KEYS[sort];
  // Each key is computed once: sorting a thousand rows takes ten thousand comparisons.
  const keyed = rows.map((row) => {
    const value = key(row);
    const rank = rankOf(row) + Number(value === undefined);
    return { row, value: value ?? 0, share: KEYS.full(row) ?? -1, rank };
  });
  keyed.sort((a, b) =>
    compare(a.rank, b.rank) || direction * compare(b.value, a.value) ||
    compare(b.share, a.share) || compare(b.row.usage ?? -1, a.row.usage ?? -1) ||
    byName(a.row, b.row)
  );
  return keyed.map(({ row }) => row);
}

/** Even, because an unknown value adds one. */
const rankOf = ({ isRemoved, counts }: Row) => !isRemoved ? 2 : killsIn(counts) > 0 ? 0 : 4;

/** Not a subtraction: Infinity - Infinity is NaN. */
const compare = <T extends number | string>(a: T, b: T) => a < b ? -1 : a > b ? 1 : 0;

/** Each row after its parent, the innermost cgroup around it that has a row; siblings keep their order. */
function asTree(rows: readonly Row[]): Row[] {
  const children = new Map<string | undefined, Row[]>();
  const parentOf = parentsAmong(rows);
  for (const row of rows) {
    const parent = parentOf(row.path);
    const siblings = children.get(parent);
    if (siblings) siblings.push(row);
    else children.set(parent, [row]);
  }
  const below = (path: string | undefined): Row[] =>
    (children.get(path) ?? []).flatMap((row) => [row, ...below(row.path)]);
  return below(undefined);
}

function parentsAmong(rows: readonly Row[]): (path: string) => string | undefined {
  const paths = new Set(rows.map(({ path }) => path));
  return (path) => {
    for (let above = path; above !== "/";) {
      above = parentPath(above);
      if (paths.has(above)) return above;
    }
    return undefined;
  };
}

/** The lines that lead to each row of a tree, and the name below its parent. */
export interface Branch {
  readonly lead: string;
  /** `undefined` for a row without a parent. */
  readonly parent: string | undefined;
}

/** Of rows in the order of a tree. */
export function branchesOf(rows: readonly Row[], unicode: boolean): Map<string, Branch> {
  const [last, next, below] = unicode ? ["└─ ", "├─ ", "│  "] : ["`- ", "|- ", "|  "];
  const parentOf = parentsAmong(rows);
  const parents = rows.map(({ path }) => parentOf(path));
  const lastChild = new Map(parents.map((parent, at) => [parent, rows[at]!.path]));
  /** The lead of the children of each row. */
  const leads = new Map<string | undefined, string>();
  return new Map(rows.map(({ path }, at): [string, Branch] => {
    const parent = parents[at];
    if (parent === undefined) {
      leads.set(path, "");
      return [path, { lead: "", parent }];
    }
    const above = leads.get(parent) ?? "";
    const isLast = lastChild.get(parent) === path;
    leads.set(path, above + (isLast ? "   " : below));
    return [path, { lead: above + (isLast ? last : next), parent }];
  }));
}

/** The rows with all words of `filter` in their path, ignoring case. */
export function matching(rows: readonly Row[], filter: string): readonly Row[] {
  const words = wordsOf(filter);
  return words.length === 0 ? rows : rows.filter(({ path }) => hasWords(path, words));
}

const wordsOf = (text: string) => text.toLowerCase().split(/\s+/).filter((word) => word !== "");

function hasWords(path: string, words: readonly string[]): boolean {
  const name = path.toLowerCase();
  return words.every((word) => name.includes(word));
}

/** The index of the first match at or after `from`, or before it; -1 without one. */
export function searched(rows: readonly Row[], text: string, from: number): number {
  const words = wordsOf(text);
  if (words.length === 0) return -1;
  for (let step = 0; step < rows.length; step++) {
    const at = (from + step) % rows.length;
    if (hasWords(rows[at]!.path, words)) return at;
  }
  return -1;
}
