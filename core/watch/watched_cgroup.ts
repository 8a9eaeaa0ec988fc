/** The state of one watched cgroup, as one record for each module that writes it. Times are `performance.now()`. */

import { type AncestorLimits, readEffectiveLimit } from "../cgroup/ancestry.ts";
import {
  ancestorsOf,
  type Cgroup,
  readCounters,
  readLimit,
  readPeak,
  readUsage,
  walk,
} from "../cgroup/cgroup.ts";
import { tryExists, unlessRefused } from "../cgroup/files.ts";
import { pidsOf } from "../cgroup/processes.ts";
import type { PressureLevel } from "../cgroup/version.ts";
import type { Source } from "../events/event.ts";
import { type ControlFile, openWithinBudget } from "../kernel/control_file.ts";
import type { EffectiveLimit } from "../policy/limits.ts";
import type { Counters } from "../snapshot.ts";
import type { WatchOptions } from "./options.ts";
import { RateLimitedCount } from "./rate_limited_count.ts";
import type { RemovedChildrenKills } from "./removed_kills.ts";
import type { Threshold } from "./threshold.ts";
import type { Armed } from "./triggers.ts";

export interface WatchedCgroup {
  readonly cgroup: Cgroup;
  /** Given by the user, not found below a target. */
  readonly isTarget: boolean;
  /** Its events are about its whole subtree, because the cgroups below it are not watched. */
  readonly representsSubtree: boolean;
  /**
   * v2: the nearest ancestor with the memory controller, which is charged for it and counts its OOMs; `null` for the root, which does not
   * count; absent where it has the controller itself.
   */
  readonly chargedTo?: string | null;
  /** It is watched only because it is charged for a target. */
  readonly isStandIn: boolean;
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
class CounterState {
  last: BothCounters;
  /** `last`, with the earlier value of each counter that could not be read. */
  known: BothCounters;
  /** When they were last read: every kill before that is counted. */
  readAt = -Infinity;
  /** Rises that are not reported yet, in the order in which they are. Kills are not among them: they are never held back. */
  readonly unreported = {
    high: new RateLimitedCount(),
    max: new RateLimitedCount(),
    oom: new RateLimitedCount(),
  };

  /** @param first when the watch began; all zero for a cgroup that was created later. */
  constructor(readonly first: BothCounters) {
    this.last = this.known = first;
  }
}

/** Bytes. Written by `ChangeDetector`. */
class MemoryState {
  /** The cgroup's own. */
  limit: number | undefined;
  effective: EffectiveLimit = { bytes: Infinity, scope: "system" };
  usage: number | undefined;
  peak: number | undefined;
  /** Ascending. */
  thresholds: readonly Threshold[] = [];
  /** Also those that are a percentage of no limit now. */
  readonly thresholdsByOption = new Map<WatchOptions["thresholds"][number], Threshold>();
}

/** When to read without a notification. Written by `Watch` and `ChangeDetector`. */
class PollState {
  /** `Infinity` when a notification is all that is waited for. */
  nextAt = Infinity;
  /** The same for usage alone, where thresholds are polled. */
  nextUsageAt = Infinity;
  usageReadAt = -Infinity;
  /** Only where thresholds are polled. */
  usageFile?: ControlFile;
}

/** Written by `Notifications`; `countedOoms` and `unreportedPressure` by `ChangeDetector`. */
class NotificationState {
  armed: Armed[] = [];
  /** Which source notifies of OOMs; `poll` where none does. */
  source: Source = "poll";
  /** Of a target: a change of the limit of any ancestor wakes the watch. */
  hasLimitsAbove = false;
  /** v1: signals of the OOM eventfd; the removal of the cgroup is one of them. */
  ooms = 0;
  /** v1: how many of those were counted as `oom`. */
  countedOoms = 0;
  /** v1: notified pressure that is not reported yet. */
  readonly unreportedPressure = new Map<PressureLevel, RateLimitedCount>();
}

/** Written by `KillMatcher`; the suspicion also by `ChangeDetector` (raised by an OOM) and `Watch`. */
class KillState {
  /** Kills counted but not reported; negative when the kernel log was ahead of the counter. */
  pending = 0n;
  pendingSince = Infinity;
  /** The earliest time at which those kills can have been logged, if this program runs when it is notified. */
  pendingFrom = -Infinity;
  /** The same without that condition: when the counter was read last before it rose. */
  pendingAfter = -Infinity;
  /** `oom_kill` events reported. */
  victims = 0;
  /** How often the kernel log named one of those again. */
  repeated = 0;
  /**
   * Signs of kills that no counter has shown yet, and that a removal would make uncountable; negative when kills were
   * reported before the OOM behind them was notified.
   */
  suspected = 0;
  /** It was removed, and its last notification was either the removal or one more OOM. */
  maybeKilled = false;
  /**
   * Its processes at the last OOM, with the time at which each was seen: they stay listed until they have freed their
   * memory.
   */
  readonly pids = new Map<number, number>();
  /** v1: the processes of the cgroups below it, which are not watched and which its counter leaves out. */
  readonly pidsBelow = new Map<number, { readonly cgroup: string; readonly at: number }>();
  /** The last sign of an OOM or a kill. */
  lastOomAt = -Infinity;
  /** When a kill in its subtree was last noticed, or may have happened unseen. */
  lastKillAt = -Infinity;
  /** Kills reported that its counter did not show before its removal. */
  beforeRemoval = 0n;
  /** Kills that the log names in cgroups below it, which its counter does not include (v1, v2 with memory_localevents). */
  inUncountedChildren = 0n;

  /**
   * @param reportFrom kills logged before this are in the counters that the watch began with; `-Infinity` for a cgroup that was
   * created later.
   */
  constructor(readonly reportFrom: number) {}
}

/** The counters that its events are about. */
export function relevantCounters(
  { representsSubtree }: Pick<WatchedCgroup, "representsSubtree">,
  { local, subtree }: BothCounters,
): Counters {
  const hasSubtree = subtree.oomKill !== undefined;
  return hasSubtree && (representsSubtree || local.oomKill === undefined) ? subtree : local;
}

interface Origin {
  readonly isTarget: boolean;
  readonly representsSubtree: boolean;
  /** Created after the watch began, so that everything it has counted is new. */
  readonly isNew: boolean;
  readonly removedKills: RemovedChildrenKills | undefined;
  readonly chargedTo?: string | null | undefined;
  readonly isStandIn?: boolean;
}

/**
 * The nearest ancestor of a cgroup without the memory controller that has it: cgroup.subtree_control of that ancestor does not
 * enable it. `undefined` where the cgroup itself is charged; `null` where the memory is charged to the root, which does not count.
 */
export function chargedAncestorOf(cgroup: Cgroup): Cgroup | null | undefined {
  const { root, version } = cgroup.hierarchy;
  if (!version.delegatesControllers || cgroup.path === root) return undefined;
  const isCharged = ({ dir }: Cgroup) => tryExists(`${dir}/${version.usageFile}`) === true;
  if (isCharged(cgroup)) return undefined;
  return ancestorsOf(cgroup).find(isCharged) ?? null;
}

/**
 * Reads a cgroup for the first time; `undefined` when it is gone. Throws `OomkitError` when its counters, its limit or its usage may
 * not be read.
 *
 * @param ancestors see `readEffectiveLimit`.
 */
export function createWatchedCgroup(
  cgroup: Cgroup,
  origin: Origin,
  ancestors?: AncestorLimits,
): WatchedCgroup | undefined {
  const reportFrom = origin.isNew ? -Infinity : performance.now();
  const limit = readLimit(cgroup);
  const usage = readUsage(cgroup);
  const peak = unlessRefused(() => readPeak(cgroup));
  const counters = readCounters(cgroup);
  if (counters === undefined) return undefined;
  const { local, subtree } = counters;
  const first = origin.isNew
    ? { local: zeroed(local), subtree: zeroed(subtree) }
    : { local, subtree };
  const watched = createState(cgroup, origin, first, reportFrom);
  const effective = readEffectiveLimit(cgroup, ancestors);
  Object.assign(watched.memory, { limit, effective, usage, peak });
  return watched;
}

/** A cgroup that was created and removed before it could be read. */
export function createMissedCgroup(
  cgroup: Cgroup,
  removedKills: RemovedChildrenKills | undefined,
): WatchedCgroup {
  const origin = { isTarget: false, representsSubtree: false, isNew: true, removedKills };
  return createState(cgroup, origin, { local: {}, subtree: {} }, -Infinity);
}

const zeroed = (counters: Counters): Counters =>
  Object.fromEntries(Object.keys(counters).map((key) => [key, 0n]));

function createState(
  cgroup: Cgroup,
  { isTarget, representsSubtree, removedKills, chargedTo, isStandIn = false }: Origin,
  first: BothCounters,
  reportFrom: number,
): WatchedCgroup {
  return {
    cgroup,
    isTarget,
    representsSubtree,
    isStandIn,
    ...(chargedTo !== undefined && { chargedTo }),
    ...(removedKills && { removedKills }),
    counters: new CounterState(first),
    memory: new MemoryState(),
    polls: new PollState(),
    notifications: new NotificationState(),
    kills: new KillState(reportFrom),
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

/** To read the processes of so many cgroups takes about 10 ms. */
const MAX_CGROUPS_READ = 1000;

/** Remembers its processes. Older pids are dropped, because the kernel reuses pids. */
export function rememberPids(
  { cgroup, representsSubtree, kills: { pids, pidsBelow } }:
    & Pick<WatchedCgroup, "cgroup" | "representsSubtree">
    & { readonly kills: Pick<KillState, "pids" | "pidsBelow"> },
  now: number,
): void {
  for (const [pid, at] of pids) if (now - at > PID_MEMORY_MS) pids.delete(pid);
  for (const pid of unlessRefused(() => pidsOf(cgroup)) ?? []) pids.set(pid, now);
  for (const [pid, { at }] of pidsBelow) if (now - at > PID_MEMORY_MS) pidsBelow.delete(pid);
  if (!representsSubtree || cgroup.hierarchy.version.countsSubtree) return;
  for (const below of walk(cgroup).take(MAX_CGROUPS_READ)) {
    if (below.path === cgroup.path) continue;
    const found = unlessRefused(() => pidsOf(below)) ?? [];
    for (const pid of found) pidsBelow.set(pid, { cgroup: below.path, at: now });
  }
}
