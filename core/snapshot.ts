/**
 * What is known about one cgroup's memory at one moment, in the same terms for cgroup v1 and v2.
 *
 * A field that the kernel does not offer is absent, never zero. Sizes are bytes in a `number` (no machine has 2^53 of
 * them), `Infinity` where the kernel reports no limit. Counters are `bigint`, so that they stay exact.
 */

import type { COUNTERS, FLAGS, LIMITS, SIZES, STATS, Values } from "./cgroup/fields.ts";

/** Limits and protections of one cgroup itself, in bytes; its ancestors may be tighter (see `EffectiveLimit`). */
export type Limits = Values<typeof LIMITS, number>;

/** Bytes by kind of memory, of the cgroup and everything below it. */
export type MemoryStats = Values<typeof STATS, number>;

/** How often something happened since the cgroup was created. */
export type Counters = Values<typeof COUNTERS, bigint>;

/** One line of a PSI file. */
export interface PressureLine {
  /** Percent of wall time stalled in the last 10 s; lags by many seconds. */
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  /** Microseconds stalled since the cgroup was created. */
  readonly total: bigint;
}

/** Pressure stall information (kernel: Documentation/accounting/psi.rst). */
export interface Pressure {
  readonly some?: PressureLine;
  readonly full?: PressureLine;
}

export interface Snapshot extends Values<typeof SIZES, number>, Values<typeof FLAGS, boolean> {
  readonly limits: Limits;
  readonly stats: MemoryStats;
  /** Of this cgroup alone. */
  readonly local: Counters;
  /** Of this cgroup and everything below it; v2 only. */
  readonly subtree: Counters;
  readonly pressure?: Pressure;
}

/** A process as a candidate for the OOM killer. */
export interface Process {
  readonly pid: number;
  /** Clock ticks after boot; with the pid it identifies a process. */
  readonly startTime: bigint;
  readonly comm: string;
  readonly cmdline: readonly string[];
  /** Its pids in nested pid namespaces, outermost first (`NSpid`). */
  readonly nsPids: readonly number[];
  readonly state: string;
  /** Bytes. */
  readonly rss?: number;
  readonly swap?: number;
  readonly pageTables?: number;
  /** 0 to 2000: the kernel's badness relative to all of the machine's memory. */
  readonly oomScore?: number;
  readonly oomScoreAdj?: number;
  /** It was killed or exits by itself, and may not have freed its memory yet. */
  readonly isExiting?: boolean;
  /** Cgroup path. */
  readonly cgroup: string;
}
