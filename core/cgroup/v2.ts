/** cgroup v2 memory controller: kernel, Documentation/admin-guide/cgroup-v2.rst. Pure. */

import { omitUndefined } from "../omit_undefined.ts";
import { leftOf, parseLimit, parsePressure } from "../parse/cgroupfs.ts";
import { FieldReader } from "./field_reader.ts";
import { COUNTERS, FLAGS, LIMITS, SIZES, STATS } from "./fields.ts";
import type { CgroupVersion, ReadFile } from "./version.ts";

function readCounters(read: ReadFile) {
  // No other file with counters has a local counterpart: they have no local value.
  const readLocal = (file: string) =>
    file === "memory.events" ? read("memory.events.local") : undefined;
  return {
    local: new FieldReader("v2", readLocal).counts(COUNTERS),
    subtree: new FieldReader("v2", read).counts(COUNTERS),
  };
}

const readPressure = (read: ReadFile) => parsePressure(read("memory.pressure") ?? "");

export const v2: CgroupVersion = {
  number: 2,
  usageFile: SIZES.usage.v2,
  peakFile: SIZES.peak.v2,
  limitFile: LIMITS.max.v2,
  countsSubtree: true,
  notifiesThresholds: false,
  notifiesPressureLevels: false,
  canThrottle: true,
  canDisableOomKiller: false,
  protectsPageCache: true,
  countsScannedPages: true,
  eventsFile: "memory.events",
  freezeFile: "cgroup.freeze",
  omitsForeignPids: false,
  delegatesControllers: true,

  snapshot(read) {
    const reader = new FieldReader("v2", read);
    return omitUndefined({
      ...reader.sizes(SIZES),
      limits: reader.limits(LIMITS),
      stats: reader.sizes(STATS),
      ...readCounters(read),
      pressure: readPressure(read),
      ...reader.flags(FLAGS),
    });
  },

  counters: readCounters,
  limit: (read) => parseLimit(read(LIMITS.max.v2)),
  roomForSwap: (read) => leftOf(read(LIMITS.swap.v2), read(STATS.swap.v2)),
  pressure: readPressure,

  triggers: ({ psi }) => [
    // Notified of all events of the subtree, and so of all that memory.events.local counts (memcg_memory_event).
    { kind: "inotify", file: "memory.events" },
    // The kernel notifies of each file at most once in 10 ms (cgroup_file_notify): a kill soon after its OOM is notified late.
    // `populated 0` has its own 10 ms, and leads to a read of the last counters before the cgroup is removed.
    { kind: "inotify", file: "cgroup.events" },
    // inotify reports a process that writes the limit, but no change that the kernel makes.
    { kind: "inotify", file: LIMITS.max.v2 },
    ...psi.map((trigger) => ({ kind: "psi" as const, file: "memory.pressure", psi: trigger })),
  ],

  refusals: ({ pressureLevels }) =>
    pressureLevels.length === 0 ? [] : ["memory.pressure_level is cgroup v1 only; use --psi"],
};

const readLocalCounters = (read: ReadFile) => ({
  local: new FieldReader("v2", read).counts(COUNTERS),
  subtree: {},
});

/**
 * With the mount option `memory_localevents` every file of events counts the cgroup alone (mm/memcontrol.c, memcg_memory_event): no
 * counter includes the cgroups below.
 */
export const v2WithLocalEvents: CgroupVersion = {
  ...v2,
  countsSubtree: false,
  counters: readLocalCounters,
  snapshot: (read) => ({ ...v2.snapshot(read), ...readLocalCounters(read) }),
};
