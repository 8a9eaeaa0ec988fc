/**
 * Watches cgroups: one epoll set for all notifications, one timer for all polls. Every wake-up leads to a new read, and
 * the events are the differences to the last one. Times are `performance.now()`.
 */

import type { AncestorLimits } from "../cgroup/ancestry.ts";
import { type Cgroup, parentOf } from "../cgroup/cgroup.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import {
  type Body,
  type CounterDeltas,
  makeEvent,
  type OomkitEvent,
  type Source,
} from "../events/event.ts";
import { wallClock } from "../kernel/clock.ts";
import { sweepEvery } from "../policy/poll_interval.ts";
import { recordingClock } from "../record/clock.ts";
import { delay } from "../timing.ts";
import { CgroupDiffer, counterDeltas } from "./diff.ts";
import { KillMatcher, LOG_GRACE_MS, type MatchedKill } from "./kill_matcher.ts";
import type { WatchOptions } from "./options.ts";
import { everyTarget, isCovered, Reconciler, Sweep } from "./reconcile.ts";
import { WatchRecorder } from "./record.ts";
import { RemovalTracker } from "./removals.ts";
import { RemovedKillCounts } from "./removed_kills.ts";
import { type Batch, Sources } from "./sources.ts";
import { createWatchedCgroup, disarm, rememberPids, type WatchedCgroup } from "./watched_cgroup.ts";

export type Summary = OomkitEvent & { readonly type: "summary" };

export interface Watching {
  /** For the start-up line: which sources are in use, and what stands in for others. */
  readonly sources: readonly string[];
  /** Those that are watched now. */
  cgroups(): Cgroup[];
  /** Resolves when no target is left; rejects when reading fails or `emit` throws. */
  readonly done: Promise<void>;
  /** Reads everything once more, emits what is still open and the summary, and closes everything. */
  stop(): Promise<Summary>;
}

/** A queued notification arrives sooner than this. */
const MS_WITHOUT_WAKE = 20;
const MAX_MS_TO_STOP = 2000;

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
  /** Removed, but their removal is not reported yet. */
  readonly #removed = new Set<WatchedCgroup>();
  /** Of cgroups after their removal is reported. */
  readonly #removedDeltas: CounterDeltas[] = [];
  readonly #removedKills = new RemovedKillCounts();
  readonly #sources: Sources;
  readonly #kills: KillMatcher;
  readonly #differ: CgroupDiffer;
  readonly #recorder: WatchRecorder | undefined;
  readonly #removals: RemovalTracker;
  readonly #reconciler: Reconciler;
  readonly #sweep = new Sweep();
  /** Notifications are not known to be lost, but a watch that relied on them alone would never notice. */
  #nextSweepAt = this.#startedAt + sweepEvery(0, false);
  #timer: { readonly id: ReturnType<typeof setTimeout>; readonly at: number } | undefined;
  #lastWakeAt = this.#startedAt;
  #following = Promise.resolve();
  #isClosed = false;

  constructor(
    private readonly options: WatchOptions,
    private readonly emitEvent: (event: OomkitEvent) => void,
  ) {
    this.done = this.#done.promise;
    this.#hierarchy = options.targets[0]!.hierarchy;
    const watchedCgroups = this.#watched;
    const removed = this.#removed;
    const context = {
      options,
      hierarchy: this.#hierarchy,
      watchedCgroups,
      removedKills: this.#removedKills,
      emit: this.#emit.bind(this),
      readLog: this.#readLog.bind(this),
    };
    this.#sources = new Sources(options, this.#hierarchy, context.emit);
    this.#kills = new KillMatcher({
      watchedCgroups: function* () {
        yield* removed;
        yield* watchedCgroups.values();
      },
      covers: (path) => isCovered(options, path),
      reportedAhead: (path, kills) => this.#removedKills.reportedAhead(path, kills),
      hasLog: this.#sources.log !== undefined,
      emit: (kill) => this.#emitKill(kill),
    });
    this.#differ = new CgroupDiffer({
      ...context,
      kills: this.#kills,
      watchedCount: () => watchedCgroups.size,
    });
    const { recordSink } = options;
    this.#recorder = recordSink && new WatchRecorder(recordSink, watchedCgroups);
    this.#removals = new RemovalTracker({
      ...context,
      pending: removed,
      sources: this.#sources,
      kills: this.#kills,
      emitOom: (watched, count) => this.#differ.emitOom(watched, count, "eventfd"),
    });
    this.#reconciler = new Reconciler({
      ...context,
      add: (cgroup) => this.#add(cgroup, true),
      markRemoved: (watched) => this.#markRemoved(watched),
      addMissed: (path) => {
        // watchFs reports files too, and what is gone cannot be told apart.
        if (this.#sources.hierarchyWatcher.source === "inotify") this.#removals.addMissed(path);
      },
    });
  }

  start(): void {
    this.#sources.hierarchyWatcher.start(this.#guarded((dir: string | undefined) => {
      if (this.#isClosed) return;
      this.#lastWakeAt = performance.now();
      if (dir === undefined) this.#reconciler.updateAll();
      else this.#reconciler.update(dir);
      this.#settle();
    }));
    for (const cgroup of everyTarget(this.options)) {
      if (!this.#watched.has(cgroup.path)) this.#add(cgroup, false);
    }
    if (this.#watched.size === 0) this.#done.resolve();
    this.#following = this.#sources.follow(this.#guarded((batch: Batch) => {
      this.#lastWakeAt = performance.now();
      this.#handle(batch);
      this.#settle();
    }));
    this.#settle();
    this.sources = this.#sources.lines();
  }

  cgroups(): Cgroup[] {
    return [...this.#watched.values()].map(({ cgroup }) => cgroup);
  }

  async stop(): Promise<Summary> {
    for (const watched of [...this.#watched.values()]) this.#read(watched, "poll");
    this.#settle();
    await this.#waitUntilQuiet();
    this.#isClosed = true;
    clearTimeout(this.#timer?.id);
    this.#sources.wakeUp();
    await this.#following;
    this.#settle();
    this.#recorder?.stop();
    for (const watched of [...this.#removed]) this.#finishRemoval(watched);
    const watched = [...this.#watched.values()];
    this.#differ.flush(watched);
    const cgroups = watched.flatMap((each) => counterDeltas(each) ?? []);
    watched.forEach(disarm);
    await this.#sources.close();
    this.#done.resolve();
    const { targets } = this.options;
    const path = targets.length === 1 ? targets[0]!.path : this.#hierarchy.root;
    const summary = makeEvent(wallClock(), path, "none", {
      type: "summary",
      seconds: Math.round(performance.now() - this.#startedAt) / 1000,
      cgroups: [...cgroups, ...this.#removedDeltas],
    });
    this.emitEvent(summary);
    return summary as Summary;
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

  /** An exception that no caller can catch ends the watch instead of the process. */
  #guarded<A extends unknown[]>(action: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      try {
        action(...args);
      } catch (error) {
        this.#done.reject(error);
      }
    };
  }

  #emit(cgroup: string, source: Source, body: Body): void {
    this.emitEvent(makeEvent(wallClock(), cgroup, source, body));
  }

  #emitKill(matched: MatchedKill): void {
    const { watched, kill, inferred } = matched;
    if (watched) watched.kills.victims += 1;
    if (kill && watched && watched.removedAt === undefined) {
      // The OOM was notified before its kill was logged, but the log may have been read first.
      this.#sources.takeOomNotifications(watched);
      this.#read(watched, watched.notifications.source);
    }
    const source = kill ? "kmsg" : inferred ? "parent" : watched?.notifications.source ?? "poll";
    this.#differ.emitKill(matched, source);
  }

  #add(cgroup: Cgroup, isNew: boolean): void {
    // A kill logged before this cannot be in this cgroup, unless its counter shows it.
    this.#readLog();
    const { recursive, targets } = this.options;
    const watched = createWatchedCgroup(cgroup, {
      isTarget: targets.some(({ path }) => path === cgroup.path),
      countsSubtree: !recursive,
      isNew,
      removedKills: this.#removedKills.accountOf(parentOf(cgroup)),
    });
    if (watched === undefined) return;
    if (recursive) this.#removedKills.accountOf(cgroup, isNew);
    this.#watched.set(cgroup.path, watched);
    this.#kills.startWatching(watched);
    if (isNew) {
      this.#emit(cgroup.path, this.#sources.hierarchyWatcher.source, { type: "cgroup_created" });
    }
    this.#differ.setThresholds(watched);
    this.#sources.arm(watched);
    if (isNew) rememberPids(watched, performance.now());
    // What happened while it was being armed was not notified.
    this.#read(watched, "poll");
  }

  #read(watched: WatchedCgroup, source: Source, ancestors?: AncestorLimits): void {
    if (watched.removedAt !== undefined) return;
    watched.polls.nextAt = Infinity;
    const at = recordingClock();
    if (!this.#differ.refresh(watched, source, performance.now())) {
      return this.#markRemoved(watched);
    }
    this.#recorder?.snapshot(watched, at);
    if (this.#differ.updateEffectiveLimit(watched, ancestors)) {
      this.#sources.rearmThresholds(watched);
    }
  }

  #pollUsage(watched: WatchedCgroup, now: number): void {
    const before = watched.memory.usage;
    const at = recordingClock();
    this.#differ.pollUsage(watched, now);
    if (watched.memory.usage !== before) this.#recorder?.snapshot(watched, at);
  }

  #readLog(): void {
    for (const kill of this.#sources.log?.read() ?? []) {
      this.#kills.logged(kill, performance.now());
    }
  }

  #markRemoved(watched: WatchedCgroup): void {
    this.#watched.delete(watched.cgroup.path);
    this.#recorder?.removed(watched);
    this.#removals.markRemoved(watched);
  }

  #finishRemoval(watched: WatchedCgroup): void {
    this.#removals.finish(watched);
    const deltas = counterDeltas(watched);
    if (deltas) this.#removedDeltas.push(deltas);
    // Targets come first: this does not go through thousands of cgroups.
    const isTarget = ({ isTarget }: WatchedCgroup) => isTarget;
    if (!this.#watched.values().some(isTarget) && !this.#removed.values().some(isTarget)) {
      this.#done.resolve();
    }
  }

  #beginSweep(): void {
    const { reportsAllChanges } = this.#sources.hierarchyWatcher;
    this.#nextSweepAt = performance.now() + sweepEvery(this.#watched.size, reportsAllChanges);
    this.#reconciler.updateAll();
    this.#sweep.begin(this.#watched.values());
    this.#continueSweep();
  }

  #continueSweep(): void {
    this.#sweep.readNext((watched, ancestors) => this.#read(watched, "poll", ancestors));
  }

  #handle({ wakes, changed, hasOverflowed }: Batch): void {
    for (const dir of changed) this.#reconciler.update(dir);
    for (const [watched, wake] of wakes) {
      this.#read(watched, wake.source);
      // A removal signals every eventfd, but a removed cgroup has no pressure.
      if (watched.removedAt === undefined) this.#differ.emitPressure(watched, wake);
    }
    if (hasOverflowed) this.#beginSweep();
  }

  /** Reports what is certain by now, and sets the timer for the rest. */
  #settle(): void {
    // Before the log is read: a line that is not in it by now is late, however long the thread is held up in between.
    const now = performance.now();
    this.#readLog();
    this.#removedKills.update((parent) => {
      this.#handle(this.#sources.drain());
      this.#reconciler.findRemoved(parent);
      this.#readLog();
    });
    let next = Math.min(this.#nextSweepAt, now + this.#sweep.pause, this.#kills.settle(now));
    for (const watched of [...this.#removed]) {
      const dueAt = this.#removals.dueAt(watched);
      if (dueAt <= now) this.#finishRemoval(watched);
      else next = Math.min(next, dueAt);
    }
    for (const { polls } of this.#watched.values()) {
      next = Math.min(next, polls.nextAt, polls.nextUsageAt);
    }
    if (this.#isClosed || (this.#timer && this.#timer.at <= next)) return;
    clearTimeout(this.#timer?.id);
    const id = setTimeout(this.#guarded(() => this.#poll()), Math.max(1, next - now));
    this.#timer = { id, at: next };
  }

  #poll(): void {
    this.#timer = undefined;
    const now = performance.now();
    if (this.#nextSweepAt <= now) this.#beginSweep();
    else this.#continueSweep();
    for (const watched of this.#watched.values()) {
      const { polls, notifications } = watched;
      if (polls.nextAt <= now) this.#read(watched, notifications.source);
      if (polls.nextUsageAt <= now) this.#pollUsage(watched, now);
    }
    this.#settle();
  }
}
