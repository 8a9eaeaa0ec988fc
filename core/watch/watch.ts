/**
 * Follows cgroups: one epoll set for all notifications, one timer for all polls. A wake leads to a fresh read, and what
 * is told is the difference to the last one, so that coalesced, spurious and lost notifications do no harm.
 */

import { wallClock } from "../kernel/clock.ts";
import type { AncestorLimits } from "../cgroup/ancestry.ts";
import { type Cgroup, parentOf } from "../cgroup/cgroup.ts";
import type { Interests } from "../cgroup/version.ts";
import {
  type Body,
  type CounterDeltas,
  makeEvent,
  type OomkitEvent,
  type Source,
} from "../events/event.ts";
import { sweepEvery } from "../policy/poll_interval.ts";
import type { RecordSink } from "../record/format.ts";
import { createReconciler } from "./reconcile.ts";
import { coversOf, everyTarget } from "./reconcile.ts";
import { createRemovedKillCounts } from "./removed_cgroups.ts";
import { createKillMatcher, LOG_GRACE_MS, type MatchedKill } from "./kill_matcher.ts";
import {
  createWatchedCgroup,
  disarm,
  hasTarget,
  rememberPids,
  type WatchedCgroup,
} from "./watched_cgroup.ts";
import { createCgroupDiffer } from "./diff.ts";
import { recordWatch } from "./record.ts";
import { createRemovalTracker } from "./removed_cgroups.ts";
import { type Batch, openSources } from "./sources.ts";
import { createSweeps } from "./reconcile.ts";
import { counterDeltas } from "./diff.ts";

export interface WatchOptions {
  readonly targets: readonly Cgroup[];
  /** Also everything beneath the targets, and what appears there later. */
  readonly recursive: boolean;
  /** In bytes, or in percent of each cgroup's effective limit. */
  readonly thresholds: readonly ({ readonly bytes: number } | { readonly percent: number })[];
  readonly pressure: Interests["pressure"];
  readonly psi: Interests["psi"];
  /** Milliseconds: read at this pace instead of being notified. */
  readonly poll?: number;
  /** Gets what is read of the cgroups; the events are its caller's. */
  readonly recordSink?: RecordSink;
  /** Called before each cgroup is armed at the start, which takes a while where there are thousands. */
  readonly onTarget?: (count: number) => void;
}

export type Summary = OomkitEvent & { readonly type: "summary" };

export interface Watching {
  /** For the start-up line: which sources are in use, and why not others. */
  readonly sources: readonly string[];
  /** Who is followed now. */
  cgroups(): Cgroup[];
  /** Resolves when no target is left; rejects when `emit` throws. */
  readonly done: Promise<void>;
  /** Reads everything once more, tells what is left to tell, ends with the summary, and frees everything. */
  stop(): Promise<Summary>;
}

/** Longer than a queued hint takes to arrive (milliseconds). */
const QUIET_MS = 20;
const MAX_MS_TO_STOP = 2000;

/** Arms everything before it returns: what happens afterwards is told, in order. */
export function startWatch(
  options: WatchOptions,
  emit: (event: OomkitEvent) => void,
): Watching {
  const started = performance.now();
  const hierarchy = options.targets[0]!.hierarchy;
  const watchedCgroups = new Map<string, WatchedCgroup>();
  const removedPending = new Set<WatchedCgroup>();
  const finished: CounterDeltas[] = [];
  const parents = createRemovedKillCounts();
  const done = Promise.withResolvers<void>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let timerAt = Infinity;
  /** Notifications are not known to be lost, but a watcher that trusts them alone would never know. */
  let sweepAt = started + sweepEvery(0, false);
  let closed = false;
  /** When something last woke us. */
  let wokenAt = started;

  const emitEvent = (cgroup: string, source: Source, body: Body) =>
    emit(makeEvent(wallClock(), cgroup, source, body));

  const sources = openSources(options, hierarchy, emitEvent);
  const covers = coversOf(options);
  const emitKill = ({ cgroup, watched, kill, inferred }: MatchedKill) => {
    if (watched) watched.victims += 1;
    if (kill && watched && watched.goneAt === undefined) {
      // The OOM was notified before its kill was logged, but the log may have been read first.
      sources.collect(watched);
      look(watched, watched.source);
    }
    const source = kill ? "kmsg" : inferred ? "parent" : watched?.source ?? "poll";
    differ.emitKill(cgroup, watched, kill, inferred, source);
  };
  const kills = createKillMatcher({
    watchedCgroups: function* () {
      yield* removedPending;
      yield* watchedCgroups.values();
    },
    covers,
    ahead: parents.ahead,
    hasLog: sources.log !== undefined,
    emitEvent: emitKill,
  });
  const recording = recordWatch(options.recordSink, watchedCgroups);
  const differ = recording.around(
    createCgroupDiffer(options, kills, emitEvent, () => watchedCgroups.size),
  );

  const add = (cgroup: Cgroup, isNew: boolean) => {
    // A kill logged before this cannot be its own, unless its counter says so.
    readLog();
    const isTarget = options.targets.some(({ path }) => path === cgroup.path);
    const removedKills = parents.expect(parentOf(cgroup));
    const watched = createWatchedCgroup(cgroup, {
      isTarget,
      countsSubtree: !options.recursive,
      isNew,
      removedKills,
    });
    if (watched === undefined) return;
    if (options.recursive) parents.expect(cgroup, isNew);
    watchedCgroups.set(cgroup.path, watched);
    kills.startWatching(watched);
    if (isNew) emitEvent(cgroup.path, sources.hierarchyWatcher.source, { type: "cgroup_created" });
    differ.setThresholds(watched);
    sources.arm(watched);
    if (isNew) rememberPids(watched, performance.now());
    // What happened while it was being armed raised no notification.
    look(watched, "poll");
  };

  const look = (watched: WatchedCgroup, source: Source, known?: AncestorLimits) => {
    if (watched.goneAt !== undefined) return;
    watched.nextPollAt = Infinity;
    if (!differ.refresh(watched, source, performance.now())) return markRemoved(watched);
    if (differ.effectiveChanged(watched, known)) sources.rearmThresholds(watched);
  };

  const readLog = () => {
    for (const kill of sources.log?.read() ?? []) kills.logged(kill, performance.now());
  };

  const removalTracker = createRemovalTracker({
    removedPending,
    parents,
    sources,
    kills,
    readLog,
    emitEvent,
    emitOom: (watched, count, source) => differ.emitOom(watched, count, source),
  });
  const finishRemoval = (watched: WatchedCgroup) => {
    removalTracker.finishRemoval(watched);
    finished.push(...[counterDeltas(watched)].filter((deltas) => deltas !== undefined));
    if (!hasTarget(watchedCgroups.values()) && !hasTarget(removedPending)) done.resolve();
  };
  const markRemoved = (watched: WatchedCgroup) => {
    watchedCgroups.delete(watched.cgroup.path);
    recording.gone(watched);
    removalTracker.markRemoved(watched);
  };

  const reconciler = createReconciler({
    ...options,
    hierarchy,
    watchedCgroups,
    parents,
    covers,
    add: (cgroup) => add(cgroup, true),
    markRemoved,
    // watchFs tells of files too, and nothing is left that could be asked what it was.
    onMissedCgroup: (path) =>
      sources.hierarchyWatcher.source === "inotify" &&
      removalTracker.onMissedCgroup(hierarchy, path),
  });

  const sweep = () => {
    sweepAt = performance.now() +
      sweepEvery(watchedCgroups.size, sources.hierarchyWatcher.reportsAllChanges());
    reconciler.take(undefined);
    sweeps.begin(watchedCgroups.values());
    sweeps.goOn();
  };
  const sweeps = createSweeps((watched, known) => look(watched, "poll", known));

  const take = ({ touched, changed, overflow }: Batch) => {
    for (const dir of changed) reconciler.take(dir);
    for (const [watched, hint] of touched) {
      look(watched, hint.source);
      // A removal signals every eventfd: what is gone has no pressure.
      if (watched.goneAt === undefined) differ.emitPressure(watched, hint);
    }
    if (overflow) sweep();
  };

  /** What is known by now, though nobody was woken for it yet. */
  const catchUp = (parent: Cgroup) => {
    take(sources.drain());
    reconciler.markAllRemoved(parent);
    readLog();
  };

  const settle = () => {
    // Before the log is read: what is not in it by now is late, however long this program stands still in between.
    const now = performance.now();
    readLog();
    parents.settle(catchUp);
    let next = Math.min(sweepAt, now + sweeps.pause(), kills.settle(now));
    for (const watched of [...removedPending]) {
      // A kill without a cgroup may still turn out to be the one that is missing.
      const isOpen = kills.waiting() && watched.removedKills !== undefined &&
        watched.removedKills.unreported() > 0n;
      const at = watched.goneAt! + LOG_GRACE_MS * (isOpen ? 2 : 1);
      if (at <= now) finishRemoval(watched);
      else next = Math.min(next, at);
    }
    for (const each of watchedCgroups.values()) {
      next = Math.min(next, each.nextPollAt, each.nextUsagePollAt);
    }
    if (closed || (timer !== undefined && timerAt <= next)) return;
    clearTimeout(timer);
    timerAt = next;
    timer = setTimeout(guarded(tick), Math.max(1, next - now));
  };

  const tick = () => {
    timer = undefined;
    const now = performance.now();
    if (sweepAt <= now) sweep();
    else sweeps.goOn();
    for (const watched of watchedCgroups.values()) {
      if (watched.nextPollAt <= now) look(watched, watched.source);
      if (watched.nextUsagePollAt <= now) differ.pollUsage(watched, now);
    }
    settle();
  };

  /** What throws outside of anybody's call ends the watch instead of the process. */
  const guarded = <A extends unknown[]>(action: (...args: A) => void) => (...args: A) => {
    try {
      action(...args);
    } catch (error) {
      done.reject(error);
    }
  };

  sources.hierarchyWatcher.start(guarded((dir: string | undefined) => {
    if (closed) return;
    wokenAt = performance.now();
    reconciler.take(dir);
    settle();
  }));
  for (const cgroup of everyTarget(options)) {
    if (!watchedCgroups.has(cgroup.path)) add(cgroup, false);
  }
  if (watchedCgroups.size === 0) done.resolve();

  const loop = sources.follow(guarded((batch: Batch) => {
    wokenAt = performance.now();
    take(batch);
    settle();
  }));
  settle();

  /**
   * Waits for what is on its way: hints that are queued, the kill that follows a notified OOM, the line that follows a
   * counter. Bounded, since on a busy node there is always something.
   */
  const quiet = async () => {
    const deadline = performance.now() + MAX_MS_TO_STOP;
    // However long the last wake was ago: what came while we were busy has had no turn yet.
    wokenAt = performance.now();
    for (let now = wokenAt; now < deadline; now = performance.now()) {
      const isOpen = removedPending.size > 0 || kills.waiting() ||
        [...watchedCgroups.values()].some((m) => m.pendingKills > 0n || m.suspectedKills > 0);
      if (now - wokenAt > (isOpen ? LOG_GRACE_MS + QUIET_MS : QUIET_MS)) return;
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS / 2));
    }
  };

  return {
    sources: sources.described(),
    cgroups: () => [...watchedCgroups.values()].map(({ cgroup }) => cgroup),
    done: done.promise,
    async stop() {
      for (const watched of [...watchedCgroups.values()]) look(watched, "poll");
      settle();
      await quiet();
      closed = true;
      clearTimeout(timer);
      sources.wakeUp();
      await loop;
      settle();
      recording.stop();
      for (const watched of [...removedPending]) finishRemoval(watched);
      differ.flush(watchedCgroups.values());
      const cgroups = [...watchedCgroups.values()].flatMap((each) => counterDeltas(each) ?? [])
        .concat(finished);
      for (const watched of watchedCgroups.values()) disarm(watched);
      await sources.close();
      done.resolve();
      const seconds = Math.round(performance.now() - started) / 1000;
      const path = options.targets.length === 1 ? options.targets[0]!.path : hierarchy.root;
      const event = makeEvent(wallClock(), path, "none", { type: "summary", seconds, cgroups });
      emit(event);
      return event as Summary;
    },
  };
}
