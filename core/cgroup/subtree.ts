/** A cgroup and everything below it, the largest children first. */

import { shareOf } from "../policy/check.ts";
import { workingSet } from "../policy/limits.ts";
import type { Snapshot } from "../snapshot.ts";
import { parseSize } from "../parse/cgroupfs.ts";
import { type Cgroup, childrenOf, isThere, tryReader, tryReadSnapshot } from "./cgroup.ts";

export interface CgroupTree {
  readonly cgroup: Cgroup;
  /** 0 for the requested cgroup. */
  readonly depth: number;
  readonly snapshot: Snapshot;
  readonly children: readonly CgroupTree[];
  /** The number of children omitted because of `top`, the smallest ones; 0 at the last level of `depth`. */
  readonly leftOut: number;
}

/**
 * `undefined` if the cgroup is gone; leaves out children that are removed meanwhile. What may not be read is absent.
 *
 * @param options.depth levels below the cgroup; 0 for the cgroup itself.
 * @param options.top maximum number of children of each cgroup.
 * @param options.onRead called before each cgroup is read.
 */
export function readSubtree(
  cgroup: Cgroup,
  options: { readonly depth: number; readonly top: number; readonly onRead?: () => void },
  depth = 0,
): CgroupTree | undefined {
  options.onRead?.();
  const snapshot = tryReadSnapshot(cgroup);
  const children = depth < options.depth ? bySize(childrenOf(cgroup)) : [];
  const shown = children.slice(0, options.top)
    .map((child) => readSubtree(child, options, depth + 1))
    .filter((subtree) => subtree !== undefined);
  if (!isThere(cgroup)) return undefined;
  const leftOut = Math.max(0, children.length - options.top);
  return { cgroup, depth, snapshot, children: shown, leftOut };
}

/** Cgroups without a usage, where the controller is not enabled, come last. */
function bySize(cgroups: readonly Cgroup[]): Cgroup[] {
  const usageOf = (cgroup: Cgroup) =>
    parseSize(tryReader(cgroup)(cgroup.hierarchy.version.usageFile)) ?? -1;
  return cgroups.map((cgroup) => ({ cgroup, usage: usageOf(cgroup) }))
    .sort((a, b) => b.usage - a.usage || (a.cgroup.path < b.cgroup.path ? -1 : 1))
    .map(({ cgroup }) => cgroup);
}

/** What a list of cgroups can be sorted by: the largest first, names from A to Z. */
export const SORT_KEYS = ["usage", "working-set", "used", "kills", "name"] as const;
export type SortKey = typeof SORT_KEYS[number];

/** All cgroups of a subtree as a sorted list. Those with an unknown value come last. */
export function sortedCgroups(subtree: CgroupTree, key: SortKey): CgroupTree[] {
  const byName = (a: CgroupTree, b: CgroupTree) => a.cgroup.path < b.cgroup.path ? -1 : 1;
  const all = [...flatten(subtree)];
  if (key === "name") return all.sort(byName);
  const valueOf = VALUES[key];
  return all.map((each) => ({ each, value: valueOf(each.snapshot) ?? -1 }))
    .sort((a, b) => b.value - a.value || byName(a.each, b.each))
    .map(({ each }) => each);
}

const VALUES: Readonly<
  Record<Exclude<SortKey, "name">, (snapshot: Snapshot) => number | undefined>
> = {
  usage: ({ usage }) => usage,
  "working-set": workingSet,
  used: ({ usage, limits: { max } }) => shareOf(usage, max, 100),
  kills: ({ local, subtree }) => Number(subtree.oomKill ?? local.oomKill ?? -1n),
};

/** In display order: each cgroup before its children. */
export function* flatten(subtree: CgroupTree): Generator<CgroupTree> {
  yield subtree;
  for (const child of subtree.children) yield* flatten(child);
}
