/** cgroup v2 memory controller: kernel, Documentation/admin-guide/cgroup-v2.rst. Pure. */

import { parseKeyed } from "../parse/cgroupfs.ts";
import { parseBytes, parseCount } from "../parse/cgroupfs.ts";
import { parsePressure } from "../parse/cgroupfs.ts";
import type { Counters } from "../snapshot.ts";
import type { CgroupVersion, PsiTrigger, ReadFile } from "./version.ts";
import { omitUndefined } from "../omit_undefined.ts";

function counters(text: string | undefined): Counters {
  const events = parseKeyed(text ?? "");
  return omitUndefined({
    max: parseCount(events.get("max")),
    high: parseCount(events.get("high")),
    oom: parseCount(events.get("oom")),
    oomKill: parseCount(events.get("oom_kill")),
    oomGroupKill: parseCount(events.get("oom_group_kill")),
  });
}

const readCounters = (read: ReadFile) => ({
  local: counters(read("memory.events.local")),
  subtree: counters(read("memory.events")),
});

function flag(text: string | undefined): boolean | undefined {
  const value = text?.trim();
  return value === "1" ? true : value === "0" ? false : undefined;
}

export const v2: CgroupVersion = {
  number: 2,
  usageFile: "memory.current",
  peakFile: "memory.peak",
  limitFile: "memory.max",
  countsSubtree: true,
  notifiesThresholds: false,
  notifiesPressureLevels: false,
  canThrottle: true,
  canDisableOomKiller: false,
  eventsFile: "memory.events",
  freezeFile: "cgroup.freeze",
  delegatesControllers: true,

  snapshot(read) {
    const stat = parseKeyed(read("memory.stat") ?? "");
    const bytes = (key: string) => parseBytes(stat.get(key));
    return omitUndefined({
      usage: parseBytes(read("memory.current")),
      peak: parseBytes(read("memory.peak")),
      limits: omitUndefined({
        max: parseBytes(read("memory.max")),
        high: parseBytes(read("memory.high")),
        low: parseBytes(read("memory.low")),
        min: parseBytes(read("memory.min")),
        swap: parseBytes(read("memory.swap.max")),
      }),
      stats: omitUndefined({
        anon: bytes("anon"),
        file: bytes("file"),
        shmem: bytes("shmem"),
        // `kernel` came with 5.18; before it the sum of its parts is not the whole, so it stays unknown.
        kernel: bytes("kernel"),
        slab: bytes("slab"),
        slabReclaimable: bytes("slab_reclaimable"),
        kernelStack: bytes("kernel_stack"),
        pageTables: bytes("pagetables"),
        sock: bytes("sock"),
        swap: parseBytes(read("memory.swap.current")),
        inactiveFile: bytes("inactive_file"),
        activeFile: bytes("active_file"),
        unevictable: bytes("unevictable"),
      }),
      ...readCounters(read),
      pressure: parsePressure(read("memory.pressure") ?? ""),
      oomGroup: flag(read("memory.oom.group")),
    });
  },

  counters: readCounters,
  limit: (read) => parseBytes(read("memory.max")),

  pressure: (read) => parsePressure(read("memory.pressure") ?? ""),

  triggers: ({ psi }) => [
    // memory.events.local is notified together with memory.events, and hierarchical events are in the latter only.
    // The limits are watched because a write by a process is an event too, though none of the kernel's own.
    { kind: "inotify", file: "memory.events" },
    { kind: "inotify", file: "memory.events.local" },
    { kind: "inotify", file: "cgroup.events" },
    { kind: "inotify", file: "memory.max" },
    { kind: "inotify", file: "memory.high" },
    ...psi.map((trigger: PsiTrigger) => ({
      kind: "psi" as const,
      file: "memory.pressure",
      psi: trigger,
    })),
  ],

  refusals: ({ pressure }) =>
    pressure.length === 0 ? [] : ["memory.pressure_level is cgroup v1 only; use --psi"],
};
