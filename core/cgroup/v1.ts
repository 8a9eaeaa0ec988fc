/** cgroup v1 memory controller: kernel, Documentation/admin-guide/cgroup-v1/memory.rst. Pure. */

import { leftOf, parseCount, parseLimit } from "../parse/cgroupfs.ts";
import { FieldReader } from "./field_reader.ts";
import { COUNTERS, FLAGS, LIMITS, SIZES, STATS } from "./fields.ts";
import type { CgroupVersion, ReadFile } from "./version.ts";

/** Usage includes the subtree's, and of memory.stat only the `total_` rows do. */
const createReader = (read: ReadFile) => new FieldReader("v1", read, "total_");

/** v1 counts for the cgroup itself only, and does not count OOMs: it only notifies about them. */
function countersOf(reader: FieldReader, read: ReadFile) {
  const local = reader.counts(COUNTERS);
  // Memory and swap together are charged before memory (mm/memcontrol.c, try_charge_memcg): if both have the same limit, only
  // memory.memsw.failcnt rises. v2 has no combined limit.
  const memswFailcnt = parseCount(read("memory.memsw.failcnt"));
  const max = local.max === undefined ? {} : { max: local.max + (memswFailcnt ?? 0n) };
  return { local: { ...local, ...max }, subtree: {} };
}

export const v1: CgroupVersion = {
  number: 1,
  usageFile: SIZES.usage.v1,
  peakFile: SIZES.peak.v1,
  kernelMemoryFile: STATS.kernel.v1,
  underOomFile: "memory.oom_control",
  limitFile: LIMITS.max.v1,
  countsSubtree: false,
  notifiesThresholds: true,
  notifiesPressureLevels: true,
  canThrottle: false,
  canDisableOomKiller: true,
  protectsPageCache: false,
  countsScannedPages: false,
  omitsForeignPids: true,
  hierarchyFile: "memory.use_hierarchy",
  delegatesControllers: false,

  snapshot(read) {
    const reader = createReader(read);
    return {
      ...reader.sizes(SIZES),
      limits: reader.limits(LIMITS),
      stats: reader.sizes(STATS),
      ...countersOf(reader, read),
      ...reader.flags(FLAGS),
    };
  },

  counters: (read) => countersOf(createReader(read), read),
  limit: (read) => parseLimit(read(LIMITS.max.v1)),

  /** A page that is swapped stays part of memory.memsw: it makes room only as far as that limit lies above the one of memory. */
  roomForSwap(read) {
    const memsw = leftOf(read(LIMITS.memsw.v1), read("memory.memsw.usage_in_bytes"));
    const memory = leftOf(read(LIMITS.max.v1), read(SIZES.usage.v1));
    return memory === Infinity ? memsw : memsw - memory;
  },

  pressure: () => undefined,

  triggers: ({ thresholds, pressureLevels }) => [
    { kind: "eventfd", file: "memory.oom_control", argument: "", event: "oom" },
    // inotify reports a process that writes the limit, on v1 too, but no change that the kernel makes.
    { kind: "inotify", file: LIMITS.max.v1 },
    ...thresholds.map((bytes) => ({
      kind: "eventfd" as const,
      file: SIZES.usage.v1,
      argument: String(bytes),
      event: "threshold" as const,
    })),
    ...pressureLevels.map(({ level, mode }) => ({
      kind: "eventfd" as const,
      file: "memory.pressure_level",
      argument: mode === "default" ? level : `${level},${mode}`,
      event: "pressure" as const,
      level,
    })),
  ],

  refusals: ({ psi }) =>
    psi.length === 0 ? [] : ["a v1 memory cgroup has no PSI file; use --pressure"],
};
