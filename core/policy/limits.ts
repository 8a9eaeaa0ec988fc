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

/** What bounds a cgroup: a visible cgroup's limit, that of an ancestor outside the visible hierarchy, or the machine's memory. */
export type Scope = "cgroup" | "hidden_ancestor" | "system";

export interface EffectiveLimit {
  /** Bytes; `Infinity` when no cgroup in the ancestry has a limit. At most the machine's memory otherwise. */
  readonly bytes: number;
  /** `system` also without a limit. */
  readonly scope: Scope;
  /** The cgroup that sets it, for the scope `cgroup`. */
  readonly owner?: string;
}

/** The machine's memory as the bound of all cgroups; bytes. */
export interface MachineMemory {
  /** Without swap: no cgroup can use more. */
  readonly memory: number;
  /** Memory and swap: both must be used up before the machine is out of memory. */
  readonly total: number;
  /** Available memory and free swap. */
  readonly left: number;
}

/** `undefined` when a part is unknown. */
export function machineMemory(
  { total, available, swapTotal, swapFree }: {
    readonly total?: number;
    readonly available?: number;
    readonly swapTotal?: number;
    readonly swapFree?: number;
  },
): MachineMemory | undefined {
  if (total === undefined || available === undefined) return undefined;
  if (swapTotal === undefined || swapFree === undefined) return undefined;
  return { memory: total, total: total + swapTotal, left: available + swapFree };
}

/** What may be tighter than the visible cgroups. */
export interface OtherBounds {
  /** v1 `hierarchical_memory_limit`, which includes ancestors outside the visible hierarchy. */
  readonly hierarchical?: number | undefined;
  readonly machine?: MachineMemory | undefined;
}

/**
 * The tightest limit of a cgroup and its ancestors. Of equal limits, such as those of a pod and its only container, the one with
 * the most in use counts: it is hit first, and an OOM there is the pod's, not the container's.
 *
 * @param chain the cgroup itself, then its ancestors, nearest first.
 */
export function effectiveLimit(
  chain: readonly AncestorLimit[],
  { hierarchical, machine }: Pick<OtherBounds, "hierarchical"> & {
    readonly machine?: Pick<MachineMemory, "memory"> | undefined;
  } = {},
): EffectiveLimit {
  let tightest: AncestorLimit | undefined;
  for (const link of chain) {
    if (link.limit === undefined || link.limit === Infinity) continue;
    const difference = link.limit - (tightest?.limit ?? Infinity);
    if (difference < 0 || (difference === 0 && isMore(link.usage, tightest?.usage))) {
      tightest = link;
    }
  }
  const bytes = Math.min(tightest?.limit ?? Infinity, hierarchical ?? Infinity);
  if (bytes === Infinity) return { bytes, scope: "system" };
  if (machine !== undefined && machine.memory < bytes) {
    return { bytes: machine.memory, scope: "system" };
  }
  return tightest?.limit === bytes
    ? { bytes, scope: "cgroup", owner: tightest.path }
    : { bytes, scope: "hidden_ancestor" };
}

const isMore = (a: number | undefined, b: number | undefined) =>
  a !== undefined && b !== undefined && a > b;

/** Where the kernel begins to throttle allocators: v2 memory.high. */
export interface HighLimit {
  readonly bytes: number;
  readonly owner: string;
}

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
  /** Of `limit`; 0 for a limit of 0. */
  readonly percent: number;
  /** Bytes; the limit that is hit first, or the machine's memory and swap. */
  readonly limit: number;
  /** Less than `bytes` may be left of a hidden ancestor's limit: its other children are not visible either. */
  readonly scope: Scope;
  /** The cgroup that sets it, for the scope `cgroup`: not always the tightest one, since siblings use up a parent's. */
  readonly owner?: string;
}

/**
 * What is left until a limit in the ancestry is hit or the machine is out of memory; `undefined` without either, and when the usage
 * of a cgroup with a limit is unknown, because that limit may be hit first. Of equals
 * it is the nearest cgroup's, since the kernel charges from the cgroup up (kernel: mm/page_counter.c, page_counter_try_charge).
 *
 * @param metric which memory counts as used.
 */
export function headroom(
  chain: readonly AncestorLimit[],
  metric: "usage" | "workingSet" = "usage",
  { hierarchical, machine }: OtherBounds = {},
): Headroom | undefined {
  const isLimited = ({ limit }: AncestorLimit) => limit !== undefined && limit !== Infinity;
  // A working set that is unknown is at most the usage.
  const usedBy = (link: AncestorLimit) => link[metric] ?? link.usage;
  if (chain.some((link) => isLimited(link) && usedBy(link) === undefined)) return undefined;
  let least: Headroom | undefined;
  const update = (limit: number, left: number, rest: Pick<Headroom, "scope" | "owner">) => {
    const bytes = Math.max(0, left);
    if (least && least.bytes <= bytes) return;
    least = { bytes, percent: limit === 0 ? 0 : 100 * bytes / limit, limit, ...rest };
  };
  const updateFrom = (limit: number | undefined, used: number | undefined, owner?: string) => {
    if (limit === undefined || limit === Infinity || used === undefined) return;
    update(
      limit,
      limit - used,
      owner === undefined ? { scope: "hidden_ancestor" } : { scope: "cgroup", owner },
    );
  };
  for (const link of chain) updateFrom(link.limit, usedBy(link), link.path);
  if (effectiveLimit(chain, { hierarchical }).scope === "hidden_ancestor") {
    // It uses at least as much as any of its visible descendants.
    const used = chain.map(usedBy).filter((bytes) => bytes !== undefined);
    if (used.length > 0) updateFrom(hierarchical, Math.max(...used));
  }
  if (machine) update(machine.total, machine.left, { scope: "system" });
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
