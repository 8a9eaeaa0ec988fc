/**
 * Kills that removed cgroups took with them. Their own counters are gone, but their parent's (v2 `memory.events`) counts
 * the whole subtree for ever: what neither the parent itself nor its living children account for happened in dead ones.
 * That is a sum over all of them, so it is kept by parent, as a pool from which each kill is taken once it is told.
 */

import { type Cgroup, childrenOf, parentOf, readCounters } from "../cgroup/cgroup.ts";
import { directoryOf, type Hierarchy } from "../cgroup/hierarchy.ts";
import type { Body, Source } from "../events/event.ts";
import type { KillMatcher } from "./kill_matcher.ts";
import type { Sources } from "./sources.ts";
import {
  type BothCounters,
  createMissedCgroup,
  disarm,
  type WatchedCgroup,
} from "./watched_cgroup.ts";

export interface RemovedChildrenKills {
  /** Kills that no counter has shown and nobody has told; negative while a kill was told before its cgroup was read. */
  unreported(): bigint;
  /** So many of them are told. */
  take(kills: bigint): void;
}

/** What is gone, as far as it is accounted for. */
export interface RemovedChild {
  readonly cgroup: Cgroup;
  readonly removedKills: RemovedChildrenKills;
  readonly countsSubtree: boolean;
  readonly last: BothCounters;
  /** Told ahead of the counter. */
  readonly ahead: bigint;
}

export interface RemovedKillCounts {
  /**
   * To be called before a child of `parent` may be removed. `undefined` where no parent can tell: on v1, and at the root.
   * @param isNew made while it was being watched, so that nothing is known of its dead children yet.
   */
  expect(parent: Cgroup | undefined, isNew?: boolean): RemovedChildrenKills | undefined;
  /** A watched child is gone: what was read of it, and what was told ahead of its counter, is no secret. */
  gone(child: RemovedChild): void;
  /** A child of `parent` that nobody watches is gone, while all that are watched are there. */
  ignore(parent: Cgroup | undefined): void;
  /** `kills` were told in `path`, of which nothing is read yet; negative when that is made up for. */
  ahead(path: string, kills: bigint): void;
  /**
   * Reads the parents of what is gone. A child that is gone unnoticed would look like one with secrets: each time
   * `notice` reports all that are gone beneath the parent, and it is read again.
   */
  settle(notice: (parent: Cgroup) => void): void;
}

interface Account extends RemovedChildrenKills {
  readonly parent: Cgroup;
  /** The parent's count when the watch began: as long as it stands still, nobody can have been killed unseen. */
  readonly quiet: bigint;
  /** In dead children, as last read. */
  dead: bigint;
  /** What was read of children that have gone since. */
  read: bigint;
  balance: bigint;
  /** Who goes on with it when the parent is gone as well. */
  successor?: Account;
}

export function createRemovedKillCounts(): RemovedKillCounts {
  const accounts = new Map<string, Account>();
  const byPath = new Map<string, Account>();
  const unsettled = new Set<Account>();
  const key = (parent: Cgroup) => `${parent.inode} ${parent.path}`;
  const current = (account: Account): Account =>
    account.successor ? current(account.successor) : account;
  const transferTo = (account: Account, successor: Account) => {
    successor.balance += account.balance - account.read;
    account.successor = successor;
    unsettled.delete(account);
    accounts.delete(key(account.parent));
    if (byPath.get(account.parent.path) === account) byPath.delete(account.parent.path);
  };
  /** False when the parent could not be read. */
  const settle = (account: Account): boolean => {
    const isQuiet = readCounters(account.parent)?.subtree.oomKill === account.quiet;
    const dead = isQuiet ? account.dead + account.read : inRemovedChildren(account.parent);
    if (dead === undefined) return false;
    account.balance += dead - account.dead - account.read;
    account.dead = dead;
    account.read = 0n;
    return true;
  };

  return {
    expect(parent, isNew = false) {
      if (parent === undefined) return undefined;
      const known = accounts.get(key(parent));
      if (known) return known;
      const quiet = isNew ? 0n : readCounters(parent)?.subtree.oomKill;
      const dead = inRemovedChildren(parent);
      if (dead === undefined || quiet === undefined) return undefined;
      const account: Account = {
        parent,
        quiet,
        dead: isNew ? 0n : dead,
        read: 0n,
        balance: 0n,
        unreported: () => current(account).balance,
        take: (kills) => void (current(account).balance -= kills),
      };
      accounts.set(key(parent), account);
      byPath.set(parent.path, account);
      return account;
    },

    gone({ cgroup, removedKills, countsSubtree, last, ahead }) {
      const account = current(removedKills as Account);
      const own = countsSubtree ? undefined : accounts.get(key(cgroup));
      account.balance -= ahead;
      account.read += own && last.local.oomKill !== undefined
        ? last.local.oomKill + own.dead
        : last.subtree.oomKill ?? 0n;
      if (own) transferTo(own, account);
      unsettled.add(account);
    },

    ignore(parent) {
      const account = parent && accounts.get(key(parent));
      const dead = account && account.read === 0n && !unsettled.has(account)
        ? inRemovedChildren(account.parent)
        : undefined;
      if (dead !== undefined) account!.dead = dead;
    },

    ahead(path, kills) {
      const names = path.split("/");
      while (names.length > 1) {
        names.pop();
        const account = byPath.get(names.join("/") || "/");
        if (account === undefined) continue;
        account.balance -= kills;
        return;
      }
    },

    settle(notice) {
      const killsBeforeRemoval: Account[] = [];
      // What is noticed becomes unsettled again, and is settled in the next turn.
      for (let [account] = unsettled; account; [account] = unsettled) {
        unsettled.delete(account);
        if (settle(account)) notice(account.parent);
        else killsBeforeRemoval.push(account);
      }
      for (const account of killsBeforeRemoval) {
        if (account.successor === undefined) unsettled.add(account);
      }
    },
  };
}

/** Counters are read one after another; a kill in between would shift the sum, so the parent must stand still. */
const TRIES = 5;

function inRemovedChildren(parent: Cgroup): bigint | undefined {
  for (let tries = 0; tries < TRIES; tries++) {
    const before = readCounters(parent);
    const total = before?.subtree.oomKill;
    const own = before?.local.oomKill;
    if (total === undefined || own === undefined) return undefined;
    const living = childrenOf(parent)
      .map((child) => readCounters(child)?.subtree.oomKill ?? 0n)
      .reduce((sum, kills) => sum + kills, 0n);
    if (readCounters(parent)?.subtree.oomKill === total) return total - own - living;
  }
  return undefined;
}

/*
 * What becomes of a watched cgroup that is gone: its last kills may still be in the kernel log, or be known to its parent
 * alone, so that it is kept for a while before its removal is told.
 */

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
