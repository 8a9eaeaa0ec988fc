/**
 * Matches the two sources about a kill: the counter, which is exact but names no victim, and the kernel log, which names
 * the victim but may leave out its cgroup, or may not be readable. Each kill is reported once. Times are `performance.now()`.
 */

import { isInSubtree } from "../cgroup_path.ts";
import type { LoggedKill } from "./kernel_log.ts";
import { rememberPids, type WatchedCgroup } from "./watched_cgroup.ts";

export interface MatchedKill {
  /** The victim's cgroup. */
  readonly cgroup: string;
  /** The watched cgroup that the kill counts for; absent when it was created and killed in before it was armed. */
  readonly watched?: WatchedCgroup;
  readonly kill?: LoggedKill;
  /** The counter was gone before it could be read, and no log names the victim. */
  readonly inferred: boolean;
}

/** The kernel notifies of a changed file at most once in 10 ms, so a counter may have risen this much earlier. */
export const MAX_NOTIFICATION_DELAY_MS = 20;

/** The log line follows the counter within microseconds; it is waited for no longer than this. */
export const LOG_GRACE_MS = 250;

/** A kill without a cgroup waits this long for those that name theirs, before it is matched by time. */
const MS_BEFORE_MATCH_BY_TIME = 30;
/** After this it is matched with whatever remains. */
const MS_BEFORE_MATCH_BY_ELIMINATION = LOG_GRACE_MS / 2;

/** Cgroups that vanish before they are armed never claim the kills reported in them. */
const MAX_EARLY_CGROUPS = 1000;

export interface KillMatcherContext {
  /** Living and recently removed. */
  watchedCgroups(): Iterable<WatchedCgroup>;
  /** Whether `path` is in the subtree of a target that is watched recursively. */
  covers(path: string): boolean;
  /** `kills` were reported in a cgroup that is not watched yet; negative when it is watched now. */
  reportedAhead(cgroup: string, kills: bigint): void;
  /** Whether the kernel log is read, and so worth waiting for. */
  readonly hasLog: boolean;
  emit(kill: MatchedKill): void;
}

/** Reported in a cgroup before it was watched. */
interface EarlyKills {
  victims: number;
  repeated: number;
}

interface ReadKill {
  readonly kill: LoggedKill;
  /** When it was read. */
  readonly at: number;
}

export class KillMatcher {
  #waiting: ReadKill[] = [];
  /** While `settle` goes through them. */
  #unplaced: ReadKill[] = [];
  /** Includes all cgroups with pending kills: nearly always none of thousands. */
  #withPendingKills = new Set<WatchedCgroup>();
  /** When a kill was due to be reported without a victim, while lines waited for their cgroups. */
  readonly #heldSince = new WeakMap<WatchedCgroup, number>();
  /** Kills reported in cgroups that were not armed yet, by path: their counters will show them again. */
  readonly #early = new Map<string, EarlyKills>();

  constructor(private readonly context: KillMatcherContext) {}

  /** Takes a kill from the kernel log. */
  logged(kill: LoggedKill, now: number): void {
    this.#waiting.push({ kill, at: now });
  }

  /** A counter rose; the kills were logged no earlier than `from`. */
  counted(watched: WatchedCgroup, count: bigint, now: number, from: number): void {
    const { kills, counters } = watched;
    if (kills.pending <= 0n) {
      kills.pendingFrom = from;
      kills.pendingAfter = counters.readAt;
    }
    kills.pending += count;
    if (kills.pending > 0n) kills.pendingSince = now;
    this.#withPendingKills.add(watched);
  }

  /** From now on the cgroup is watched; kills reported in it before are not reported again. */
  startWatching({ cgroup: { path }, kills }: WatchedCgroup): void {
    const early = this.#early.get(path);
    if (early === undefined) return;
    this.#early.delete(path);
    this.context.reportedAhead(path, -BigInt(early.victims + early.repeated));
    kills.pending -= BigInt(early.victims + early.repeated);
    kills.victims += early.victims;
    kills.repeated += early.repeated;
  }

  /** Reports a kill in a removed cgroup that is known only because no other cgroup accounts for it. */
  reportInferred(watched: WatchedCgroup, now: number): void {
    this.#account(watched.cgroup.path, watched, now);
    this.context.emit({ cgroup: watched.cgroup.path, watched, inferred: true });
  }

  /** Whether a logged kill waits for its cgroup. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Reports what is certain by now; returns when to call this again, `Infinity` when nothing is open. */
  settle(now: number): number {
    this.#placeLogged(now);
    return Math.min(this.#nextPlacementAt(now), this.#reportUnlogged(now));
  }

  #placeLogged(now: number): void {
    // To report one kill can lead to reading the next from the log.
    this.#unplaced = this.#waiting;
    this.#waiting = [];
    for (const read of [...this.#unplaced]) {
      if (this.#place(read, now)) this.#unplaced = this.#unplaced.filter((other) => other !== read);
      else if (now - read.at < LOG_GRACE_MS) this.#waiting.push(read);
    }
    this.#unplaced = [];
  }

  #nextPlacementAt(now: number): number {
    const steps = [MS_BEFORE_MATCH_BY_TIME, MS_BEFORE_MATCH_BY_ELIMINATION];
    return this.#waiting.reduce((next, { at }) => {
      const wait = steps.find((ms) => now - at < ms) ?? LOG_GRACE_MS;
      return Math.min(next, at + wait);
    }, Infinity);
  }

  /** True when the kill needs no more attention. */
  #place(read: ReadKill, now: number): boolean {
    const { kill, at } = read;
    const uncharged = this.#unchargedWith(kill, now);
    if (uncharged) {
      const cgroup = kill.processCgroup ?? uncharged.cgroup.path;
      this.#report(uncharged, { kill: { ...kill, cgroup }, at }, now);
      return true;
    }
    if (kill.cgroup === undefined) {
      const known = this.#byPid(kill.victim.pid, now);
      const below = known?.kills.pidsBelow.get(kill.victim.pid);
      if (known && below && !known.kills.pids.has(kill.victim.pid)) {
        this.#report(known, { kill: { ...kill, cgroup: below.cgroup }, at }, now);
        return true;
      }
      const watched = known ??
        (now - at >= MS_BEFORE_MATCH_BY_TIME ? this.#byTime(read, now) : undefined) ??
        (now - at >= MS_BEFORE_MATCH_BY_ELIMINATION ? this.#byElimination(read) : undefined);
      if (watched) this.#report(watched, read, now);
      return watched !== undefined;
    }
    const watched = ownerOf(kill.cgroup, at, [...this.context.watchedCgroups()]);
    if (watched) this.#report(watched, read, now);
    else if (this.context.covers(kill.cgroup)) {
      if (this.#early.size > MAX_EARLY_CGROUPS) this.#early.clear();
      const early = this.#early.get(kill.cgroup) ?? { victims: 0, repeated: 0 };
      early[kill.isRepeated ? "repeated" : "victims"] += 1;
      this.#early.set(kill.cgroup, early);
      this.context.reportedAhead(kill.cgroup, 1n);
      if (!kill.isRepeated) {
        this.context.emit({ cgroup: kill.cgroup, kill, inferred: false });
      }
    }
    return true;
  }

  /** The watched cgroup without the memory controller that has contained the victim: the log names the one that is charged for it. */
  #unchargedWith(
    { cgroup, processCgroup, victim }: LoggedKill,
    now: number,
  ): WatchedCgroup | undefined {
    const uncharged = [...this.context.watchedCgroups()]
      .filter(({ chargedTo }) => chargedTo !== undefined && (chargedTo ?? "/") === cgroup);
    if (processCgroup !== undefined) {
      return ownerOf(processCgroup, now, uncharged);
    }
    for (const watched of uncharged) rememberPids(watched, now);
    return uncharged.find(({ kills }) => kills.pids.has(victim.pid));
  }

  /** The watched cgroup that is known to have contained the victim, itself or in a cgroup below it. */
  #byPid(pid: number, now: number): WatchedCgroup | undefined {
    const all = [...this.context.watchedCgroups()];
    const hasVictim = ({ kills }: WatchedCgroup) => kills.pids.has(pid);
    const hasVictimBelow = ({ kills }: WatchedCgroup) => kills.pidsBelow.has(pid);
    const known = all.find(hasVictim) ?? all.find(hasVictimBelow);
    if (known) return known;
    const suspicious = all.filter((each) => each.removedAt === undefined && isSuspicious(each));
    for (const watched of suspicious) rememberPids(watched, now);
    return suspicious.find(hasVictim) ?? suspicious.find(hasVictimBelow);
  }

  /** The watched cgroup in which the victim can have been killed at that time. */
  #byTime(read: ReadKill, now: number): WatchedCgroup | undefined {
    const { kill, at } = read;
    const isNearest = (watched: WatchedCgroup) =>
      !this.#unplaced.some((other) =>
        other !== read && !other.kill.cgroup && distance(watched, other.at) < distance(watched, at)
      );
    const fits = (watched: WatchedCgroup) => {
      const { kills, counters, removedAt } = watched;
      if (kills.pending <= 0n) {
        return isSuspicious(watched) && removedAt !== undefined && at >= counters.readAt &&
          at <= removedAt;
      }
      // The line of a counter that rose just now may still arrive.
      const isSettled = now - kills.pendingSince >= MS_BEFORE_MATCH_BY_TIME / 2;
      return kill.group !== undefined ||
        (at >= kills.pendingFrom && isSettled && isNearest(watched));
    };
    return [...this.context.watchedCgroups()]
      .filter((watched) => mayBeIn(kill, watched))
      .filter(fits)
      .toSorted((a, b) => evidence(b) - evidence(a) || distance(a, at) - distance(b, at))[0];
  }

  /**
   * The cgroup that is left for a kill when the times fit none: one with a counted kill that no line names, because this program was
   * held up between its two reads, else a removed one. When several were removed at the same time, the parent's counter may have
   * assigned the kill of one to another: one without a victim comes first.
   */
  #byElimination({ kill, at }: ReadKill): WatchedCgroup | undefined {
    const all = [...this.context.watchedCgroups()];
    const isCounted = (watched: WatchedCgroup) =>
      watched.kills.pending > 0n && at >= watched.kills.pendingAfter && mayBeIn(kill, watched);
    const [counted] = all.filter(isCounted)
      .toSorted((a, b) => distance(a, at) - distance(b, at));
    if (counted) return counted;
    const removed = all.filter((each) => each.removedAt !== undefined);
    const suspect = removed.find(({ kills }) =>
      kills.suspected > 0 || (kills.maybeKilled && kills.victims === 0)
    );
    if (suspect === undefined || !hasSubtreeCounter(suspect)) return suspect;
    return removed.filter(({ kills, removedAt }) => kills.victims === 0 && at <= removedAt!)
      .toSorted((a, b) => a.removedAt! - b.removedAt!)[0] ?? suspect;
  }

  #report(watched: WatchedCgroup, { kill, at }: ReadKill, now: number): void {
    if (at < watched.kills.reportFrom) return;
    const cgroup = kill.cgroup ?? watched.cgroup.path;
    if (cgroup !== watched.cgroup.path && !hasSubtreeCounter(watched)) {
      watched.kills.inUncountedChildren += 1n;
    }
    this.#account(cgroup, watched, now);
    if (kill.isRepeated) watched.kills.repeated += 1;
    else if (!isOfAnother(kill, watched)) {
      this.context.emit({ cgroup, watched, kill, inferred: false });
    }
  }

  /** Reports the counted kills that no line names. Returns when the next are due. */
  #reportUnlogged(now: number): number {
    if (this.#withPendingKills.size === 0) return Infinity;
    let next = Infinity;
    const all = [...this.context.watchedCgroups()];
    const pending = all.filter(({ kills }) => kills.pending > 0n);
    this.#withPendingKills = new Set(pending);
    const innermostFirst = pending.toSorted((a, b) => b.cgroup.path.length - a.cgroup.path.length);
    for (const watched of innermostFirst) {
      const { cgroup: { path }, kills, removedKills } = watched;
      const below = watched.representsSubtree
        ? all.filter((other) => other !== watched && isInSubtree(other.cgroup.path, path))
        : [];
      // Its counter includes what is still pending below it, which is reported there.
      const pendingBelow = hasSubtreeCounter(watched)
        ? below.reduce((sum, { kills: { pending } }) => pending > 0n ? sum + pending : sum, 0n)
        : 0n;
      const waits = this.context.hasLog || below.length > 0;
      const due = kills.pendingSince + (waits ? LOG_GRACE_MS : 0);
      const until = now < due ? due : this.#heldUntil(watched, now);
      if (now < until) next = Math.min(next, until);
      while (now >= until && kills.pending > pendingBelow) {
        // The log named more kills in removed siblings than there were: this one was taken for one of them.
        const isReported = removedKills !== undefined && removedKills.unreported() < 0n;
        if (isReported) removedKills.markReported(-1n);
        this.#account(path, watched, now);
        if (!isReported) this.context.emit({ cgroup: path, watched, inferred: false });
      }
    }
    return next;
  }

  /**
   * A program that was held up reads the counter and the log late: a line that still waits for its cgroup may name this kill.
   * Lines of other cgroups hold it no longer than one of its own would wait.
   */
  #heldUntil(watched: WatchedCgroup, now: number): number {
    if (this.#waiting.length === 0) return now;
    const held = this.#heldSince.get(watched);
    const since = held !== undefined && held >= watched.kills.pendingSince ? held : now;
    this.#heldSince.set(watched, since);
    return since + MS_BEFORE_MATCH_BY_ELIMINATION;
  }

  /** Takes one kill in `cgroup` from every counter and suspicion that it explains. */
  #account(cgroup: string, own: WatchedCgroup, now: number): void {
    if (own.kills.suspected > 0 || !own.kills.maybeKilled) own.kills.suspected -= 1;
    else own.kills.maybeKilled = false;
    own.kills.lastOomAt = now;
    for (const watched of this.context.watchedCgroups()) {
      const isAround = isInSubtree(cgroup, watched.cgroup.path);
      if (isAround) watched.kills.lastKillAt = now;
      // An OOM is notified at the victim's cgroup and at its ancestors.
      if (isAround && watched !== own && watched.kills.suspected > 0) watched.kills.suspected -= 1;
      // v1 counts a kill in the victim's own cgroup only, v2 in all around it.
      const counts = isAround && watched.representsSubtree && hasSubtreeCounter(watched);
      // An uncharged cgroup has no counter: its ancestor counts.
      const isCounted = own.chargedTo === undefined
        ? watched === own && cgroup === own.cgroup.path
        : watched.removedAt === undefined && watched.cgroup.path === own.chargedTo;
      if (counts || isCounted) takeCounted(watched);
    }
  }
}

/** A line without a cgroup may still name the group that is killed. */
const mayBeIn = ({ group }: LoggedKill, { cgroup }: WatchedCgroup): boolean =>
  group === undefined || isInSubtree(cgroup.path, group);

/** Milliseconds between a line and the sign of a kill in the cgroup. */
const distance = ({ removedAt, kills }: WatchedCgroup, at: number): number =>
  Math.abs((removedAt ?? kills.pendingSince) - at);

/** One of the kills that its counter has shown, or will show, is reported. */
function takeCounted({ kills, removedAt, removedKills }: WatchedCgroup): void {
  const isUncounted = removedAt !== undefined && kills.pending <= 0n;
  if (isUncounted) kills.beforeRemoval += 1n;
  if (isUncounted && removedKills) removedKills.markReported(1n);
  else kills.pending -= 1n;
}

/** A victim in a cgroup that is not watched, for which the same ancestor is charged. */
const isOfAnother = ({ cgroup, processCgroup }: LoggedKill, { isStandIn }: WatchedCgroup) =>
  isStandIn && processCgroup !== undefined && processCgroup !== cgroup;

/** A counter is proof, a notified OOM a sign; a removal that may have been an OOM is neither. */
const evidence = ({ kills }: WatchedCgroup) => kills.pending > 0n ? 2 : kills.suspected > 0 ? 1 : 0;

function isSuspicious({ kills, removedAt, removedKills }: WatchedCgroup): boolean {
  if (kills.pending > 0n) return true;
  // v2: the parent knows exactly.
  if (removedAt !== undefined && removedKills) return removedKills.unreported() > 0n;
  return kills.suspected > 0 || kills.maybeKilled;
}

const hasSubtreeCounter = ({ counters }: WatchedCgroup) =>
  counters.last.subtree.oomKill !== undefined;

/**
 * The watched cgroup that a victim's cgroup belongs to. Of several at the same path, a living one with a counted kill precedes a
 * removed one in which the kill may have happened; of several that contain the victim the innermost counts.
 *
 * @param at when the line was read: what is read after a removal was noticed was logged after it, unless v2's parent counts more.
 */
function ownerOf(
  path: string,
  at: number,
  all: readonly WatchedCgroup[],
): WatchedCgroup | undefined {
  const isInTime = ({ removedAt, removedKills }: WatchedCgroup) =>
    removedAt === undefined || at <= removedAt || (removedKills?.unreported() ?? 0n) > 0n;
  const exact = all.filter(({ cgroup }) => cgroup.path === path);
  if (exact.length > 0) {
    const living = exact.filter(({ removedAt }) => removedAt === undefined);
    const mayHaveBeenKilled = (each: WatchedCgroup) =>
      each.removedAt !== undefined && isSuspicious(each) && isInTime(each);
    return living.find(({ kills }) => kills.pending > 0n) ?? exact.find(mayHaveBeenKilled) ??
      living[0] ?? exact.find(isInTime);
  }
  return all
    .filter(({ cgroup, representsSubtree }) => representsSubtree && isInSubtree(path, cgroup.path))
    .filter(isInTime)
    .toSorted((a, b) => b.cgroup.path.length - a.cgroup.path.length)[0];
}
