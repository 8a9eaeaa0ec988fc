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
import { identify } from "../cgroup/identity.ts";
import type { CounterDeltas, Source } from "../events/event.ts";
import { fallbackPoll, maxPollInterval, nextPollIn } from "../policy/poll_interval.ts";
import type { Counters } from "../snapshot.ts";
import { type KillMatcher, type MatchedKill, MAX_NOTIFICATION_DELAY_MS } from "./kill_matcher.ts";
import type { EmitBody, WatchOptions } from "./options.ts";
import type { Wake } from "./notifications.ts";
import {
  type BothCounters,
  relevantCounters,
  rememberPids,
  type WatchedCgroup,
} from "./watched_cgroup.ts";

/** `max` and `high` of a thrashing cgroup are reported no more often, with all counts in between. */
const MIN_MS_BETWEEN_REPORTS = 1000;
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
  readonly #ancestorOoms = new Map<string, bigint>();

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
    this.#emitCrossings(watched, usage, peak, source);
    memory.usage = usage;

    const oomKills = rise(after.oomKill, before.oomKill);
    const ooms = after.oom === undefined
      ? BigInt(notifications.ooms - notifications.reportedOoms)
      : rise(after.oom, before.oom);
    const isKillUncounted = ooms > 0n && read.subtree.oomKill === undefined &&
      childrenOf(cgroup).length > 0;
    const hasKilled = oomKills > 0n || rise(read.subtree.oomKill, subtreeKills) > 0n;
    if (hasKilled || isKillUncounted) kills.lastKillAt = now;
    this.#emitMaxAndHigh(watched, source, now, ooms > 0n || oomKills > 0n);
    if (ooms > 0n) {
      kills.lastOomAt = now;
      kills.suspected += Number(ooms);
      rememberPids(watched, now);
      this.emitOom(watched, ooms, source);
    }
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
    const interval = options.poll ??
      (isPolled ? fallbackPoll(this.context.watchedCount()) : Infinity);
    polls.nextAt = Math.min(polls.nextAt, now + interval);
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
      this.#emitCrossings(watched, usage, peak, "poll");
      memory.usage = usage;
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
    const bytes = this.context.options.thresholds
      .map((each) => "bytes" in each ? each.bytes : Math.floor(limit * each.percent / 100))
      .filter(Number.isFinite);
    const wasAbove = new Set(memory.thresholds.flatMap((each) => each.isAbove ? each.bytes : []));
    memory.thresholds = [...new Set(bytes)].sort((a, b) => a - b)
      .map((bytes) => ({ bytes, isAbove: wasAbove.has(bytes) }));
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

  emitOom(watched: WatchedCgroup, count: bigint, source: Source): void {
    watched.notifications.reportedOoms += Number(count);
    const owner = this.#limitOwnerOf(watched);
    this.context.emit(watched.cgroup.path, source, {
      type: "oom",
      count,
      usage: usageAtEvent(watched, performance.now()),
      limit_owner: owner ?? null,
      limit: limitOf(watched, owner),
    });
  }

  emitPressure(watched: WatchedCgroup, { levels, stalls }: Wake): void {
    const { emit } = this.context;
    const { cgroup } = watched;
    const usage = usageAtEvent(watched, performance.now());
    for (const { level, count } of levels) {
      const body = { level, kind: null, stalled_us: null, count, usage };
      emit(cgroup.path, "eventfd", { type: "pressure", ...body });
    }
    const pressure = stalls.length > 0 ? unlessRefused(() => readPressure(cgroup)) : undefined;
    for (const stall of stalls) {
      const total = pressure?.[stall.kind]?.total;
      // The first event after arming is spurious: only a total that has grown is a stall.
      if (total === undefined || total <= stall.total) continue;
      const stalled = { kind: stall.kind, stalled_us: total - stall.total };
      stall.total = total;
      emit(cgroup.path, "psi", { type: "pressure", level: null, ...stalled, count: 1n, usage });
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

  /** Emits the `max` and `high` that were held back. */
  flush(watchedCgroups: Iterable<WatchedCgroup>): void {
    for (const watched of watchedCgroups) {
      this.#emitMaxAndHigh(watched, "poll", performance.now(), true);
    }
  }

  #emitMaxAndHigh(watched: WatchedCgroup, source: Source, now: number, isUrgent: boolean): void {
    const { cgroup, counters, kills, polls } = watched;
    const { max, high } = relevantCounters(watched, counters.last);
    counters.reportedMax ??= max;
    counters.reportedHigh ??= high;
    const rises = { high: rise(high, counters.reportedHigh), max: rise(max, counters.reportedMax) };
    if (rises.high + rises.max === 0n) return;
    const dueAt = counters.reportedAt + MIN_MS_BETWEEN_REPORTS;
    if (!isUrgent && now < dueAt) {
      polls.nextAt = Math.min(polls.nextAt, dueAt);
      return;
    }
    // Held back since the last report: the limit may have been hit before a kill in between.
    const hasKilledSince = kills.lastKillAt > -Infinity && kills.lastKillAt >= counters.reportedAt;
    const usage = hasKilledSince ? null : usageAtEvent(watched, now);
    counters.reportedAt = now;
    for (const type of ["high", "max"] as const) {
      if (rises[type] > 0n) {
        this.context.emit(cgroup.path, source, { type, count: rises[type], usage });
      }
    }
    counters.reportedHigh = high ?? counters.reportedHigh;
    counters.reportedMax = max ?? counters.reportedMax;
  }

  /**
   * @param peak the highest usage ever, as the kernel keeps it: the only trace of a crossing that is over before usage is
   * read.
   */
  #emitCrossings(
    { cgroup, memory }: WatchedCgroup,
    usage: number | undefined,
    peak: number | undefined,
    source: Source,
  ): void {
    if (usage === undefined) return;
    const before = memory.peak;
    const limit = finite(memory.effective.bytes);
    const emit = (threshold: number, direction: "above" | "below", usage: number) => {
      const body = { threshold, direction, usage, limit };
      this.context.emit(cgroup.path, source, { type: "threshold", ...body });
    };
    // Every crossing on the way up is emitted before those on the way down.
    for (const threshold of memory.thresholds) {
      const { bytes, isAbove } = threshold;
      const wasAbove = before !== undefined && peak !== undefined && before < bytes &&
        peak >= bytes;
      if (isAbove || (usage < bytes && !wasAbove)) continue;
      threshold.isAbove = true;
      emit(bytes, "above", usage >= bytes ? usage : peak!);
    }
    for (const threshold of memory.thresholds) {
      if (!threshold.isAbove || usage >= threshold.bytes) continue;
      threshold.isAbove = false;
      emit(threshold.bytes, "below", usage);
    }
    // What was read counts as known, so that the kernel's peak does not report it again.
    if (before !== undefined) memory.peak = Math.max(before, usage, peak ?? usage);
    else if (peak !== undefined) memory.peak = peak;
  }

  #readAncestorOoms(cgroup: Cgroup): void {
    for (const ancestor of ancestorsOf(cgroup)) {
      if (this.#ancestorOoms.has(ancestor.path)) return;
      const oom = unlessRefused(() => readCounters(ancestor))?.local.oom;
      if (oom !== undefined) this.#ancestorOoms.set(ancestor.path, oom);
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

/**
 * The last reading, for an event that led to it; `null` if a kill may have freed memory since the event, and in a removed cgroup, where
 * the last reading is older than the event.
 */
function usageAtEvent({ memory, kills, removedAt }: WatchedCgroup, now: number): number | null {
  const isAfterKill = now - kills.lastKillAt < MAX_MS_FROM_KILL_TO_EVENT;
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
  const otherKills = kills.beforeRemoval + kills.inUncountedChildren;
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
    oom: risen("oom") ?? (isNotified ? BigInt(notifications.reportedOoms) : null),
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
