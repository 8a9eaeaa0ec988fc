/** What a snapshot means: how much is in use, how much can be had back, whose limit counts, what is left. Pure. */

import type { Snapshot } from "../snapshot.ts";

/** A cgroup in an ancestry, as far as limits go; bytes. */
export interface Link {
  readonly path: string;
  readonly limit?: number | undefined;
  readonly usage?: number | undefined;
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
export function effectiveLimit(chain: readonly Link[], hierarchical?: number): EffectiveLimit {
  let tightest: Link | undefined;
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

export interface Headroom {
  /** Never negative, though usage may lie above a limit that was lowered. */
  readonly bytes: number;
  /** Of the limit that is `owner`'s. */
  readonly percent: number;
  /** Whose limit is hit next: not always the tightest one, since siblings use up a parent's. */
  readonly owner: string;
}

/** What is left until somebody's limit in the ancestry is hit; `undefined` when nobody has one. */
export function headroom(chain: readonly Link[]): Headroom | undefined {
  let least: Headroom | undefined;
  for (const { path, limit, usage } of chain) {
    if (limit === undefined || limit === Infinity || usage === undefined) continue;
    const bytes = Math.max(0, limit - usage);
    if (least && least.bytes <= bytes) continue;
    least = { bytes, percent: limit === 0 ? 0 : 100 * bytes / limit, owner: path };
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
