/**
 * Removed cgroups. The last kills of one may still be in the kernel log, or be known to its parent alone, so it is kept for
 * a while before its removal is reported.
 */

import { type Cgroup, parentOf } from "../cgroup/cgroup.ts";
import { directoryOf, type Hierarchy } from "../cgroup/hierarchy.ts";
import { type KillMatcher, LOG_GRACE_MS } from "./kill_matcher.ts";
import type { EmitBody } from "./options.ts";
import type { RemovedChildrenKills, RemovedKillCounts } from "./removed_kills.ts";
import type { Sources } from "./sources.ts";
import { createMissedCgroup, disarm, type WatchedCgroup } from "./watched_cgroup.ts";

export interface RemovalContext {
  readonly hierarchy: Hierarchy;
  /** Removed cgroups, before their removal is reported. */
  readonly pending: Set<WatchedCgroup>;
  readonly removedKills: RemovedKillCounts;
  readonly sources: Sources;
  readonly kills: KillMatcher;
  readLog(): void;
  readonly emit: EmitBody;
  emitOom(watched: WatchedCgroup, count: bigint): void;
}

/** One removal arrives as several notifications; so many paths are remembered as may be removed meanwhile. */
const MAX_REMEMBERED_PATHS = 50;

export class RemovalTracker {
  readonly #recentPaths: string[] = [];

  constructor(private readonly context: RemovalContext) {}

  /** Its directory is gone. */
  markRemoved(watched: WatchedCgroup): void {
    if (watched.removedAt !== undefined) return;
    const { cgroup, removedKills, countsSubtree, counters, kills, notifications } = watched;
    // Its kills were logged before it could be removed: those read until now may be its own, later ones are not.
    this.context.readLog();
    watched.removedAt = performance.now();
    this.context.pending.add(watched);
    if (kills.pending < 0n) kills.beforeRemoval -= kills.pending;
    if (removedKills) {
      const { last } = counters;
      const ahead = kills.beforeRemoval;
      this.context.removedKills.childRemoved({ cgroup, removedKills, countsSubtree, last, ahead });
      if (kills.pending < 0n) kills.pending = 0n;
      return;
    }
    // v1 signals the removal itself once, at some time; every other signal was an OOM, too late for the counters to be read.
    this.context.sources.takeOomNotifications(watched);
    const signals = notifications.ooms - notifications.reportedOoms;
    if (signals > 1) this.#emitOoms(watched, signals - 1);
    const wasNeverRead = counters.readAt === -Infinity || notifications.source === "poll";
    kills.maybeKilled = kills.suspected >= 0 && (signals > 0 || wasNeverRead);
  }

  /** A cgroup was created at `path` and removed before it could be read. */
  addMissed(path: string): void {
    const { hierarchy, pending, removedKills, sources, kills, emit } = this.context;
    if (this.#recentPaths.includes(path)) return;
    if ([...pending].some(({ cgroup }) => cgroup.path === path)) return;
    const cgroup: Cgroup = { hierarchy, path, dir: directoryOf(hierarchy, path)!, inode: 0 };
    const missed = createMissedCgroup(cgroup, removedKills.accountOf(parentOf(cgroup)));
    emit(path, sources.hierarchyWatcher.source, { type: "cgroup_created" });
    kills.startWatching(missed);
    this.markRemoved(missed);
  }

  /** When the removal is reported: once the kernel log has had its time. */
  dueAt({ removedAt, removedKills }: WatchedCgroup): number {
    // A logged kill that waits for its cgroup may turn out to be the one that is missing here.
    const isOpen = this.context.kills.isWaiting && removedKills !== undefined &&
      removedKills.unreported() > 0n;
    return removedAt! + LOG_GRACE_MS * (isOpen ? 2 : 1);
  }

  /** Reports the kills that are still suspected, then the removal. */
  finish(watched: WatchedCgroup): void {
    const { pending, sources, kills, emit } = this.context;
    const { cgroup: { path }, removedKills, notifications } = watched;
    sources.takeOomNotifications(watched);
    const ooms = notifications.ooms - notifications.reportedOoms - 1;
    if (ooms > 0) this.#emitOoms(watched, ooms);
    // Without the log a suspicion is all there is; with it, a kill would have had a line.
    const suspected = sources.log === undefined && watched.kills.suspected > 0 ? 1n : 0n;
    const unseen = removedKills ? this.#shareOf(watched, removedKills) : suspected;
    for (let n = 0n; n < unseen; n++) kills.reportInferred(watched, performance.now());
    pending.delete(watched);
    emit(path, sources.hierarchyWatcher.source, { type: "cgroup_removed" });
    sources.forget(watched);
    disarm(watched);
    if (this.#recentPaths.push(path) > MAX_REMEMBERED_PATHS) this.#recentPaths.shift();
  }

  #emitOoms(watched: WatchedCgroup, count: number): void {
    watched.kills.suspected += count;
    this.context.emitOom(watched, BigInt(count));
  }

  /** How many of the unreported kills of removed siblings are most likely its own. */
  #shareOf(watched: WatchedCgroup, removedKills: RemovedChildrenKills): bigint {
    const isCandidate = ({ kills, counters }: WatchedCgroup) =>
      kills.victims === 0 && (kills.suspected > 0 || counters.readAt === -Infinity);
    const others = [...this.context.pending].filter((each) =>
      each !== watched && each.removedKills === removedKills && isCandidate(each)
    );
    const unreported = removedKills.unreported();
    const left = unreported - BigInt(others.length);
    return left <= 0n && unreported > 0n && isCandidate(watched) ? 1n : left;
  }
}
