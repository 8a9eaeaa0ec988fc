/** What a snapshot means: how much is in use, how much can be had back, whose limit counts, what is left. Pure. */

import type { Snapshot } from "../snapshot.ts";

/** A cgroup in an ancestry, as far as limits go; bytes. */
export interface AncestorLimit {
  readonly path: string;
  readonly limit?: number | undefined;
  /** v2 memory.high; `Infinity` for none. */
  readonly high?: number | undefined;
  readonly usage?: number | undefined;
  readonly workingSet?: number | undefined;
}

export interface EffectiveLimit {
  /** Bytes; `Infinity` when nobody in the ancestry has a limit. */
  readonly bytes: number;
  /**
   * The cgroup whose limit it is; absent when there is no limit, or when it is set by an ancestor that cannot be seen
   * from here.
   */
  readonly owner?: string;
}

/**
 * The tightest limit from a cgroup up. Of equal limits, as a pod and its only container have them, the one with the
 * most in use counts: it is hit first, and an OOM there is the pod's, not the container's.
 *
 * @param chain the cgroup itself, then its ancestors, nearest first.
 * @param hierarchical v1 `hierarchical_memory_limit`, which knows of ancestors that cannot be seen.
 */
export function effectiveLimit(
  chain: readonly AncestorLimit[],
  hierarchical?: number,
): EffectiveLimit {
  let tightest: AncestorLimit | undefined;
  for (const link of chain) {
    if (link.limit === undefined || link.limit === Infinity) continue;
    const less = link.limit - (tightest?.limit ?? Infinity);
    if (less < 0 || (less === 0 && more(link.usage, tightest?.usage))) tightest = link;
  }
  const bytes = tightest?.limit ?? Infinity;
  if (hierarchical !== undefined && hierarchical < bytes) return { bytes: hierarchical };
  return tightest ? { bytes, owner: tightest.path } : { bytes };
}

const more = (a: number | undefined, b: number | undefined) =>
  a !== undefined && b !== undefined && a > b;

/** Where the kernel begins to slow allocators down: v2 memory.high. */
export interface HighLimit {
  /** Bytes. */
  readonly bytes: number;
  /** The cgroup that sets it. */
  readonly owner: string;
}

/**
 * The tightest memory.high from a cgroup up; of equals the nearest. `undefined` where none lies below `limit`: memory
 * that is killed for is slowed down by nobody.
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
  /** Never negative, though usage may lie above a limit that was lowered. */
  readonly bytes: number;
  /** Of the limit that is `owner`'s. */
  readonly percent: number;
  /** Bytes; the limit that is hit next. */
  readonly limit: number;
  /**
   * Whose limit is hit next: not always the tightest one, since siblings use up a parent's. Absent for an ancestor that
   * cannot be seen; what is left is then at most this, since its other children cannot be seen either.
   */
  readonly owner?: string;
}

/**
 * What is left until somebody's limit in the ancestry is hit; `undefined` when nobody has one. Of equals it is the
 * nearest cgroup's, as the kernel charges from the cgroup up (kernel: mm/page_counter.c, page_counter_try_charge).
 *
 * @param base what of the memory counts as used up.
 * @param hierarchical as for {@link effectiveLimit}.
 */
export function headroom(
  chain: readonly AncestorLimit[],
  base: "usage" | "workingSet" = "usage",
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
  for (const link of chain) update(link.limit, link[base], link.path);
  if (hierarchical !== undefined && effectiveLimit(chain, hierarchical).owner === undefined) {
    // It holds at least what its part that can be seen holds.
    const used = chain.map((link) => link[base]).filter((bytes) => bytes !== undefined);
    if (used.length > 0) update(hierarchical, Math.max(...used));
  }
  return least;
}

/** Usage less inactive file pages: what the kubelet evicts by. `undefined` when a part is unknown. */
export function workingSet({ usage, stats }: Snapshot): number | undefined {
  if (usage === undefined || stats.inactiveFile === undefined) return undefined;
  return Math.max(0, usage - stats.inactiveFile);
}

/**
 * What the kernel can take back without swap: file pages on its two lists. Never `file` as a whole, since tmpfs pages
 * are in it and stay.
 */
export function reclaimable({ stats }: Snapshot): number | undefined {
  if (stats.inactiveFile === undefined || stats.activeFile === undefined) return undefined;
  return stats.inactiveFile + stats.activeFile;
}
