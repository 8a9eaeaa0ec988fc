/** The machine as a memory cgroup: its limit and its usage, of one reading of `/proc/meminfo` (proc(5)). Pure. */

import { parseKilobytes } from "./procfs.ts";

/** Bytes. */
export interface MachineUsage {
  /** MemTotal without huge pages: those are reserved, whether or not they are in use. */
  readonly limit: number;
  /** What is not available: page cache and slab that the kernel can reclaim count as available. */
  readonly usage: number;
  /** Anonymous memory and tmpfs, which swap may take. */
  readonly activeAnon: number;
  readonly inactiveAnon: number;
}

/**
 * `undefined` where MemAvailable is missing (before Linux 3.14), or the figures contradict each other, as where a container's file has
 * figures of the container and of the machine.
 *
 * @param arcstats `/proc/spl/kstat/zfs/arcstats`; empty without ZFS.
 */
export function parseMachineUsage(meminfo: string, arcstats = ""): MachineUsage | undefined {
  const bytes = (key: string) => {
    const at = meminfo.indexOf(`\n${key}:`);
    const end = meminfo.indexOf("\n", at + 1);
    return at < 0 || end < 0 ? undefined : parseKilobytes(meminfo.slice(at + key.length + 2, end));
  };
  // The first line has no newline before it.
  const total = parseKilobytes(/^MemTotal:(.*)\n/.exec(meminfo)?.[1]);
  const available = bytes("MemAvailable");
  if (total === undefined || available === undefined) return undefined;
  const limit = total - (bytes("Hugetlb") ?? hugePages(meminfo, bytes("Hugepagesize")));
  if (limit <= 0 || available > limit) return undefined;
  return {
    limit,
    usage: Math.max(0, limit - available - reclaimableArc(arcstats)),
    activeAnon: bytes("Active(anon)") ?? 0,
    inactiveAnon: bytes("Inactive(anon)") ?? 0,
  };
}

/** Before Linux 4.18, which counts only those of the default size. */
function hugePages(meminfo: string, size = 0): number {
  return size * Number(/^HugePages_Total: +(\d+)$/m.exec(meminfo)?.[1] ?? 0);
}

/**
 * The cache of ZFS is no page cache: MemAvailable counts it as used, although it shrinks down to `c_min` when memory runs short
 * (OpenZFS, module/zfs/arc.c, arc_reduce_target_size).
 */
function reclaimableArc(arcstats: string): number {
  const of = (name: string) =>
    Number(new RegExp(`^${name} +\\d+ +(\\d+)$`, "m").exec(arcstats)?.[1]);
  const reclaimable = of("size") - of("c_min");
  return reclaimable > 0 ? reclaimable : 0;
}

/** The rows of a memory.stat that a kill is decided by. What can be reclaimed is no part of usage here. */
export const machineStat = ({ activeAnon, inactiveAnon }: MachineUsage): string =>
  `inactive_anon ${inactiveAnon}\nactive_anon ${activeAnon}\ninactive_file 0\nactive_file 0\n`;
