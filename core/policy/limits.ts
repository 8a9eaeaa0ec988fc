/** What a snapshot means: what is in use, what can be reclaimed, which limit is effective, what is left. Pure. */

import type { Snapshot } from "../snapshot.ts";

/** The limits and the usage of one cgroup in an ancestry; bytes. */
export interface AncestorLimit {
  readonly path: string;
  readonly limit?: number | undefined;
  /** v2 memory.high; `Infinity` for none. */
  readonly high?: number | undefined;
  readonly usage?: number | undefined;
  readonly workingSet?: number | undefined;
}

export interface EffectiveLimit {
  /** Bytes; `Infinity` when no cgroup in the ancestry has a limit. */
  readonly bytes: number;
  /**
   * The cgroup that sets it; absent when there is no limit, or when an ancestor outside the visible hierarchy sets it.
   */
  readonly owner?: string;
}

/**
 * The tightest limit of a cgroup and its ancestors. Of equal limits, such as those of a pod and its only container, the one with
 * the most in use counts: it is hit first, and an OOM there is the pod's, not the container's.
 *
 * @param chain the cgroup itself, then its ancestors, nearest first.
 * @param hierarchical v1 `hierarchical_memory_limit`, which includes ancestors outside the visible hierarchy.
 */
export function effectiveLimit(
  chain: readonly AncestorLimit[],
  hierarchical?: number,
): EffectiveLimit {
  let tightest: AncestorLimit | undefined;
  for (const link of chain) {
    if (link.limit === undefined || link.limit === Infinity) continue;
    const difference = link.limit - (tightest?.limit ?? Infinity);
    if (difference < 0 || (difference === 0 && isMore(link.usage, tightest?.usage))) {
      tightest = link;
    }
  }
  const bytes = tightest?.limit ?? Infinity;
  if (hierarchical !== undefined && hierarchical < bytes) return { bytes: hierarchical };
  return tightest ? { bytes, owner: tightest.path } : { bytes };
}

const isMore = (a: number | undefined, b: number | undefined) =>
  a !== undefined && b !== undefined && a > b;

/** Where the kernel begins to throttle allocators: v2 memory.high. */
export type HighLimit = Required<EffectiveLimit>;

/**
 * The tightest memory.high of a cgroup and its ancestors; of equals the nearest. `undefined` when none lies below `limit`: the
 * limit is hit before such a memory.high throttles.
 *
 * @param chain the cgroup itself, then its ancestors, nearest first.
 * @param limit bytes, of {@link effectiveLimit}.
 */
export function effectiveHigh(
  chain: readonly AncestorLimit[],
  limit: number,
): HighLimit | undefined {
  let tightest: HighLimit | undefined;
  for (const { path, high } of chain) {
    if (high !== undefined && high < (tightest?.bytes ?? limit)) {
      tightest = { bytes: high, owner: path };
    }
  }
  return tightest;
}

export interface Headroom {
  /** Never negative, even when usage lies above a limit that was lowered. */
  readonly bytes: number;
  /** Of `limit`. */
  readonly percent: number;
  /** Bytes; the limit that is hit first. */
  readonly limit: number;
  /**
   * The cgroup that sets it: not always the tightest one, since siblings use up a parent's. Absent for an ancestor
   * outside the visible hierarchy; less may be left then, since its other children are not visible either.
   */
  readonly owner?: string;
}

/**
 * What is left until a limit in the ancestry is hit; `undefined` when there is none. Of equals it is the nearest cgroup's, since
 * the kernel charges from the cgroup up (kernel: mm/page_counter.c, page_counter_try_charge).
 *
 * @param metric which memory counts as used.
 * @param hierarchical as for {@link effectiveLimit}.
 */
export function headroom(
  chain: readonly AncestorLimit[],
  metric: "usage" | "workingSet" = "usage",
  hierarchical?: number,
): Headroom | undefined {
  let least: Headroom | undefined;
  const update = (limit: number | undefined, used: number | undefined, owner?: string) => {
    if (limit === undefined || limit === Infinity || used === undefined) return;
    const bytes = Math.max(0, limit - used);
    if (least && least.bytes <= bytes) return;
    const percent = limit === 0 ? 0 : 100 * bytes / limit;
    least = { bytes, percent, limit, ...(owner === undefined ? {} : { owner }) };
  };
  for (const link of chain) update(link.limit, link[metric], link.path);
  if (hierarchical !== undefined && effectiveLimit(chain, hierarchical).owner === undefined) {
    // It uses at least as much as any of its visible descendants.
    const used = chain.map((link) => link[metric]).filter((bytes) => bytes !== undefined);
    if (used.length > 0) update(hierarchical, Math.max(...used));
  }
  return least;
}

/** Usage without inactive file pages, by which the kubelet evicts. `undefined` when a part is unknown. */
export function workingSet({ usage, stats }: Snapshot): number | undefined {
  if (usage === undefined || stats.inactiveFile === undefined) return undefined;
  return Math.max(0, usage - stats.inactiveFile);
}

/**
 * What the kernel can reclaim without swap: the file pages on its two lists. Not `file` as a whole, which includes tmpfs pages.
 */
export function reclaimable({ stats }: Snapshot): number | undefined {
  if (stats.inactiveFile === undefined || stats.activeFile === undefined) return undefined;
  return stats.inactiveFile + stats.activeFile;
}
