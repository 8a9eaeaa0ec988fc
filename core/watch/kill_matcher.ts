/**
 * Brings together the two witnesses of a kill: the counter, which is exact but nameless, and the kernel log, which names
 * the victim but may leave out its cgroup, or may not be readable at all. Each kill is told once.
 */

import { isInSubtree } from "../cgroup_path.ts";
import type { LoggedKill } from "./kernel_log.ts";
import { rememberPids, type WatchedCgroup } from "./watched_cgroup.ts";

export interface MatchedKill {
  /** The victim's cgroup. */
  readonly cgroup: string;
  /** The watched cgroup that it is counted for; absent when it was made and killed before it could be armed. */
  readonly watched?: WatchedCgroup;
  readonly kill?: LoggedKill;
  /** True when the counter was gone before it could be read, and no log names the victim. */
  readonly inferred: boolean;
}

/** How late the kernel tells of a counter that has risen: it notifies a file at most once in 10 ms. */
export const NOTIFIED_WITHIN_MS = 20;

/** The log line follows the counter within microseconds; longer than this nobody waits for it (milliseconds). */
export const LOG_GRACE_MS = 250;

/** A kill without a cgroup waits this long for those that can be told for certain, before it gets what they leave. */
const ELIMINATE_MS = 30;

export interface KillMatcher {
  /** The kernel log told of a kill. */
  logged(kill: LoggedKill, now: number): void;
  /** A counter rose; its kills were logged no earlier than `from`. */
  counted(watched: WatchedCgroup, kills: bigint, now: number, from: number): void;
  /** It is watched now: what was told of it before is not told again. */
  startWatching(watched: WatchedCgroup): void;
  /** A kill in a removed cgroup is known only because nothing else accounts for it. */
  reportInferred(watched: WatchedCgroup, now: number): void;
  /** Tells what can be told; returns when to look again, `Infinity` when nothing is open. */
  settle(now: number): number;
  /** Whether a logged kill waits for its cgroup. */
  waiting(): boolean;
}

export interface KillMatcherOptions {
  /** Living and lately removed. */
  watchedCgroups(): Iterable<WatchedCgroup>;
  /** True when `path` lies beneath a recursively watched target. */
  covers(path: string): boolean;
  /** So many kills were told in a cgroup that is not watched (yet); negative when it is now. */
  ahead(cgroup: string, kills: bigint): void;
  /** Whether the kernel log is being read, and so worth waiting for. */
  readonly hasLog: boolean;
  emitEvent(told: MatchedKill): void;
}

/** Cgroups that vanish before they are armed never claim their kills. */
const EARLY_MAX = 1000;

interface Open {
  readonly kill: LoggedKill;
  /** When it was read. */
  readonly at: number;
}

export function createKillMatcher(
  { watchedCgroups, covers, ahead, hasLog, emitEvent }: KillMatcherOptions,
): KillMatcher {
  let open: Open[] = [];
  /** While these are being placed. */
  let unplaced: Open[] = [];
  /** Those with kills that are counted but not told, and perhaps some that were: nearly always nobody among thousands. */
  let withPendingKills = new Set<WatchedCgroup>();
  /** Kills told in cgroups that were not armed yet: their counters will show them once more. */
  const early = new Map<string, bigint>();

  /** An OOM is notified at the victim's cgroup and at its ancestors; one kill explains them all. */
  const clearSuspicion = (cgroup: string, own: WatchedCgroup, now: number) => {
    if (own.suspectedKills > 0 || !own.maybeKilled) own.suspectedKills -= 1;
    else own.maybeKilled = false;
    own.lastOomAt = now;
    for (const watched of watchedCgroups()) {
      if (watched === own || !isInSubtree(cgroup, watched.cgroup.path)) continue;
      if (watched.suspectedKills > 0) watched.suspectedKills -= 1;
    }
  };

  /** It is told once, though each watched cgroup around it counts it, too. */
  const creditAncestors = (cgroup: string, own: WatchedCgroup) => {
    for (const watched of watchedCgroups()) {
      const isAround = watched.countsSubtree && hasSubtreeCounter(watched) &&
        isInSubtree(cgroup, watched.cgroup.path);
      // v1 counts a kill in the victim's own cgroup only.
      if (watched === own ? isAround || cgroup === watched.cgroup.path : isAround) account(watched);
    }
  };

  const settleMember = (watched: WatchedCgroup, { kill, at }: Open, now: number) => {
    if (at < watched.since) return;
    const cgroup = kill.cgroup ?? watched.cgroup.path;
    clearSuspicion(cgroup, watched, now);
    creditAncestors(cgroup, watched);
    if (kill.again) watched.repeated += 1;
    else emitEvent({ cgroup, watched, kill, inferred: false });
  };

  /** The member that is known to have had the victim in it. */
  const cgroupOfKill = ({ kill }: Open, now: number): WatchedCgroup | undefined => {
    const isHome = (m: WatchedCgroup) => m.pids.has(kill.victim.pid);
    const known = [...watchedCgroups()].find(isHome);
    if (known) return known;
    const near = [...watchedCgroups()].filter((m) => m.goneAt === undefined && isSuspicious(m));
    for (const watched of near) rememberPids(watched, now);
    return near.find(isHome);
  };

  /** The member that the victim was in, by the time at which it can have been killed. */
  const suspect = (logged: Open, now: number): WatchedCgroup | undefined => {
    const { kill, at } = logged;
    const since = (m: WatchedCgroup, at: number) => Math.abs((m.goneAt ?? m.pendingSince) - at);
    const isNearest = (m: WatchedCgroup) =>
      !unplaced.some((o) => o !== logged && !o.kill.cgroup && since(m, o.at) < since(m, at));
    const fits = (m: WatchedCgroup) => {
      // A counter that rose just now has its own line on the way.
      const isSettled = now - m.pendingSince >= ELIMINATE_MS / 2;
      if (m.pendingKills > 0n) {
        return kill.group || (at >= m.pendingFrom && isSettled && isNearest(m));
      }
      return isSuspicious(m) && m.goneAt !== undefined && at >= m.readAt && at <= m.goneAt;
    };
    return [...watchedCgroups()]
      .filter((m) => kill.group === undefined || isInSubtree(m.cgroup.path, kill.group))
      .filter(fits)
      .toSorted((a, b) => evidence(b) - evidence(a) || since(a, at) - since(b, at))[0];
  };

  /**
   * The times said nothing: what is left on the one side belongs to what is left on the other. Of cgroups that went at
   * the same time a parent's counter may have laid one's kill at another's door, so that the one without a victim comes
   * first.
   */
  const leftOver = ({ at }: Open): WatchedCgroup | undefined => {
    const gone = [...watchedCgroups()].filter((m) => m.goneAt !== undefined);
    const blamed = gone.find((m) => m.suspectedKills > 0 || (m.maybeKilled && m.victims === 0));
    if (blamed === undefined || !hasSubtreeCounter(blamed)) return blamed;
    return gone.filter((m) => m.victims === 0 && at <= m.goneAt!)
      .toSorted((a, b) => a.goneAt! - b.goneAt!)[0] ?? blamed;
  };

  /** True when the kill needs no more attention. */
  const place = (logged: Open, now: number): boolean => {
    const { kill, at } = logged;
    if (kill.cgroup === undefined) {
      const waited = now - at;
      const watched = cgroupOfKill(logged, now) ??
        (waited >= ELIMINATE_MS ? suspect(logged, now) : undefined) ??
        (waited >= LOG_GRACE_MS / 2 ? leftOver(logged) : undefined);
      if (watched) settleMember(watched, logged, now);
      return watched !== undefined;
    }
    const watched = closest([...watchedCgroups()], kill.cgroup);
    if (watched) settleMember(watched, logged, now);
    else if (covers(kill.cgroup)) {
      if (early.size > EARLY_MAX) early.clear();
      early.set(kill.cgroup, (early.get(kill.cgroup) ?? 0n) + 1n);
      ahead(kill.cgroup, 1n);
      if (!kill.again) emitEvent({ cgroup: kill.cgroup, kill, inferred: false });
    }
    return true;
  };

  return {
    logged: (kill, now) => void open.push({ kill, at: now }),
    startWatching(watched) {
      const { path } = watched.cgroup;
      const known = early.get(path);
      if (known === undefined) return;
      early.delete(path);
      ahead(path, -known);
      watched.pendingKills -= known;
    },
    reportInferred(watched, now) {
      const cgroup = watched.cgroup.path;
      clearSuspicion(cgroup, watched, now);
      creditAncestors(cgroup, watched);
      emitEvent({ cgroup, watched, inferred: true });
    },
    counted(watched, kills, now, from) {
      if (watched.pendingKills <= 0n) watched.pendingFrom = from;
      watched.pendingKills += kills;
      if (watched.pendingKills > 0n) watched.pendingSince = now;
      withPendingKills.add(watched);
    },
    settle(now) {
      // Telling one kill can lead to reading the next from the log.
      unplaced = open;
      open = [];
      for (const o of unplaced.slice()) {
        if (place(o, now)) unplaced = unplaced.filter((other) => other !== o);
        else if (now - o.at < LOG_GRACE_MS) open.push(o);
      }
      unplaced = [];
      const wait = ({ at }: Open) =>
        at + ([ELIMINATE_MS, LOG_GRACE_MS / 2].find((ms) => now - at < ms) ?? LOG_GRACE_MS);
      let next = open.reduce((soonest, o) => Math.min(soonest, wait(o)), Infinity);
      if (withPendingKills.size === 0) return next;
      const all = [...watchedCgroups()];
      withPendingKills = new Set(all.filter(({ pendingKills }) => pendingKills > 0n));
      const innermostFirst = [...withPendingKills].toSorted((a, b) =>
        b.cgroup.path.length - a.cgroup.path.length
      );
      for (const watched of innermostFirst) {
        const cgroup = watched.cgroup.path;
        const beneath = watched.countsSubtree
          ? all.filter((other) => other !== watched && isInSubtree(other.cgroup.path, cgroup))
          : [];
        const isAround = beneath.length > 0;
        // What they still wait with is in its own count as well, and theirs to tell.
        const claimed = hasSubtreeCounter(watched)
          ? beneath.reduce(
            (sum, { pendingKills }) => pendingKills > 0n ? sum + pendingKills : sum,
            0n,
          )
          : 0n;
        const until = watched.pendingSince + (hasLog || isAround ? LOG_GRACE_MS : 0);
        if (now < until) next = Math.min(next, until);
        while (now >= until && watched.pendingKills > claimed) {
          // The log told more in removed siblings than there were: this one was taken for one of them.
          const isTold = watched.removedKills !== undefined &&
            watched.removedKills.unreported() < 0n;
          if (isTold) watched.removedKills!.take(-1n);
          clearSuspicion(cgroup, watched, now);
          creditAncestors(cgroup, watched);
          if (!isTold) emitEvent({ cgroup, watched, inferred: false });
        }
      }
      return next;
    },
    waiting: () => open.length > 0,
  };
}

/** A counter is proof, a notified OOM a sign, and a doubt only a doubt. */
const evidence = (m: WatchedCgroup) => m.pendingKills > 0n ? 2 : m.suspectedKills > 0 ? 1 : 0;

/** Of a removed v2 cgroup the parent knows better. */
const isSuspicious = (m: WatchedCgroup) =>
  m.pendingKills > 0n ||
  (m.goneAt !== undefined && m.removedKills ? m.removedKills.unreported() > 0n : hasSigns(m));

const hasSigns = (m: WatchedCgroup) => m.suspectedKills > 0 || m.maybeKilled;

/** One of its kills is told. */
function account(watched: WatchedCgroup): void {
  if (watched.goneAt !== undefined && watched.pendingKills <= 0n) watched.killsBeforeRemoval += 1n;
  if (watched.goneAt !== undefined && watched.pendingKills <= 0n && watched.removedKills) {
    watched.removedKills.take(1n);
  } else watched.pendingKills -= 1n;
}

const hasSubtreeCounter = (watched: WatchedCgroup) => watched.last.subtree.oomKill !== undefined;

/**
 * The watched cgroup that a victim's cgroup belongs to. A removed one with something open goes before a living one of
 * the same name, and of targets that contain it the innermost counts.
 */
function closest(
  watchedCgroups: readonly WatchedCgroup[],
  path: string,
): WatchedCgroup | undefined {
  const exact = watchedCgroups.filter((m) => m.cgroup.path === path);
  if (exact.length > 0) {
    return exact.find((m) => m.goneAt !== undefined && isSuspicious(m)) ??
      exact.find((m) => m.goneAt === undefined) ?? exact[0];
  }
  return watchedCgroups
    .filter((m) => m.countsSubtree && isInSubtree(path, m.cgroup.path))
    .toSorted((a, b) => b.cgroup.path.length - a.cgroup.path.length)[0];
}
