/**
 * Reads a watched cgroup again and emits what has changed since the last read, so that coalesced, spurious and lost
 * notifications do no harm.
 */

import { type AncestorLimits, readEffectiveLimit } from "../cgroup/ancestry.ts";
import {
  ancestorsOf,
  type Cgroup,
  childrenOf,
  openCgroup,
  readCounters,
  readLimit,
  readPeak,
  readPressure,
  readUsage,
} from "../cgroup/cgroup.ts";
import { unlessRefused } from "../cgroup/files.ts";
import { parentPath } from "../cgroup_path.ts";
import { identify } from "../cgroup/identity.ts";
import type { CounterDeltas, Source } from "../events/event.ts";
import {
  fallbackPoll,
  maxPollInterval,
  nextFullReadAt,
  nextPollIn,
} from "../policy/poll_interval.ts";
import type { Counters } from "../snapshot.ts";
import { type KillMatcher, type MatchedKill, MAX_NOTIFICATION_DELAY_MS } from "./kill_matcher.ts";
import type { EmitBody, WatchOptions } from "./options.ts";
import type { Wake } from "./notifications.ts";
import { RateLimitedCount } from "./rate_limited_count.ts";
import { type ReportedCrossing, Threshold } from "./threshold.ts";
import {
  type BothCounters,
  relevantCounters,
  rememberPids,
  type WatchedCgroup,
} from "./watched_cgroup.ts";

/** An OOM wakes before its kill, which is counted within milliseconds: read again after this. */
const MS_FROM_OOM_TO_READ = 25;
/** An OOM without a kill by then was resolved otherwise: memory was freed in time. */
const MAX_MS_FROM_OOM_TO_KILL = 1000;
/** An event that is read within this time after a kill may have happened before it: usage is no longer what it was then. */
const MAX_MS_FROM_KILL_TO_EVENT = 1000;

interface ChangeDetectorContext {
  readonly options: WatchOptions;
  readonly kills: Pick<KillMatcher, "counted">;
  readonly emit: EmitBody;
  /** How many cgroups are watched. */
  watchedCount(): number;
}

export class ChangeDetector {
  /** v2 counts an OOM where the limit is, possibly in an ancestor that is not watched: its `oom` when the watch began. */
  readonly #ancestorOoms = new Map<string, bigint | undefined>();

  constructor(private readonly context: ChangeDetectorContext) {}

  /** Reads everything. False when the cgroup is gone. Throws `OomkitError` when a file may not be read. */
  refresh(watched: WatchedCgroup, source: Source, now: number): boolean {
    const { options, emit } = this.context;
    const { cgroup, counters, memory, kills, polls, notifications } = watched;
    // Before the counters: a kill is counted before it frees memory (mm/oom_kill.c, __oom_kill_process), so usage is from before
    // any kill that the counters do not show.
    const usage = readUsage(cgroup);
    const read = readCounters(cgroup);
    if (read === undefined) return false;
    const before = relevantCounters(watched, counters.known);
    const { oomKill: subtreeKills } = counters.known.subtree;
    counters.last = read;
    counters.known = completed(read, counters.known);
    const after = relevantCounters(watched, counters.known);

    const peak = options.thresholds.length > 0 ? unlessRefused(() => readPeak(cgroup)) : undefined;
    this.#emitCrossings(watched, usage, peak, source, now);
    memory.usage = usage;

    const oomKills = rise(after.oomKill, before.oomKill);
    const ooms = after.oom === undefined
      ? BigInt(notifications.ooms - notifications.countedOoms)
      : rise(after.oom, before.oom);
    const isKillUncounted = ooms > 0n && read.subtree.oomKill === undefined &&
      childrenOf(cgroup).length > 0;
    const hasKilled = oomKills > 0n || rise(read.subtree.oomKill, subtreeKills) > 0n;
    if (hasKilled || isKillUncounted) kills.lastKillAt = now;
    if (ooms > 0n) {
      kills.lastOomAt = now;
      kills.suspected += Number(ooms);
      notifications.countedOoms += Number(ooms);
      rememberPids(watched, now);
    }
    counters.unreported.high.add(rise(after.high, before.high), now);
    counters.unreported.max.add(rise(after.max, before.max), now);
    counters.unreported.oom.add(ooms, now);
    this.#emitCounts(watched, source, now);
    const count = rise(after.oomGroupKill, before.oomGroupKill);
    if (count > 0n) {
      emit(cgroup.path, source, {
        type: "oom_group_kill",
        count,
        usage: usageAtEvent(watched, now),
      });
    }
    // The log names the ancestor that is charged for it: which victims are its own is known by their pids. It is polled for them,
    // because a victim may be gone when its line is read.
    if (watched.chargedTo !== undefined) rememberPids(watched, now);
    const isPolled = notifications.source === "poll";
    if (oomKills > 0n) {
      // A kill logged before that would have been noticed earlier: v2 notifies of the counter, v1 of the OOM before the kill.
      const isNotified = !isPolled && cgroup.hierarchy.version.eventsFile !== undefined;
      const loggedFrom = isNotified
        ? Math.max(counters.readAt, now - MAX_NOTIFICATION_DELAY_MS)
        : counters.readAt;
      this.context.kills.counted(watched, oomKills, now, loggedFrom);
    }
    counters.readAt = now;

    const limit = readLimit(cgroup);
    if (limit !== undefined && limit !== memory.limit) {
      const from = finite(memory.limit);
      memory.limit = limit;
      emit(cgroup.path, source, { type: "limit_changed", from, to: finite(limit) });
    }
    if (now - kills.lastOomAt > MAX_MS_FROM_OOM_TO_KILL) kills.suspected = 0;
    if (kills.suspected > 0) polls.nextAt = Math.min(polls.nextAt, now + MS_FROM_OOM_TO_READ);
    const watchedCount = this.context.watchedCount();
    const interval = options.poll ?? (isPolled ? fallbackPoll(watchedCount) : undefined);
    const nextAt = interval === undefined ? Infinity : nextFullReadAt(now, interval, watchedCount);
    // v1 notifies when usage crosses the threshold itself, not when it has fallen further below it.
    const isInHysteresis = polls.nextUsageAt === Infinity && usage !== undefined &&
      memory.thresholds.some((threshold) => threshold.isInHysteresis(usage));
    if (isInHysteresis) {
      polls.nextAt = Math.min(polls.nextAt, now + fallbackPoll(watchedCount));
    }
    polls.nextAt = Math.min(polls.nextAt, nextAt, reportDueAt(watched));
    return true;
  }

  /** Compares usage alone with the thresholds. */
  pollUsage(watched: WatchedCgroup, now: number): void {
    const { cgroup, memory, polls } = watched;
    const usage = polls.usageFile?.number();
    if (usage === undefined) {
      polls.nextUsageAt = Infinity;
      polls.nextAt = now;
      return;
    }
    const elapsed = now - polls.usageReadAt;
    const rate = memory.usage === undefined ? 0 : 1000 * (usage - memory.usage) / elapsed;
    if (usage !== memory.usage) {
      const peak = unlessRefused(() => readPeak(cgroup));
      this.#emitCrossings(watched, usage, peak, "poll", now);
      memory.usage = usage;
      polls.nextAt = Math.min(polls.nextAt, reportDueAt(watched));
    }
    polls.usageReadAt = now;
    const above = memory.thresholds.find(({ bytes }) => bytes > usage)?.bytes ?? Infinity;
    const longest = maxPollInterval(this.context.watchedCount());
    polls.nextUsageAt = now + nextPollIn(above - usage, rate, longest);
  }

  /** Calculates the thresholds in bytes, ascending; a percentage of no limit is no threshold. */
  setThresholds({ cgroup, memory }: WatchedCgroup): void {
    this.#readAncestorOoms(cgroup);
    const limit = memory.effective.bytes;
    const byBytes = new Map<number, Threshold>();
    for (const option of this.context.options.thresholds) {
      const bytes = "bytes" in option ? option.bytes : Math.floor(limit * option.percent / 100);
      if (!Number.isFinite(bytes) || byBytes.has(bytes)) continue;
      // A percentage keeps its state when the limit changes: usage is compared with its new bytes.
      const threshold = memory.thresholdsByOption.get(option) ?? new Threshold(bytes);
      threshold.bytes = bytes;
      memory.thresholdsByOption.set(option, threshold);
      byBytes.set(bytes, threshold);
    }
    memory.thresholds = [...byBytes.values()].sort((a, b) => a.bytes - b.bytes);
  }

  /** True when the effective limit has changed, and with it thresholds in percent. */
  updateEffectiveLimit(watched: WatchedCgroup, ancestors?: AncestorLimits): boolean {
    if (!this.context.options.thresholds.some((each) => "percent" in each)) return false;
    const effective = readEffectiveLimit(watched.cgroup, ancestors);
    const hasChanged = effective.bytes !== watched.memory.effective.bytes;
    watched.memory.effective = effective;
    if (hasChanged) this.setThresholds(watched);
    return hasChanged;
  }

  /** Counts OOMs of a removed cgroup that were notified after its last reading. */
  addLateOoms(watched: WatchedCgroup, count: number): void {
    const now = performance.now();
    watched.kills.suspected += count;
    watched.notifications.countedOoms += count;
    watched.counters.unreported.oom.add(BigInt(count), now);
    this.#emitCounts(watched, "eventfd", now);
  }

  emitPressure(watched: WatchedCgroup, { levels, stalls }: Wake): void {
    const { cgroup, notifications: { unreportedPressure }, polls } = watched;
    const now = performance.now();
    for (const { level, count } of levels) {
      const unreported = unreportedPressure.get(level) ?? new RateLimitedCount();
      unreportedPressure.set(level, unreported);
      unreported.add(count, now);
    }
    this.#emitPressureCounts(watched, now);
    polls.nextAt = Math.min(polls.nextAt, reportDueAt(watched));
    const pressure = stalls.length > 0 ? unlessRefused(() => readPressure(cgroup)) : undefined;
    const usage = usageAtEvent(watched, now);
    // The kernel notifies of a PSI trigger once in its window, at least half a second.
    for (const stall of stalls) {
      const total = pressure?.[stall.kind]?.total;
      // The first event after arming is spurious: only a total that has grown is a stall.
      if (total === undefined || total <= stall.total) continue;
      const stalled = { kind: stall.kind, stalled_us: total - stall.total };
      stall.total = total;
      const body = { level: null, ...stalled, count: 1n, usage };
      this.context.emit(cgroup.path, "psi", { type: "pressure", ...body });
    }
  }

  emitKill({ cgroup, watched, kill, inferred }: MatchedKill): void {
    const owner = kill?.owner ??
      (kill?.scope === "system" || !watched ? undefined : this.#limitOwnerOf(watched));
    // v2: the parent's counter shows a kill in a removed cgroup. v1: only the notification of its OOM does.
    const counter = inferred && watched?.removedKills ? "parent" : undefined;
    const source = kill ? "kmsg" : counter ?? watched?.notifications.source ?? "poll";
    this.context.emit(cgroup, source, {
      type: "oom_kill",
      victim: kill?.victim ?? null,
      limit_owner: owner ?? null,
      limit: limitOf(watched, owner),
      scope: kill?.scope ?? null,
      inferred,
    });
  }

  /** Emits everything that was held back: of a cgroup that is removed, or of which the watch ends. */
  flush(watched: WatchedCgroup): void {
    const now = performance.now();
    this.#emitDueCrossings(watched, now, true);
    this.#emitCounts(watched, watched.notifications.source, now, true);
  }

  #emitCounts(watched: WatchedCgroup, source: Source, now: number, isLast = false): void {
    const { cgroup: { path }, counters: { unreported } } = watched;
    const { emit } = this.context;
    for (const type of ["high", "max", "oom"] as const) {
      const usage = usageAtEvent(watched, unreported[type].unreportedSince);
      const count = unreported[type].take(now, isLast);
      if (count === 0n) continue;
      if (type !== "oom") emit(path, source, { type, count, usage });
      else {
        const owner = this.#limitOwnerOf(watched);
        const limit = limitOf(watched, owner);
        emit(path, source, { type, count, usage, limit_owner: owner ?? null, limit });
      }
    }
    this.#emitPressureCounts(watched, now, isLast);
  }

  #emitPressureCounts(watched: WatchedCgroup, now: number, isLast = false): void {
    for (const [level, unreported] of watched.notifications.unreportedPressure) {
      const usage = usageAtEvent(watched, unreported.unreportedSince);
      const count = unreported.take(now, isLast);
      const body = { level, kind: null, stalled_us: null, count, usage };
      if (count > 0n) {
        this.context.emit(watched.cgroup.path, "eventfd", { type: "pressure", ...body });
      }
    }
  }

  /**
   * @param peak the highest usage ever, as the kernel keeps it: the only trace of a crossing that is over before usage is
   * read.
   */
  #emitCrossings(
    watched: WatchedCgroup,
    usage: number | undefined,
    peak: number | undefined,
    source: Source,
    now: number,
  ): void {
    const { cgroup, memory } = watched;
    this.#emitDueCrossings(watched, now);
    if (usage === undefined) return;
    const before = memory.peak;
    const newPeak = before !== undefined && peak !== undefined && peak > before ? peak : undefined;
    const reading = { usage, newPeak, limit: finite(memory.effective.bytes), source };
    // Every crossing on the way up is emitted before those on the way down.
    for (const direction of ["rise", "fall"] as const) {
      for (const threshold of memory.thresholds) {
        const crossing = threshold[direction](reading, now);
        if (crossing) this.#emitCrossing(cgroup, crossing);
      }
    }
    // What was read counts as known, so that the kernel's peak does not report it again.
    if (before !== undefined) memory.peak = Math.max(before, usage, peak ?? usage);
    else if (peak !== undefined) memory.peak = peak;
  }

  #emitDueCrossings({ cgroup, memory }: WatchedCgroup, now: number, isLast = false): void {
    for (const threshold of memory.thresholdsByOption.values()) {
      const crossing = threshold.takeDue(now, isLast);
      if (crossing) this.#emitCrossing(cgroup, crossing);
    }
  }

  #emitCrossing({ path }: Cgroup, { source, ...crossing }: ReportedCrossing): void {
    this.context.emit(path, source, { type: "threshold", ...crossing });
  }

  /** It was removed: one that is created later at its path counts from zero. */
  forget(path: string): void {
    this.#ancestorOoms.delete(path);
  }

  #readAncestorOoms(cgroup: Cgroup): void {
    // Of thousands of cgroups nearly all have a parent that is known.
    if (this.#ancestorOoms.has(parentPath(cgroup.path))) return;
    for (const ancestor of ancestorsOf(cgroup)) {
      if (this.#ancestorOoms.has(ancestor.path)) return;
      const counters = unlessRefused(() => readCounters(ancestor));
      // Also that it has no such counter, as on v1.
      if (counters) this.#ancestorOoms.set(ancestor.path, counters.local.oom);
    }
  }

  /** The owner of the limit that was hit, where the log does not name it: where an OOM was counted, else the tightest limit. */
  #limitOwnerOf({ cgroup, counters, memory }: WatchedCgroup): string | undefined {
    const own = counters.last.local.oom;
    if (own !== undefined && own > (counters.first.local.oom ?? 0n)) return cgroup.path;
    for (const ancestor of ancestorsOf(cgroup)) {
      const oom = unlessRefused(() => readCounters(ancestor))?.local.oom;
      const before = this.#ancestorOoms.get(ancestor.path);
      if (oom !== undefined && before !== undefined && oom > before) return ancestor.path;
    }
    return memory.effective.owner;
  }
}

/** When the first report that is held back is due; `Infinity` without one. */
function reportDueAt({ counters, memory, notifications }: WatchedCgroup): number {
  const held = [
    ...Object.values(counters.unreported),
    ...notifications.unreportedPressure.values(),
    ...memory.thresholdsByOption.values(),
  ];
  return Math.min(...held.map(({ dueAt }) => dueAt));
}

/**
 * The last reading, for an event that led to it; `null` if a kill may have freed memory since the event, and in a removed cgroup, where
 * the last reading is older than the event.
 *
 * @param noticedAt when the event was noticed; it may be reported later.
 */
function usageAtEvent(
  { memory, kills, removedAt }: WatchedCgroup,
  noticedAt: number,
): number | null {
  const isAfterKill = noticedAt - kills.lastKillAt < MAX_MS_FROM_KILL_TO_EVENT;
  return isAfterKill || removedAt !== undefined ? null : memory.usage ?? null;
}

function limitOf(watched: WatchedCgroup | undefined, owner: string | undefined): number | null {
  if (owner === undefined || watched === undefined) return null;
  if (owner === watched.cgroup.path) return finite(watched.memory.limit);
  const cgroup = openCgroup(watched.cgroup.hierarchy, owner);
  return finite(cgroup && unlessRefused(() => readLimit(cgroup)));
}

/** 0 where one of the two could not be read: the counter has not risen by everything that it ever counted. */
const rise = (now: bigint | undefined, before: bigint | undefined): bigint =>
  now === undefined || before === undefined ? 0n : now - before;

/** `read`, with the earlier value of each counter that could not be read this time. */
const completed = ({ local, subtree }: BothCounters, earlier: BothCounters): BothCounters => ({
  local: { ...earlier.local, ...local },
  subtree: { ...earlier.subtree, ...subtree },
});

/** JSON has no infinity: no limit is `null`. */
export const finite = (bytes: number | undefined): number | null =>
  bytes === undefined || bytes === Infinity ? null : bytes;

/** What the kernel counted while the cgroup was watched; `undefined` when it is no target and nothing happened in it. */
export function counterDeltas(watched: WatchedCgroup): CounterDeltas | undefined {
  const { cgroup, isTarget, isStandIn, counters, memory, kills, notifications, removedAt } =
    watched;
  const first = relevantCounters(watched, counters.first);
  const last = relevantCounters(watched, counters.last);
  const risen = (key: keyof Counters): bigint | null => {
    const after = last[key];
    return after === undefined ? null : after - (first[key] ?? 0n);
  };
  // v1 does not count OOMs: the notified ones are all that is known.
  const isNotified = notifications.ooms > 0 || notifications.source === "eventfd";
  const oomKills = risen("oomKill");
  // Counted just before the first read of the counter, and logged just after that of the log (mm/oom_kill.c, __oom_kill_process).
  const atStart = kills.pending < 0n ? -kills.pending : 0n;
  const otherKills = atStart + kills.beforeRemoval + kills.inUncountedChildren;
  const { containerId, podUid } = identify(cgroup.path);
  const present = removedAt === undefined ? cgroup : undefined;
  const peak = present && unlessRefused(() => readPeak(present));
  const limit = present && unlessRefused(() => readLimit(present));
  const deltas: CounterDeltas = {
    cgroup: cgroup.path,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    max: risen("max"),
    high: risen("high"),
    oom: risen("oom") ?? (isNotified ? BigInt(notifications.countedOoms) : null),
    oom_kill: oomKills === null && otherKills === 0n ? null : (oomKills ?? 0n) + otherKills,
    oom_group_kill: risen("oomGroupKill"),
    victims: kills.victims,
    guard_kills: null,
    guard_victims: [],
    repeated: kills.repeated,
    peak: peak ?? memory.peak ?? null,
    limit: finite(limit ?? memory.limit),
    removed: removedAt !== undefined,
  };
  const counts = [deltas.max, deltas.high, deltas.oom, deltas.oom_kill];
  const hasHappened = deltas.victims > 0 || counts.some((count) => count !== null && count > 0n);
  return isTarget || isStandIn || hasHappened ? deltas : undefined;
}
