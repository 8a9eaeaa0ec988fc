/** What cgroup v1 and v2 each have to say; after discovery nobody asks for the version. */

import type { Counters, Pressure, Snapshot } from "../snapshot.ts";

/** Text of one control file of one cgroup; `undefined` when it is not there. */
export type ReadFile = (name: string) => string | undefined;

export type PressureLevel = "low" | "medium" | "critical";
/** Who is told of pressure: kernel, Documentation/admin-guide/cgroup-v1/memory.rst, section 11. */
export type PressureMode = "default" | "local" | "hierarchy";

/** A stall of `kind` for `stall` within `window`, both in microseconds. */
export interface PsiTrigger {
  readonly kind: "some" | "full";
  readonly stall: number;
  readonly window: number;
}

/** What one wants to be notified about, besides OOMs. */
export interface Interests {
  /** Usage in bytes. */
  readonly thresholds: readonly number[];
  readonly pressure: readonly { readonly level: PressureLevel; readonly mode: PressureMode }[];
  readonly psi: readonly PsiTrigger[];
}

/** What the kernel should notify about, as data; one place arms it. */
export type Trigger =
  | {
    readonly kind: "eventfd";
    /** The control file whose descriptor goes into cgroup.event_control. */
    readonly file: string;
    readonly argument: string;
    readonly tells: "oom" | "threshold" | "pressure";
    readonly level?: PressureLevel;
  }
  | { readonly kind: "inotify"; readonly file: string }
  | { readonly kind: "psi"; readonly file: string; readonly psi: PsiTrigger };

export interface CgroupVersion {
  readonly number: 1 | 2;
  /** The file with the usage in bytes: what is read most often. */
  readonly usageFile: string;
  readonly peakFile: string;
  /** Written to change the limit. */
  readonly limitFile: string;
  snapshot(read: ReadFile): Snapshot;
  /** The counters alone, which is what a wake asks for. */
  counters(read: ReadFile): { readonly local: Counters; readonly subtree: Counters };
  /** The limit alone; `Infinity` for none. */
  limit(read: ReadFile): number | undefined;
  /** The pressure alone; absent where there is no PSI. */
  pressure(read: ReadFile): Pressure | undefined;
  triggers(interests: Interests): Trigger[];
  /** Interests that this version cannot notify about, each with the reason; a poll has to stand in. */
  refusals(interests: Interests): string[];
  /** True when counters exist for a cgroup and everything beneath it, so that a parent knows of removed children. */
  readonly countsSubtree: boolean;
  /** True when crossing a usage threshold wakes; false when a poll has to look. */
  readonly notifiesThresholds: boolean;
  /** True where `memory.pressure_level` notifies. */
  readonly notifiesPressureLevels: boolean;
  /** True where `memory.high` slows allocators down. */
  readonly canThrottle: boolean;
  /** True where `memory.oom_control` switches the kernel's OOM killer off. */
  readonly canDisableOomKiller: boolean;
  /** The file that reports POLLPRI when a counter rises. */
  readonly eventsFile?: string;
  /** The file that freezes the cgroup; where there is none, the freezer is a hierarchy of its own. */
  readonly freezeFile?: string;
  /** True where a parent must enable controllers for its children in cgroup.subtree_control. */
  readonly delegatesControllers: boolean;
}
