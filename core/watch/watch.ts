/**
 * Watches cgroups with one epoll set for all notifications and one timer for all polls. A wake-up reads the cgroup again, and
 * events report what has changed since the previous read. Times are `performance.now()`.
 */

import type { AncestorLimits } from "../cgroup/ancestry.ts";
import { type Cgroup, isThere, openCgroup, parentOf, walk } from "../cgroup/cgroup.ts";
import { directoryOf, type Hierarchy, pathOf } from "../cgroup/hierarchy.ts";
import { isInSubtree, parentPath } from "../cgroup_path.ts";
import { makeEvent, type OomkitEvent, type Source } from "../events/event.ts";
import { wallClock } from "../kernel/clock.ts";
import { resyncInterval } from "../policy/poll_interval.ts";
import { recordingClock } from "../record/clock.ts";
import { delay } from "../timing.ts";
import { ChangeDetector, counterDeltas } from "./change_detector.ts";
import { KillMatcher, LOG_GRACE_MS, type MatchedKill } from "./kill_matcher.ts";
import { FallbackReport } from "./fallbacks.ts";
import type { EmitBody, WatchOptions } from "./options.ts";
import { WatchRecorder } from "./record.ts";
import { type RemovedChildrenKills, RemovedKillCounts } from "./removed_kills.ts";
import { type Batch, Notifications } from "./notifications.ts";
import { belongsTo, isFollowed, scopeOf } from "./scopes.ts";
import { SummedDeltas } from "./summed_deltas.ts";
import {
  chargedAncestorOf,
  createMissedCgroup,
  createWatchedCgroup,
  disarm,
  rememberPids,
  type WatchedCgroup,
} from "./watched_cgroup.ts";

export type Summary = OomkitEvent & { readonly type: "summary" };

export interface Watching {
  /** For the start-up line: which sources are in use, and what stands in for others. */
  readonly sources: readonly string[];
  /** Those that are watched now. */
  cgroups(): Cgroup[];
  /** How many cgroups lack each mechanism now. */
  lacking(): ReadonlyMap<string, number>;
  /** Whether the kernel notifies of OOMs in each of them. */
  notifiesOoms(): boolean;
  /** Whether a change of the limit of any ancestor of the cgroup causes a wake-up. */
  notifiesLimitsAbove(path: string): boolean;
  /** Whether the creation of any awaited target, or of a cgroup above it, causes a wake-up. */
  notifiesAwaited(): boolean;
  /** Resolves when no target is left; rejects when reading fails or `emit` throws. */
  readonly done: Promise<void>;
  /** Reads everything once more, emits what is still open and the summary, and closes everything. */
  stop(): Promise<Summary>;
}

/** A queued notification arrives sooner than this. */
const MS_WITHOUT_WAKE = 20;
const MAX_MS_TO_STOP = 2000;

/** A resync reads this many cgroups at once, which takes about 10 ms, so that notifications are not delayed longer. */
const MAX_READS_PER_TURN = 50;
/** Between two turns of a resync other work of this thread gets as much time as a turn takes. */
const MS_BETWEEN_TURNS = 10;

/**
 * One removal arrives as several notifications, and a later one must not be taken for a cgroup that was never read. At most
 * this many other cgroups are expected to be removed in between.
 */
const MAX_REMEMBERED_PATHS = 50;

/**
 * Arms everything before it returns: whatever happens after that is reported, in order.
 * Throws `OomkitError` when a file may not be read.
 */
export function startWatch(options: WatchOptions, emit: (event: OomkitEvent) => void): Watching {
  const watch = new Watch(options, emit);
  watch.start();
  return watch;
}

class Watch implements Watching {
  sources: readonly string[] = [];
  readonly done: Promise<void>;
  readonly #hierarchy: Hierarchy;
  readonly #startedAt = performance.now();
  readonly #done = Promise.withResolvers<void>();
  /** By path. */
  readonly #watched = new Map<string, WatchedCgroup>();
  /** Those of {@link #watched} that are to be polled: a wake-up looks only at these, and costs the same with any number of others. */
  readonly #polled = new Set<WatchedCgroup>();
  /** For the summary: how many were watched, with those that are removed by now. */
  #watchedCount = 0;
  /**
   * Removed, but their removal is not reported yet: the last kills of one may still be in the kernel log, or be known to its
   * parent alone.
   */
  readonly #removed = new Set<WatchedCgroup>();
  readonly #recentlyRemovedPaths: string[] = [];
  /** Of cgroups outside the scopes that are charged for one of them. */
  readonly #standInPaths = new Set<string>();
  /** For the summary: of the cgroups for which `cgroup_removed` was emitted. */
  readonly #removedDeltas = new SummedDeltas();
  readonly #removedKills = new RemovedKillCounts();
  readonly #fallbacks: FallbackReport;
  readonly #notifications: Notifications;
  readonly #kills: KillMatcher;
  readonly #changes: ChangeDetector;
  readonly #recorder: WatchRecorder | undefined;
  /** Still to be read by the current resync, the next one last. */
  #toResync: WatchedCgroup[] = [];
  /** Limits of their ancestors, read once in each resync. */
  #resyncAncestors: AncestorLimits = new Map();
  /** Notifications are not known to be lost, but a watch that relied on them alone would never notice. */
  #nextResyncAt = this.#startedAt + resyncInterval(0, false);
  #timer: { readonly id: ReturnType<typeof setTimeout>; readonly at: number } | undefined;
  #lastWakeAt = this.#startedAt;
  #following = Promise.resolve();
  #isClosed = false;
  readonly #emit: EmitBody = (cgroup, source, body) => {
    const isReported = body.type === "degraded" || this.#standInPaths.has(cgroup) ||
      belongsTo(this.options.scopes, cgroup, body.type);
    if (isReported) this.emitEvent(makeEvent(wallClock(), cgroup, source, body));
  };

  constructor(
    private readonly options: WatchOptions,
    private readonly emitEvent: (event: OomkitEvent) => void,
  ) {
    this.done = this.#done.promise;
    const [first] = [...options.scopes.map(({ cgroup }) => cgroup), ...options.awaited ?? []];
    this.#hierarchy = first!.hierarchy;
    this.#fallbacks = options.fallbacks ?? new FallbackReport(this.#emit);
    const notifications = new Notifications(options, this.#hierarchy, this.#fallbacks);
    this.#notifications = notifications;
    this.#kills = new KillMatcher({
      watchedCgroups: () => [...this.#removed, ...this.#watched.values()],
      covers: (path) => isFollowed(options.scopes, path),
      reportedAhead: (path, kills) => this.#removedKills.reportedAhead(path, kills),
      get hasLog() {
        return notifications.hasLog;
      },
      emit: (kill) => this.#emitKill(kill),
    });
    this.#changes = new ChangeDetector({
      options,
      kills: this.#kills,
      emit: this.#emit,
      watchedCount: () => this.#watched.size,
    });
    const { recordSink } = options;
    this.#recorder = recordSink && new WatchRecorder(recordSink, this.#watched);
  }

  start(): void {
    this.#notifications.hierarchyWatcher.start(this.#rejectOnThrow((dir: string | undefined) => {
      if (this.#isClosed) return;
      this.#lastWakeAt = performance.now();
      if (dir === undefined) this.#updateAll();
      else this.#update(dir);
      this.#reportAndSchedule();
    }));
    const { scopes, onTarget } = this.options;
    let count = 0;
    const ancestors: AncestorLimits = new Map();
    for (const { cgroup: target, recursive } of scopes) {
      for (const cgroup of recursive ? walk(target) : [target]) {
        onTarget?.(++count);
        if (!this.#watched.has(cgroup.path)) this.#add(cgroup, false, ancestors);
      }
    }
    if (this.#watched.size === 0) this.#done.resolve();
    this.#following = this.#notifications.follow(this.#rejectOnThrow((batch: Batch) => {
      this.#lastWakeAt = performance.now();
      this.#handle(batch);
      this.#reportAndSchedule();
    }));
    this.#reportAndSchedule();
    this.sources = this.#notifications.lines();
  }

  cgroups(): Cgroup[] {
    return [...this.#watched.values()].map(({ cgroup }) => cgroup);
  }

  lacking(): ReadonlyMap<string, number> {
    return this.#fallbacks.present();
  }

  notifiesOoms(): boolean {
    return this.#watched.values().every(({ notifications }) => notifications.source !== "poll");
  }

  notifiesLimitsAbove(path: string): boolean {
    const watched = this.#watched.get(path);
    return watched !== undefined && this.#notifications.notifiesLimitsAbove(watched);
  }

  notifiesAwaited(): boolean {
    return this.#notifications.hierarchyWatcher.followsAwaited;
  }

  async stop(): Promise<Summary> {
    for (const watched of [...this.#watched.values()]) this.#refresh(watched, "poll");
    this.#reportAndSchedule();
    await this.#waitUntilQuiet();
    this.#isClosed = true;
    clearTimeout(this.#timer?.id);
    this.#notifications.wakeUp();
    await this.#following;
    this.#reportAndSchedule();
    this.#recorder?.stop();
    for (const watched of [...this.#removed]) this.#finishRemoval(watched);
    const watched = [...this.#watched.values()];
    for (const each of watched) this.#changes.flush(each);
    const cgroups = watched.filter((each) => this.#isInSummary(each))
      .flatMap((each) => counterDeltas(each) ?? []);
    watched.forEach(disarm);
    await this.#notifications.close();
    this.#done.resolve();
    const summary = makeEvent(wallClock(), this.#summaryPath(), "none", {
      type: "summary",
      seconds: Math.round(performance.now() - this.#startedAt) / 1000,
      watched_cgroups: this.#watchedCount,
      guard_kills: null,
      cgroups: [...cgroups, ...this.#removedDeltas.byPath.values()],
      degraded: this.#fallbacks.counts(),
    });
    this.emitEvent(summary);
    return summary as Summary;
  }

  /** The cgroup that the summary is about: the only target, or else the root. */
  #summaryPath(): string {
    const targets = new Set(this.options.scopes.map(({ cgroup: { path } }) => path));
    const [target] = targets;
    return targets.size === 1 && target !== undefined ? target : this.#hierarchy.root;
  }

  /**
   * Waits for what is on its way: queued notifications, the kill that follows a notified OOM, the line that follows a
   * counter. At most `MAX_MS_TO_STOP`, because a busy node is never quiet.
   */
  async #waitUntilQuiet(): Promise<void> {
    // However long ago the last wake-up was: what arrived while this thread was busy has not been read yet.
    this.#lastWakeAt = performance.now();
    const deadline = this.#lastWakeAt + MAX_MS_TO_STOP;
    for (let now = this.#lastWakeAt; now < deadline; now = performance.now()) {
      const isOpen = this.#removed.size > 0 || this.#kills.isWaiting ||
        [...this.#watched.values()].some(({ kills }) => kills.pending > 0n || kills.suspected > 0);
      const quiet = MS_WITHOUT_WAKE + (isOpen ? LOG_GRACE_MS : 0);
      if (now - this.#lastWakeAt > quiet) return;
      await delay(MS_WITHOUT_WAKE / 2);
    }
  }

  /** An exception in a callback of epoll, a timer or watchFs reaches no caller: it ends the watch, not the process. */
  #rejectOnThrow<A extends unknown[]>(action: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      try {
        action(...args);
      } catch (error) {
        this.#done.reject(error);
      }
    };
  }

  #emitKill(matched: MatchedKill): void {
    const { watched, kill } = matched;
    if (watched) watched.kills.victims += 1;
    if (kill && watched && watched.removedAt === undefined) {
      // The OOM was notified before its kill was logged, but the log may have been read first.
      this.#notifications.takeOomNotifications(watched);
      this.#refresh(watched, watched.notifications.source);
    }
    this.#changes.emitKill(matched);
  }

  /** @param ancestors see `readEffectiveLimit`. */
  #add(cgroup: Cgroup, isNew: boolean, ancestors?: AncestorLimits): void {
    // Lines that are in the log by now get a time before `kills.reportFrom`: the first read of the counters includes their kills.
    this.#readLog();
    const { scopes } = this.options;
    const isTarget = scopes.some(({ cgroup: { path } }) => path === cgroup.path);
    const isFollowedItself = isFollowed(scopes, cgroup.path);
    const isStandIn = !isTarget && !isFollowedItself;
    if (isStandIn) this.#standInPaths.add(cgroup.path);
    const charged = chargedAncestorOf(cgroup);
    if (charged && !this.#watched.has(charged.path)) this.#add(charged, false);
    const watched = createWatchedCgroup(cgroup, {
      isTarget,
      isStandIn,
      representsSubtree: !isFollowedItself,
      isNew,
      removedKills: this.#removedKills.accountOf(parentOf(cgroup)),
      chargedTo: charged === null ? null : charged?.path,
    }, ancestors);
    if (watched === undefined) return;
    if (charged !== undefined) this.#notifications.reportUncharged(cgroup, charged ?? undefined);
    if (isFollowedItself) this.#removedKills.accountOf(cgroup, isNew);
    this.#watched.set(cgroup.path, watched);
    if (isStandIn || scopeOf(scopes, cgroup.path)) this.#watchedCount += 1;
    this.#kills.startWatching(watched);
    if (isNew) {
      this.#emit(cgroup.path, this.#notifications.hierarchyWatcher.source, {
        type: "cgroup_created",
      });
    }
    this.#changes.setThresholds(watched);
    this.#notifications.arm(watched);
    if (isNew) rememberPids(watched, performance.now());
    // What happened while it was being armed was not notified.
    this.#refresh(watched, "poll");
  }

  #refresh(watched: WatchedCgroup, source: Source, ancestors?: AncestorLimits): void {
    if (watched.removedAt !== undefined) return;
    watched.polls.nextAt = Infinity;
    const at = recordingClock();
    if (!this.#changes.refresh(watched, source, performance.now())) {
      return this.#markRemoved(watched);
    }
    this.#recorder?.snapshot(watched, at);
    if (this.#changes.updateEffectiveLimit(watched, ancestors)) {
      this.#notifications.rearmThresholds(watched);
    }
    this.#updatePolled(watched);
  }

  /** To be called after each change of `polls`. */
  #updatePolled(watched: WatchedCgroup): void {
    const { polls, removedAt } = watched;
    const isPolled = removedAt === undefined &&
      Math.min(polls.nextAt, polls.nextUsageAt) < Infinity;
    if (isPolled) this.#polled.add(watched);
    else this.#polled.delete(watched);
  }

  #pollUsage(watched: WatchedCgroup, now: number): void {
    const before = watched.memory.usage;
    const at = recordingClock();
    this.#changes.pollUsage(watched, now);
    if (watched.memory.usage !== before) this.#recorder?.snapshot(watched, at);
    this.#updatePolled(watched);
  }

  #readLog(): void {
    for (const kill of this.#notifications.readLog()) {
      this.#kills.logged(kill, performance.now());
    }
  }

  #isInSummary({ cgroup, isStandIn }: WatchedCgroup): boolean {
    return isStandIn || belongsTo(this.options.scopes, cgroup.path, "summary");
  }

  /** @param dir of a cgroup that was created or removed. */
  #update(dir: string): void {
    const path = pathOf(this.#hierarchy, dir);
    if (path === undefined) return this.#updateAll();
    const { awaited = [], onTargetsChanged } = this.options;
    if (awaited.some((target) => isInSubtree(target.path, path))) onTargetsChanged?.();
    const watched = this.#watched.get(path);
    if (watched && !isThere(watched.cgroup)) this.#markRemoved(watched);
    const cgroup = openCgroup(this.#hierarchy, path);
    const covered = isFollowed(this.options.scopes, path);
    if (cgroup && covered) this.#addAll(cgroup);
    if (cgroup || watched) return;
    if (covered) {
      // watchFs reports files too, and what is gone cannot be distinguished.
      if (this.#notifications.hierarchyWatcher.source === "inotify") this.#addMissed(path);
      return;
    }
    const parent = openCgroup(this.#hierarchy, parentPath(path));
    if (parent) this.#ignoreSiblings(parent);
  }

  /** Any cgroup may have been created or removed. */
  #updateAll(): void {
    const { scopes } = this.options;
    for (const watched of [...this.#watched.values()]) {
      if (!isThere(watched.cgroup)) this.#markRemoved(watched);
    }
    const parents = scopes.flatMap(({ cgroup }) => parentOf(cgroup) ?? []);
    for (const parent of new Map(parents.map((each) => [each.path, each])).values()) {
      this.#ignoreSiblings(parent);
    }
    for (const { cgroup: { path }, recursive } of scopes) {
      const target = recursive ? openCgroup(this.#hierarchy, path) : undefined;
      if (target) this.#addAll(target);
    }
  }

  #addAll(top: Cgroup): void {
    for (const cgroup of walk(top)) if (!this.#watched.has(cgroup.path)) this.#add(cgroup, true);
  }

  /** Marks every watched cgroup below `parent` that is gone. */
  #markRemovedBelow(parent: Cgroup): void {
    for (const watched of [...this.#watched.values()]) {
      const { cgroup } = watched;
      const isBelow = cgroup.path !== parent.path && isInSubtree(cgroup.path, parent.path);
      if ((isBelow || parent.path === "/") && !isThere(cgroup)) this.#markRemoved(watched);
    }
  }

  /** Kills in siblings of the targets must not be taken for kills in a target. */
  #ignoreSiblings(parent: Cgroup): void {
    if (isFollowed(this.options.scopes, parent.path)) return;
    this.#markRemovedBelow(parent);
    this.#removedKills.ignoreRemoval(parent);
  }

  /** Called when its directory is gone. `#finishRemoval` reports the removal, once the kernel log has had its time. */
  #markRemoved(watched: WatchedCgroup): void {
    this.#watched.delete(watched.cgroup.path);
    this.#polled.delete(watched);
    this.#changes.forget(watched.cgroup.path);
    this.#recorder?.removed(watched);
    if (watched.removedAt !== undefined) return;
    if (watched.isTarget) this.options.onTargetsChanged?.();
    const { cgroup, removedKills, representsSubtree, counters, kills, notifications } = watched;
    // Its kills were logged before it could be removed, so of the kills without a cgroup only those read by now may be its own.
    this.#readLog();
    watched.removedAt = performance.now();
    this.#fallbacks.end(cgroup.path);
    this.#removed.add(watched);
    if (kills.pending < 0n) {
      // Kills that were reported from the log before the counter showed them, which it cannot any more.
      kills.beforeRemoval -= kills.pending;
      kills.pending = 0n;
    }
    if (removedKills) {
      const { last } = counters;
      const ahead = kills.beforeRemoval;
      this.#removedKills.childRemoved({ cgroup, removedKills, representsSubtree, last, ahead });
      return;
    }
    this.#removedKills.forget(cgroup);
    // The removal itself signals the OOM eventfd once, from a workqueue, so before or after this (mm/memcontrol-v1.c,
    // memcg1_css_offline and memcg_event_remove). Every other signal was an OOM, too late for the counters to be read.
    this.#notifications.takeOomNotifications(watched);
    const signals = notifications.ooms - notifications.countedOoms;
    if (signals > 1) this.#changes.addLateOoms(watched, signals - 1);
    const wasNeverRead = counters.readAt === -Infinity || notifications.source === "poll";
    kills.maybeKilled = kills.suspected >= 0 && (signals > 0 || wasNeverRead);
  }

  /** A covered cgroup was created at `path` and removed before it could be read. */
  #addMissed(path: string): void {
    if (this.#recentlyRemovedPaths.includes(path)) return;
    if (this.#removed.values().some(({ cgroup }) => cgroup.path === path)) return;
    const dir = directoryOf(this.#hierarchy, path)!;
    const cgroup: Cgroup = { hierarchy: this.#hierarchy, path, dir, inode: 0 };
    const missed = createMissedCgroup(cgroup, this.#removedKills.accountOf(parentOf(cgroup)));
    this.#emit(path, this.#notifications.hierarchyWatcher.source, { type: "cgroup_created" });
    if (scopeOf(this.options.scopes, path)) this.#watchedCount += 1;
    this.#kills.startWatching(missed);
    this.#markRemoved(missed);
  }

  /** When the removal is reported: a kill is logged before it, but its line may be read, or find its cgroup, later. */
  #removalDueAt({ removedAt, removedKills }: WatchedCgroup): number {
    // A logged kill that waits for its cgroup may turn out to be the one that is missing here.
    const isOpen = this.#kills.isWaiting && removedKills !== undefined &&
      removedKills.unreported() > 0n;
    return removedAt! + LOG_GRACE_MS * (isOpen ? 2 : 1);
  }

  /** Reports the kills that are still suspected, then the removal. */
  #finishRemoval(watched: WatchedCgroup): void {
    const { cgroup: { path }, removedKills, notifications } = watched;
    this.#notifications.takeOomNotifications(watched);
    const ooms = notifications.ooms - notifications.countedOoms - 1;
    if (ooms > 0) this.#changes.addLateOoms(watched, ooms);
    this.#changes.flush(watched);
    // v1: with the log, a kill would have had a line by now. Without it, a notified OOM is the only trace of a kill.
    const suspected = !this.#notifications.hasLog && watched.kills.suspected > 0 ? 1n : 0n;
    const unreported = removedKills ? this.#shareOf(watched, removedKills) : suspected;
    for (let n = 0n; n < unreported; n++) this.#kills.reportInferred(watched, performance.now());
    this.#removed.delete(watched);
    this.#emit(path, this.#notifications.hierarchyWatcher.source, { type: "cgroup_removed" });
    disarm(watched);
    if (this.#recentlyRemovedPaths.push(path) > MAX_REMEMBERED_PATHS) {
      this.#recentlyRemovedPaths.shift();
    }
    const deltas = this.#isInSummary(watched) ? counterDeltas(watched) : undefined;
    if (deltas) this.#removedDeltas.add(deltas, this.#summaryPath());
    // A target was inserted before what is below it, so this rarely goes through thousands of cgroups.
    const isTarget = ({ isTarget }: WatchedCgroup) => isTarget;
    if (!this.#watched.values().some(isTarget) && !this.#removed.values().some(isTarget)) {
      this.#done.resolve();
    }
  }

  /** How many of the unreported kills of removed siblings are most likely its own. */
  #shareOf(watched: WatchedCgroup, removedKills: RemovedChildrenKills): bigint {
    const mayHaveBeenKilled = ({ kills, counters }: WatchedCgroup) =>
      kills.victims === 0 && (kills.suspected > 0 || counters.readAt === -Infinity);
    const others = [...this.#removed].filter((each) =>
      each !== watched && each.removedKills === removedKills && mayHaveBeenKilled(each)
    );
    const unreported = removedKills.unreported();
    const remaining = unreported - BigInt(others.length);
    return remaining <= 0n && unreported > 0n && mayHaveBeenKilled(watched) ? 1n : remaining;
  }

  #beginResync(): void {
    const { reportsAllChanges } = this.#notifications.hierarchyWatcher;
    this.#nextResyncAt = performance.now() + resyncInterval(this.#watched.size, reportsAllChanges);
    this.#updateAll();
    this.#toResync = [...this.#watched.values()].reverse();
    this.#resyncAncestors = new Map();
    this.#continueResync();
  }

  /** Reads the next few again, in case a notification was lost. Skips those of which the removal has been noticed. */
  #continueResync(): void {
    for (const watched of this.#toResync.splice(-MAX_READS_PER_TURN).reverse()) {
      this.#refresh(watched, "poll", this.#resyncAncestors);
    }
  }

  #handle({ wakes, changed, hasOverflowed }: Batch): void {
    for (const dir of changed) this.#update(dir);
    for (const [watched, wake] of wakes) {
      this.#refresh(watched, wake.source);
      // A removal signals every eventfd, but a removed cgroup has no pressure.
      if (watched.removedAt !== undefined) continue;
      this.#changes.emitPressure(watched, wake);
      this.#updatePolled(watched);
    }
    if (hasOverflowed) this.#beginResync();
  }

  /** Reports what is certain by now, and sets the timer for the rest. */
  #reportAndSchedule(): void {
    // Taken before the log is read: if this thread is held up in between, that must not count as waiting for a line.
    const now = performance.now();
    this.#readLog();
    this.#removedKills.update((parent) => {
      this.#handle(this.#notifications.drain());
      this.#markRemovedBelow(parent);
      this.#readLog();
    });
    let next = Math.min(this.#nextResyncAt, this.#kills.settle(now));
    if (this.#toResync.length > 0) next = Math.min(next, now + MS_BETWEEN_TURNS);
    for (const watched of [...this.#removed]) {
      const dueAt = this.#removalDueAt(watched);
      if (dueAt <= now) this.#finishRemoval(watched);
      else next = Math.min(next, dueAt);
    }
    for (const { polls } of this.#polled) {
      next = Math.min(next, polls.nextAt, polls.nextUsageAt);
    }
    if (!this.#isClosed && !(this.#timer && this.#timer.at <= next)) {
      clearTimeout(this.#timer?.id);
      const id = setTimeout(this.#rejectOnThrow(() => this.#poll()), Math.max(1, next - now));
      this.#timer = { id, at: next };
    }
    this.options.afterWake?.();
  }

  #poll(): void {
    this.#timer = undefined;
    const now = performance.now();
    if (this.#nextResyncAt <= now) this.#beginResync();
    else this.#continueResync();
    for (const watched of [...this.#polled]) {
      const { polls, notifications, removedAt } = watched;
      if (removedAt !== undefined) continue;
      if (polls.nextAt <= now) this.#refresh(watched, notifications.source);
      if (polls.nextUsageAt <= now) this.#pollUsage(watched, now);
    }
    this.#reportAndSchedule();
  }
}
