/** What cgroup v1 and v2 each offer, as data: after discovery, code asks for a capability and not for the version. */

import type { Counters, Pressure, Snapshot } from "../snapshot.ts";

/** The text of one control file of one cgroup; `undefined` if there is no such file. */
export type ReadFile = (name: string) => string | undefined;

export type PressureLevel = "low" | "medium" | "critical";
/** Which cgroups are notified of pressure: kernel, Documentation/admin-guide/cgroup-v1/memory.rst, section 11. */
export type PressureMode = "default" | "local" | "hierarchy";

/** A stall of `kind` for `stall` within `window`, both in microseconds. */
export interface PsiTrigger {
  readonly kind: "some" | "full";
  readonly stall: number;
  readonly window: number;
}

/** What to be notified about, besides OOMs. */
export interface Interests {
  /** Usage in bytes. */
  readonly thresholds: readonly number[];
  /** Of v1 `memory.pressure_level`. */
  readonly pressureLevels: readonly {
    readonly level: PressureLevel;
    readonly mode: PressureMode;
  }[];
  /** Of the PSI file `memory.pressure`. */
  readonly psi: readonly PsiTrigger[];
}

/** A notification to request from the kernel, as data; core/watch/triggers.ts arms it. */
export type Trigger =
  | {
    readonly kind: "eventfd";
    /** The control file that goes into cgroup.event_control, as a descriptor. */
    readonly file: string;
    readonly argument: string;
    readonly event: "oom" | "threshold" | "pressure";
    readonly level?: PressureLevel;
  }
  | { readonly kind: "inotify"; readonly file: string }
  | { readonly kind: "psi"; readonly file: string; readonly psi: PsiTrigger };

export interface CgroupVersion {
  readonly number: 1 | 2;
  /** The file with the usage in bytes: the one that is read most often. */
  readonly usageFile: string;
  readonly peakFile: string;
  /** Kernel memory, of which the version does not tell how much is reclaimable; absent where memory.stat does. */
  readonly kernelMemoryFile?: string;
  /** Has `under_oom 1` while allocators wait at the limit, because the kernel found nothing to reclaim; absent where it kills instead. */
  readonly underOomFile?: string;
  /** Written to change the limit. */
  readonly limitFile: string;
  snapshot(read: ReadFile): Snapshot;
  /** Only the counters, which are read at each wake-up. */
  counters(read: ReadFile): { readonly local: Counters; readonly subtree: Counters };
  /** Only the limit, in bytes; `Infinity` for none. */
  limit(read: ReadFile): number | undefined;
  /** Bytes that its own limit of swap leaves; `Infinity` where it sets none. */
  roomForSwap(read: ReadFile): number;
  /** Only the PSI of the cgroup; `undefined` without PSI. */
  pressure(read: ReadFile): Pressure | undefined;
  triggers(interests: Interests): Trigger[];
  /** Interests that this version cannot notify about, each with the reason: they need a poll. */
  refusals(interests: Interests): string[];
  /** True if there are counters of a whole subtree, which include those of removed children. */
  readonly countsSubtree: boolean;
  /** True if the kernel notifies when usage crosses a threshold; false if it takes a poll. */
  readonly notifiesThresholds: boolean;
  /** True if `memory.pressure_level` notifies. */
  readonly notifiesPressureLevels: boolean;
  /** True if `memory.high` slows allocators down. */
  readonly canThrottle: boolean;
  /** True if `memory.oom_control` disables the kernel's OOM killer. */
  readonly canDisableOomKiller: boolean;
  /** True if `memory.min` and `memory.low` keep page cache from being reclaimed. */
  readonly protectsPageCache: boolean;
  /** True if memory.stat has the pages that were scanned for reclaim. */
  readonly countsScannedPages: boolean;
  /** The file that reports POLLPRI when a counter rises. */
  readonly eventsFile?: string;
  /** The file that freezes the cgroup; absent if the freezer is a hierarchy of its own. */
  readonly freezeFile?: "cgroup.freeze";
  /** True if cgroup.procs leaves out the processes of other pid namespaces; false if it lists each of them as 0. */
  readonly omitsForeignPids: boolean;
  /** The file with 0 where the children are not charged to the cgroup; absent if they always are. */
  readonly hierarchyFile?: "memory.use_hierarchy";
  /** True if a parent must enable controllers for its children in cgroup.subtree_control. */
  readonly delegatesControllers: boolean;
}
