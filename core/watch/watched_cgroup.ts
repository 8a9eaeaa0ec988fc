/** The state of one watched cgroup, as one record for each module that writes it. Times are `performance.now()`. */

import { readEffectiveLimit } from "../cgroup/ancestry.ts";
import { type Cgroup, readSummary } from "../cgroup/cgroup.ts";
import { pidsOf } from "../cgroup/processes.ts";
import type { Source } from "../events/event.ts";
import { type ControlFile, openWithinBudget } from "../kernel/control_file.ts";
import type { EffectiveLimit } from "../policy/limits.ts";
import type { Counters } from "../snapshot.ts";
import type { RemovedChildrenKills } from "./removed_kills.ts";
import type { Armed } from "./triggers.ts";

export interface WatchedCgroup {
  readonly cgroup: Cgroup;
  /** Given by the user, not found below a target. */
  readonly isTarget: boolean;
  /** Its kills are those of its whole subtree, because the cgroups below it are not watched. */
  readonly countsSubtree: boolean;
  /** v2: the parent's account, which still counts its kills after its removal. */
  readonly removedKills?: RemovedChildrenKills;
  readonly counters: CounterState;
  readonly memory: MemoryState;
  readonly polls: PollState;
  readonly notifications: NotificationState;
  readonly kills: KillState;
  /** When its removal was noticed. */
  removedAt: number | undefined;
}

/** Counters of the cgroup alone, and of its subtree. */
export interface BothCounters {
  readonly local: Counters;
  readonly subtree: Counters;
}

/** Written by `ChangeDetector`. */
export interface CounterState {
  /** When the watch began; all zero for a cgroup that was created later. */
  readonly first: BothCounters;
  last: BothCounters;
  /** `last`, with the earlier value of each counter that could not be read. */
  known: BothCounters;
  /** When they were last read: every kill before that is counted. */
  readAt: number;
  /** When `max` and `high` were last reported: a thrashing cgroup raises them hundreds of times a second. */
  reportedAt: number;
  reportedMax: bigint | undefined;
  reportedHigh: bigint | undefined;
}

export interface Threshold {
  readonly bytes: number;
  isAbove: boolean;
}

/** Bytes. Written by `ChangeDetector`. */
export interface MemoryState {
  /** The cgroup's own. */
  limit: number | undefined;
  effective: EffectiveLimit;
  usage: number | undefined;
  peak: number | undefined;
  thresholds: Threshold[];
}

/** When to read without a notification. Written by `Watch` and `ChangeDetector`. */
export interface PollState {
  /** `Infinity` when a notification is all that is waited for. */
  nextAt: number;
  /** The same for usage alone, where thresholds are polled. */
  nextUsageAt: number;
  usageReadAt: number;
  /** Only where thresholds are polled. */
  usageFile?: ControlFile;
}

/** Written by `Sources`, `reportedOoms` by `ChangeDetector`. */
export interface NotificationState {
  armed: Armed[];
  /** Which source notifies of OOMs; `poll` where none does. */
  source: Source;
  /** v1: signals of the OOM eventfd; the removal of the cgroup is one of them. */
  ooms: number;
  /** v1: how many of those were reported as `oom`. */
  reportedOoms: number;
}

/** Written by `KillMatcher`; the suspicion also by `ChangeDetector` (raised by an OOM) and `Watch`. */
export interface KillState {
  /**
   * Kills logged before this are in the counters that the watch began with; `-Infinity` for a cgroup that was created
   * later.
   */
  readonly since: number;
  /** Kills counted but not reported; negative when the kernel log was ahead of the counter. */
  pending: bigint;
  pendingSince: number;
  /** The earliest time at which those kills can have been logged. */
  pendingFrom: number;
  /** `oom_kill` events reported. */
  victims: number;
  /** How often the kernel log named one of those again. */
  repeated: number;
  /**
   * Signs of kills that no counter has shown yet, and that a removal would make uncountable; negative when kills were
   * reported before the OOM behind them was notified.
   */
  suspected: number;
  /** It was removed, and its last notification was either the removal or one more OOM. */
  maybeKilled: boolean;
  /**
   * Its processes at the last OOM, with the time at which each was seen: they stay listed until they have freed their
   * memory.
   */
  readonly pids: Map<number, number>;
  /** The last sign of an OOM or a kill. */
  lastOomAt: number;
  /** Kills reported that its counter did not show before its removal. */
  beforeRemoval: bigint;
}

/** The counters that its events are about. */
export function relevantCounters(
  { countsSubtree }: Pick<WatchedCgroup, "countsSubtree">,
  { local, subtree }: BothCounters,
): Counters {
  const hasSubtree = subtree.oomKill !== undefined;
  return hasSubtree && (countsSubtree || local.oomKill === undefined) ? subtree : local;
}

interface Origin {
  readonly isTarget: boolean;
  readonly countsSubtree: boolean;
  /** Created after the watch began, so that everything it has counted is new. */
  readonly isNew: boolean;
  readonly removedKills: RemovedChildrenKills | undefined;
}

/** Reads a cgroup for the first time; `undefined` when it is gone. Throws `OomkitError` when a file may not be read. */
export function createWatchedCgroup(cgroup: Cgroup, origin: Origin): WatchedCgroup | undefined {
  const since = origin.isNew ? -Infinity : performance.now();
  const summary = readSummary(cgroup);
  if (summary === undefined) return undefined;
  const { local, subtree, limits, usage, peak } = summary;
  const first = origin.isNew
    ? { local: zeroed(local), subtree: zeroed(subtree) }
    : { local, subtree };
  const effective = readEffectiveLimit(cgroup);
  return {
    ...initialState(cgroup, origin, first, since),
    memory: { limit: limits.max, effective, usage, peak, thresholds: [] },
  };
}

/** A cgroup that was created and removed before it could be read. */
export function createMissedCgroup(
  cgroup: Cgroup,
  removedKills: RemovedChildrenKills | undefined,
): WatchedCgroup {
  const origin = { isTarget: false, countsSubtree: false, isNew: true, removedKills };
  return initialState(cgroup, origin, { local: {}, subtree: {} }, -Infinity);
}

function zeroed(counters: Counters): Counters {
  return Object.fromEntries(Object.keys(counters).map((key) => [key, 0n]));
}

function initialState(
  cgroup: Cgroup,
  { isTarget, countsSubtree, removedKills }: Origin,
  first: BothCounters,
  since: number,
): WatchedCgroup {
  const { max, high } = relevantCounters({ countsSubtree }, first);
  return {
    cgroup,
    isTarget,
    countsSubtree,
    ...(removedKills && { removedKills }),
    counters: {
      first,
      last: first,
      known: first,
      readAt: -Infinity,
      reportedAt: -Infinity,
      reportedMax: max,
      reportedHigh: high,
    },
    memory: {
      limit: undefined,
      effective: { bytes: Infinity },
      usage: undefined,
      peak: undefined,
      thresholds: [],
    },
    polls: { nextAt: Infinity, nextUsageAt: Infinity, usageReadAt: -Infinity },
    notifications: { armed: [], source: "poll", ooms: 0, reportedOoms: 0 },
    kills: {
      since,
      pending: 0n,
      pendingSince: Infinity,
      pendingFrom: -Infinity,
      victims: 0,
      repeated: 0,
      suspected: 0,
      maybeKilled: false,
      pids: new Map(),
      lastOomAt: -Infinity,
      beforeRemoval: 0n,
    },
    removedAt: undefined,
  };
}

/** For polling; the file stays open while enough descriptors are free. */
export function openUsageFile({ cgroup: { dir, hierarchy }, polls }: WatchedCgroup): void {
  polls.usageFile ??= openWithinBudget(`${dir}/${hierarchy.version.usageFile}`);
}

/** Closes everything that is open for it. */
export function disarm({ notifications, polls }: WatchedCgroup): void {
  for (const armed of notifications.armed) armed.disarm();
  notifications.armed = [];
  polls.usageFile?.close();
  delete polls.usageFile;
}

/** A kill is logged within milliseconds of the OOM, and its line is waited for at most a quarter of a second. */
const PID_MEMORY_MS = 10_000;

/** Remembers its processes. Older pids are dropped, because the kernel reuses pids. */
export function rememberPids(
  { cgroup, kills: { pids } }: {
    readonly cgroup: Cgroup;
    readonly kills: Pick<KillState, "pids">;
  },
  now: number,
): void {
  for (const [pid, at] of pids) if (now - at > PID_MEMORY_MS) pids.delete(pid);
  for (const pid of pidsOf(cgroup) ?? []) pids.set(pid, now);
}
