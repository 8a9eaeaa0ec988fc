/** cgroup v1 memory controller: kernel, Documentation/admin-guide/cgroup-v1/memory.rst. Pure. */

import { parseKeyed } from "../parse/cgroupfs.ts";
import { parseBytes, parseCount } from "../parse/cgroupfs.ts";
import type { Counters } from "../snapshot.ts";
import { omitUndefined } from "../omit_undefined.ts";
import type { CgroupVersion, ReadFile } from "./version.ts";

/** v1 counts only for the cgroup itself, and does not count OOMs at all: it only notifies about them. */
function readCounters(read: ReadFile): { local: Counters; subtree: Counters } {
  const control = parseKeyed(read("memory.oom_control") ?? "");
  return {
    local: omitUndefined({
      max: limitHits(read),
      oomKill: parseCount(control.get("oom_kill")),
    }),
    subtree: {},
  };
}

/**
 * Where memory and swap together have the same limit it is hit first and counts in its own file; v2 has one counter for
 * both.
 */
function limitHits(read: ReadFile): bigint | undefined {
  const memory = parseCount(read("memory.failcnt")?.trim());
  const withSwap = parseCount(read("memory.memsw.failcnt")?.trim());
  return memory === undefined ? undefined : memory + (withSwap ?? 0n);
}

function flag(value: string | undefined): boolean | undefined {
  return value === "1" ? true : value === "0" ? false : undefined;
}

export const v1: CgroupVersion = {
  number: 1,
  usageFile: "memory.usage_in_bytes",
  peakFile: "memory.max_usage_in_bytes",
  limitFile: "memory.limit_in_bytes",
  countsSubtree: false,
  notifiesThresholds: true,
  notifiesPressureLevels: true,
  canThrottle: false,
  canDisableOomKiller: true,
  delegatesControllers: false,

  snapshot(read) {
    const stat = parseKeyed(read("memory.stat") ?? "");
    const control = parseKeyed(read("memory.oom_control") ?? "");
    // Usage is that of the subtree, so the parts are too: the `total_` rows, without which there is no hierarchy.
    const bytes = (key: string) => parseBytes(stat.get(`total_${key}`) ?? stat.get(key));
    return omitUndefined({
      usage: parseBytes(read("memory.usage_in_bytes")),
      peak: parseBytes(read("memory.max_usage_in_bytes")),
      limits: omitUndefined({
        max: parseBytes(read("memory.limit_in_bytes")),
        soft: parseBytes(read("memory.soft_limit_in_bytes")),
        memsw: parseBytes(read("memory.memsw.limit_in_bytes")),
      }),
      stats: omitUndefined({
        // v1's `rss` is what v2 calls `anon`: anonymous memory and swap cache, not the sum of resident sets.
        anon: bytes("rss"),
        file: bytes("cache"),
        shmem: bytes("shmem"),
        kernel: parseBytes(read("memory.kmem.usage_in_bytes")),
        sock: parseBytes(read("memory.kmem.tcp.usage_in_bytes")),
        swap: bytes("swap"),
        inactiveFile: bytes("inactive_file"),
        activeFile: bytes("active_file"),
        unevictable: bytes("unevictable"),
      }),
      ...readCounters(read),
      oomKillDisabled: flag(control.get("oom_kill_disable")),
      underOom: flag(control.get("under_oom")),
      hierarchicalLimit: parseBytes(stat.get("hierarchical_memory_limit")),
    });
  },

  counters: readCounters,
  limit: (read) => parseBytes(read("memory.limit_in_bytes")),

  pressure: () => undefined,

  triggers: ({ thresholds, pressure }) => [
    { kind: "eventfd", file: "memory.oom_control", argument: "", tells: "oom" },
    // A write of a process to the limit is an inotify event on v1 too, though no change made by the kernel is.
    { kind: "inotify", file: "memory.limit_in_bytes" },
    ...thresholds.map((bytes) => ({
      kind: "eventfd" as const,
      file: "memory.usage_in_bytes",
      argument: String(bytes),
      tells: "threshold" as const,
    })),
    ...pressure.map(({ level, mode }) => ({
      kind: "eventfd" as const,
      file: "memory.pressure_level",
      argument: mode === "default" ? level : `${level},${mode}`,
      tells: "pressure" as const,
      level,
    })),
  ],

  refusals: ({ psi }) =>
    psi.length === 0 ? [] : ["a v1 memory cgroup has no PSI file; use --pressure"],
};
