/**
 * What becomes of a watched cgroup that is gone: its last kills may still be in the kernel log, or be known to its parent
 * alone, so that it is kept for a while before its removal is told.
 */

import { type Cgroup, parentOf } from "../cgroup/cgroup.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { directoryOf } from "../cgroup/hierarchy.ts";
import type { Body, Source } from "../report/event.ts";
import type { RemovedChildrenKills, RemovedKillCounts } from "./dead_children.ts";
import type { KillMatcher } from "./kills.ts";
import { createMissedCgroup, disarm, type WatchedCgroup } from "./member.ts";
import type { Sources } from "./sources.ts";

export interface RemovalTracker {
  /** It was found to be gone. */
  markRemoved(watched: WatchedCgroup): void;
  /** A cgroup at `path` was made, and is gone before anything of it could be read. */
  onMissedCgroup(hierarchy: Hierarchy, path: string): void;
  /** The log has had its time: tells what is still suspected, then the removal. */
  finishRemoval(watched: WatchedCgroup): void;
}

export interface RemovalTrackerOptions {
  readonly removedPending: Set<WatchedCgroup>;
  readonly parents: RemovedKillCounts;
  readonly sources: Sources;
  readonly kills: KillMatcher;
  readLog(): void;
  emitEvent(cgroup: string, source: Source, body: Body): void;
  emitOom(watched: WatchedCgroup, count: bigint, source: Source): void;
}

/** Hints of one removal come in several pieces; as many paths are remembered as may come and go meanwhile. */
const REMEMBERED = 50;

export function createRemovalTracker(
  { removedPending, parents, sources, kills, readLog, emitEvent, emitOom }: RemovalTrackerOptions,
): RemovalTracker {
  const recentlyRemoved: string[] = [];

  const tellUnread = (watched: WatchedCgroup, ooms: number) => {
    watched.suspectedKills += ooms;
    emitOom(watched, BigInt(ooms), "eventfd");
  };

  /** How many of the untold kills of removed siblings are most likely its own. */
  const shareOf = (watched: WatchedCgroup, removedKills: RemovedChildrenKills): bigint => {
    const wants = ({ victims, suspectedKills, readAt }: WatchedCgroup) =>
      victims === 0 && (suspectedKills > 0 || readAt === -Infinity);
    const others =
      [...removedPending].filter((m) =>
        m !== watched && wants(m) && m.removedKills === removedKills
      ).length;
    const left = removedKills.unreported() - BigInt(others);
    return left <= 0n && removedKills.unreported() > 0n && wants(watched) ? 1n : left;
  };

  const removalTracker: RemovalTracker = {
    markRemoved(watched) {
      if (watched.goneAt !== undefined) return;
      // Its kills were logged before it could be removed: those read until now may be its own, later ones are not.
      readLog();
      watched.goneAt = performance.now();
      removedPending.add(watched);
      if (watched.pendingKills < 0n) watched.killsBeforeRemoval -= watched.pendingKills;
      if (watched.removedKills) {
        const { cgroup, removedKills, countsSubtree, last } = watched;
        parents.gone({
          cgroup,
          removedKills,
          countsSubtree,
          last,
          ahead: watched.killsBeforeRemoval,
        });
        if (watched.pendingKills < 0n) watched.pendingKills = 0n;
        return;
      }
      // v1 notifies of the removal itself once, sooner or later; what came besides was an OOM that nobody could read about.
      sources.collect(watched);
      const killsBeforeRemoval = watched.notified - watched.reportedOoms;
      if (killsBeforeRemoval > 1) tellUnread(watched, killsBeforeRemoval - 1);
      const neverRead = watched.readAt === -Infinity || watched.source === "poll";
      watched.maybeKilled = watched.suspectedKills >= 0 && (killsBeforeRemoval > 0 || neverRead);
    },

    onMissedCgroup(hierarchy, path) {
      if (
        recentlyRemoved.includes(path) ||
        [...removedPending].some(({ cgroup }) => cgroup.path === path)
      ) return;
      const cgroup: Cgroup = { hierarchy, path, dir: directoryOf(hierarchy, path)!, inode: 0 };
      const ghost = createMissedCgroup(cgroup, parents.expect(parentOf(cgroup)));
      emitEvent(path, sources.hierarchyWatcher.source, { type: "cgroup_created" });
      kills.startWatching(ghost);
      removalTracker.markRemoved(ghost);
    },

    finishRemoval(watched) {
      sources.collect(watched);
      const killsBeforeRemoval = watched.notified - watched.reportedOoms - 1;
      if (killsBeforeRemoval > 0) tellUnread(watched, killsBeforeRemoval);
      // Without the log a suspicion is all there will ever be; with it, no line was no kill.
      const onSuspicion = sources.log === undefined && watched.suspectedKills > 0 ? 1n : 0n;
      const unseen = watched.removedKills ? shareOf(watched, watched.removedKills) : onSuspicion;
      for (let n = 0n; n < unseen; n++) kills.reportInferred(watched, performance.now());
      removedPending.delete(watched);
      emitEvent(watched.cgroup.path, sources.hierarchyWatcher.source, { type: "cgroup_removed" });
      sources.forget(watched);
      disarm(watched);
      if (recentlyRemoved.push(watched.cgroup.path) > REMEMBERED) recentlyRemoved.shift();
    },
  };
  return removalTracker;
}
