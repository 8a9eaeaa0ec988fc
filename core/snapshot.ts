/**
 * The nouns: what is known about one cgroup's memory at one moment, in the same words for cgroup v1 and v2.
 *
 * A field that the kernel does not offer is absent, never zero. Sizes are bytes in a `number` (no machine has 2^53 of
 * them), `Infinity` where the kernel says that there is no limit. Counters are `bigint`, so that they stay exact.
 */

/** Limits and protections of one cgroup itself, in bytes; its ancestors may be tighter (see `EffectiveLimit`). */
export interface Limits {
  /** v2 `memory.max`, v1 `memory.limit_in_bytes`. */
  readonly max?: number;
  /** v2 `memory.high`: above it the kernel slows allocators down. */
  readonly high?: number;
  /** v2 `memory.low`. */
  readonly low?: number;
  /** v2 `memory.min`. */
  readonly min?: number;
  /** v1 `memory.soft_limit_in_bytes`. */
  readonly soft?: number;
  /** v2 `memory.swap.max`: swap alone. */
  readonly swap?: number;
  /** v1 `memory.memsw.limit_in_bytes`: memory and swap together. */
  readonly memsw?: number;
}

/** What the memory is, in bytes, of the cgroup and everything beneath it. */
export interface MemoryStats {
  readonly anon?: number;
  /** Page cache, tmpfs and shared memory included. */
  readonly file?: number;
  /** tmpfs and shared memory: counted in `file`, but not reclaimable without swap. */
  readonly shmem?: number;
  /** All kernel memory; the four below are parts of it, except `sock`. */
  readonly kernel?: number;
  readonly slab?: number;
  readonly slabReclaimable?: number;
  readonly kernelStack?: number;
  readonly pageTables?: number;
  readonly sock?: number;
  readonly swap?: number;
  readonly inactiveFile?: number;
  readonly activeFile?: number;
  readonly unevictable?: number;
}

/** How often something happened since the cgroup was made. */
export interface Counters {
  /** The limit was hit and the kernel had to reclaim: v2 `max`, v1 `memory.failcnt`. */
  readonly max?: bigint;
  /** v2 `high`: allocators were slowed down. */
  readonly high?: bigint;
  /** v2 `oom`: the limit was hit and reclaim failed. v1 does not count it; it only notifies. */
  readonly oom?: bigint;
  /** Processes that the kernel killed. With `memory.oom.group` the first victim is counted twice. */
  readonly oomKill?: bigint;
  /** v2 `oom_group_kill`: times that the whole cgroup was killed at once. */
  readonly oomGroupKill?: bigint;
}

/** One line of a PSI file. */
export interface PressureLine {
  /** Percent of wall time stalled in the last 10 s; lags by many seconds. */
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  /** Microseconds stalled since the cgroup was made. */
  readonly total: bigint;
}

/** Pressure stall information (kernel: Documentation/accounting/psi.rst). */
export interface Pressure {
  readonly some?: PressureLine;
  readonly full?: PressureLine;
}

export interface Snapshot {
  /** v2 `memory.current`, v1 `memory.usage_in_bytes`: this cgroup and everything beneath it. */
  readonly usage?: number;
  readonly peak?: number;
  readonly limits: Limits;
  readonly stats: MemoryStats;
  /** Of this cgroup alone. */
  readonly local: Counters;
  /** Of this cgroup and everything beneath it; v2 only. */
  readonly subtree: Counters;
  readonly pressure?: Pressure;
  /** v2 `memory.oom.group`: one victim takes the whole cgroup along. */
  readonly oomGroup?: boolean;
  /** v1 `oom_kill_disable`: at the limit allocators sleep instead of dying. */
  readonly oomKillDisabled?: boolean;
  /** v1 `under_oom`: allocators are waiting for memory right now. */
  readonly underOom?: boolean;
  /** v1 `hierarchical_memory_limit`: the tightest limit in the ancestry, hidden ancestors included. */
  readonly hierarchicalLimit?: number;
}

/** A process as a candidate for the OOM killer. */
export interface Process {
  readonly pid: number;
  /** Clock ticks after boot; with the pid it identifies a process. */
  readonly startTime: bigint;
  readonly comm: string;
  readonly cmdline: readonly string[];
  /** The pids it has in nested pid namespaces, outermost first (`NSpid`). */
  readonly nsPids: readonly number[];
  readonly state: string;
  /** Bytes. */
  readonly rss?: number;
  readonly swap?: number;
  readonly pageTables?: number;
  /** 0 to 2000: the kernel's badness over all of the machine's memory. */
  readonly oomScore?: number;
  readonly oomScoreAdj?: number;
  /** Cgroup path, where it is not that of the target itself. */
  readonly cgroup: string;
}
