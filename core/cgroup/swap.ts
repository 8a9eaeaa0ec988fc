/** How much of a cgroup's memory may still be swapped. */

import { parseSize } from "../parse/cgroupfs.ts";
import {
  accessibleChildrenOf,
  type Cgroup,
  chargedAncestorsOf,
  tryReadControl,
  tryReader,
  tryReadSnapshot,
} from "./cgroup.ts";
import { readMeminfo } from "./machine.ts";
import { tryReadText } from "./files.ts";

/**
 * Bytes that the kernel may still swap before an OOM at the cgroup's limit: the least of what is left of the machine's swap and of the
 * swap limits of the cgroup and its ancestors (mm/memcontrol.c, mem_cgroup_get_nr_swap_pages). 0 when any of it is unknown, and where
 * swappiness forbids to swap.
 *
 * @param usedLimit the share of the machine's swap that may be in use.
 */
export function readSwapLeft(cgroup: Cgroup, usedLimit = 1): number {
  const { swapTotal, swapFree } = readMeminfo(cgroup.machine?.meminfo);
  if (swapTotal === undefined || swapFree === undefined) return 0;
  const left = swapFree - (1 - usedLimit) * swapTotal;
  if (left <= 0 || neverSwaps(cgroup)) return 0;
  const chain = [cgroup, ...chargedAncestorsOf(cgroup)];
  const { roomForSwap } = cgroup.hierarchy.version;
  return Math.max(0, Math.min(left, ...chain.map((each) => roomForSwap(tryReader(each)))));
}

/**
 * Bytes of anonymous memory and tmpfs that stay in memory although the machine has swap: what their cgroups may still swap is less, as
 * with MemorySwapMax=0 of a service, or for most pods of a node with swap.
 */
export const readUnswappable = (root: Cgroup): number =>
  accessibleChildrenOf(root).reduce((sum, each) => sum + unswappableIn(each), 0);

function unswappableIn(cgroup: Cgroup): number {
  const room = Math.max(0, cgroup.hierarchy.version.roomForSwap(tryReader(cgroup)));
  const below = room === 0 ? 0 : readUnswappable(cgroup);
  if (room === Infinity) return below;
  const { anon = 0, shmem = 0 } = tryReadSnapshot(cgroup, ["memory.stat"]).stats;
  return Math.max(below, anon + shmem - room);
}

/**
 * At a limit swappiness 0 forbids to swap; the machine swaps all the same when it has nothing else to reclaim (mm/vmscan.c,
 * get_scan_count), but not with the multi-generational LRU (isolate_folios).
 */
function neverSwaps(cgroup: Cgroup): boolean {
  if (swappinessOf(cgroup) !== 0) return false;
  if (cgroup.machine === undefined) return true;
  // Documentation/admin-guide/mm/multigen_lru.rst: a number in hexadecimal, of which bit 0 is the main switch.
  return (Number(tryReadText(cgroup.machine.lruGen) ?? 0) & 1) === 1;
}

/** v1 has one for each cgroup, v2 only that of the machine. */
function swappinessOf(cgroup: Cgroup): number | undefined {
  const own = tryReadControl(cgroup, "memory.swappiness");
  return parseSize(own ?? tryReadText("/proc/sys/vm/swappiness"));
}
