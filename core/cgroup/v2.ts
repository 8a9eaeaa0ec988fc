/** cgroup v2 memory controller: kernel, Documentation/admin-guide/cgroup-v2.rst. Pure. */

import { omitUndefined } from "../omit_undefined.ts";
import { parseBytes, parsePressure } from "../parse/cgroupfs.ts";
import { FieldReader } from "./field_reader.ts";
import { COUNTERS, FLAGS, LIMITS, SIZES, STATS } from "./fields.ts";
import type { CgroupVersion, ReadFile } from "./version.ts";

function readCounters(read: ReadFile) {
  const readLocal = (file: string) => read(file === "memory.events" ? "memory.events.local" : file);
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
  eventsFile: "memory.events",
  freezeFile: "cgroup.freeze",
  delegatesControllers: true,

  snapshot(read) {
    const reader = new FieldReader("v2", read);
    return omitUndefined({
      ...reader.bytes(SIZES),
      limits: reader.bytes(LIMITS),
      stats: reader.bytes(STATS),
      ...readCounters(read),
      pressure: readPressure(read),
      ...reader.flags(FLAGS),
    });
  },

  counters: readCounters,
  limit: (read) => parseBytes(read(LIMITS.max.v2)),
  pressure: readPressure,

  triggers: ({ psi }) => [
    // memory.events.local is notified together with memory.events, and hierarchical events are in the latter only.
    // The limits are watched because inotify reports a process that writes them, though no change that the kernel makes.
    { kind: "inotify", file: "memory.events" },
    { kind: "inotify", file: "memory.events.local" },
    { kind: "inotify", file: "cgroup.events" },
    { kind: "inotify", file: LIMITS.max.v2 },
    { kind: "inotify", file: LIMITS.high.v2 },
    ...psi.map((trigger) => ({ kind: "psi" as const, file: "memory.pressure", psi: trigger })),
  ],

  refusals: ({ pressure }) =>
    pressure.length === 0 ? [] : ["memory.pressure_level is cgroup v1 only; use --psi"],
};
