/** A cgroup and what is beneath it, the largest first: where in a tree the memory is. */

import type { Snapshot } from "../snapshot.ts";
import { parseBytes } from "../parse/cgroupfs.ts";
import { type Cgroup, childrenOf, isThere, tryReader } from "./cgroup.ts";

export interface CgroupTree {
  readonly cgroup: Cgroup;
  /** 0 for the cgroup that was asked for. */
  readonly depth: number;
  readonly snapshot: Snapshot;
  readonly children: readonly CgroupTree[];
  /** Children that `top` left out, the smallest; none of them when `depth` was reached. */
  readonly leftOut: number;
}

/**
 * `undefined` when the cgroup is gone; what vanishes beneath it meanwhile is left out. What may not be read is absent.
 *
 * @param options.depth how far down; 0 is the cgroup itself.
 * @param options.top how many children of each cgroup.
 * @param options.look called before each of them is read.
 */
export function readSubtree(
  cgroup: Cgroup,
  options: { readonly depth: number; readonly top: number; readonly look?: () => void },
  depth = 0,
): CgroupTree | undefined {
  options.look?.();
  const snapshot = cgroup.hierarchy.version.snapshot(tryReader(cgroup));
  const children = depth < options.depth ? bySize(childrenOf(cgroup)) : [];
  const shown = children.slice(0, options.top)
    .map((child) => readSubtree(child, options, depth + 1))
    .filter((subtree) => subtree !== undefined);
  if (!isThere(cgroup)) return undefined;
  const leftOut = Math.max(0, children.length - options.top);
  return { cgroup, depth, snapshot, children: shown, leftOut };
}

/** Those without a usage, where the controller is off, come last. */
function bySize(cgroups: readonly Cgroup[]): Cgroup[] {
  return cgroups
    .map((cgroup) => ({ cgroup, usage: usageOf(cgroup) ?? -1 }))
    .sort((a, b) => b.usage - a.usage || (a.cgroup.path < b.cgroup.path ? -1 : 1))
    .map(({ cgroup }) => cgroup);
}

function usageOf(cgroup: Cgroup): number | undefined {
  return parseBytes(tryReader(cgroup)(cgroup.hierarchy.version.usageFile));
}

/** In the order in which they are shown: each before what is beneath it. */
export function* flatten(subtree: CgroupTree): Generator<CgroupTree> {
  yield subtree;
  for (const child of subtree.children) yield* flatten(child);
}
