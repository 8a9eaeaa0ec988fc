/**
 * The orders of cgroups in which systemd-oomd and oomd kill (src/oom/oomd-util.c; plugins kill_by_pg_scan, kill_by_pressure,
 * kill_by_swap_usage and kill_by_memory_size_or_growth). Within a cgroup the kernel's order applies, and after the cgroups that have
 * no place in the order. Pure.
 */

/** `badness`: the kernel's order of processes, whatever cgroup they are in. */
export const VICTIM_ORDERS = ["badness", "pgscan", "pressure", "swap", "growth"] as const;
export type VictimOrder = typeof VICTIM_ORDERS[number];
export type CgroupOrder = Exclude<VictimOrder, "badness">;

/** What a cgroup is ranked by; absent is what its version or kernel does not have. */
export interface CgroupFigures {
  /** Pages scanned for reclaim since the reading before, or since the cgroup was created. */
  readonly pgscan?: number;
  /** Percent of the last 10 s in which all of its processes waited for memory. */
  readonly pressure?: number;
  /** Bytes. */
  readonly swap?: number;
  /** Bytes of memory without page cache, and of swap, since the oldest reading that is kept; absent at the first reading. */
  readonly growth?: number;
  readonly usage?: number;
}

/** The place of a cgroup in the order. */
export interface CgroupRank {
  readonly by: CgroupOrder;
  /** 0 is killed first. */
  readonly place: number;
  /** Pages for `pgscan`, percent for `pressure`, bytes for `swap` and `growth`. */
  readonly value: number;
}

/** systemd-oomd, THRESHOLD_SWAP_USED_PERCENT. */
const MIN_SHARE_OF_SWAP = 0.05;

/** @returns the value, or `undefined` where a kill would not help. */
const VALUES: Readonly<
  Record<CgroupOrder, (figures: CgroupFigures, swapTotal: number) => number | undefined>
> = {
  pgscan: ({ pgscan = 0 }) => pgscan > 0 ? pgscan : undefined,
  // One from which nothing is reclaimed suffers from the others.
  pressure: ({ pgscan = 0, pressure = 0 }) => pgscan > 0 && pressure > 0 ? pressure : undefined,
  swap: ({ swap = 0 }, swapTotal) => swap > MIN_SHARE_OF_SWAP * swapTotal ? swap : undefined,
  growth: ({ growth = 0 }) => growth > 0 ? growth : undefined,
};

/** @param swapTotal of the machine, bytes. @returns those that have a place in the order, by path. */
export function rankCgroups(
  order: CgroupOrder,
  figures: ReadonlyMap<string, CgroupFigures>,
  swapTotal: number,
): ReadonlyMap<string, CgroupRank> {
  const ranked = [...figures].flatMap(([path, each]) => {
    const value = VALUES[order](each, swapTotal);
    return value === undefined ? [] : [{ path, value, usage: each.usage ?? 0 }];
  });
  ranked.sort((a, b) => b.value - a.value || b.usage - a.usage || (a.path < b.path ? -1 : 1));
  return new Map(ranked.map(({ path, value }, place) => [path, { by: order, place, value }]));
}
