/**
 * Brings together the two witnesses of a kill: the counter, which is exact but nameless, and the kernel log, which names
 * the victim but may leave out its cgroup, or may not be readable at all. Each kill is told once.
 */

import type { LoggedKill } from "./kill_log.ts";
import { type Member, notePids } from "./member.ts";

export interface Told {
  /** The victim's cgroup. */
  readonly cgroup: string;
  /** The watched cgroup that it is counted for; absent when it was made and killed before it could be armed. */
  readonly member?: Member;
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

export interface Kills {
  /** The kernel log told of a kill. */
  logged(kill: LoggedKill, now: number): void;
  /** A counter rose; its kills were logged no earlier than `from`. */
  counted(member: Member, kills: bigint, now: number, from: number): void;
  /** It is watched now: what was told of it before is not told again. */
  adopt(member: Member): void;
  /** A kill in a removed cgroup is known only because nothing else accounts for it. */
  infer(member: Member, now: number): void;
  /** Tells what can be told; returns when to look again, `Infinity` when nothing is open. */
  settle(now: number): number;
  /** Whether a logged kill waits for its cgroup. */
  waiting(): boolean;
}

export interface KillsOptions {
  /** Living and lately removed. */
  members(): Iterable<Member>;
  /** True when `path` lies beneath a recursively watched target. */
  covers(path: string): boolean;
  /** So many kills were told in a cgroup that is not watched (yet); negative when it is now. */
  ahead(cgroup: string, kills: bigint): void;
  /** Whether the kernel log is being read, and so worth waiting for. */
  readonly hasLog: boolean;
  tell(told: Told): void;
}

/** Cgroups that vanish before they are armed never claim their kills. */
const EARLY_MAX = 1000;

interface Open {
  readonly kill: LoggedKill;
  /** When it was read. */
  readonly at: number;
}

export function createKills(
  { members, covers, ahead, hasLog, tell }: KillsOptions,
): Kills {
  let open: Open[] = [];
  /** While these are being placed. */
  let unplaced: Open[] = [];
  /** Those with kills that are counted but not told, and perhaps some that were: nearly always nobody among thousands. */
  let indebted = new Set<Member>();
  /** Kills told in cgroups that were not armed yet: their counters will show them once more. */
  const early = new Map<string, bigint>();

  /** An OOM is notified at the victim's cgroup and at its ancestors; one kill explains them all. */
  const explain = (cgroup: string, own: Member, now: number) => {
    if (own.suspected > 0 || !own.doubtful) own.suspected -= 1;
    else own.doubtful = false;
    own.lastOomAt = now;
    for (const member of members()) {
      if (member === own || !isBeneath(cgroup, member.cgroup.path)) continue;
      if (member.suspected > 0) member.suspected -= 1;
    }
  };

  /** It is told once, though each watched cgroup around it counts it, too. */
  const balance = (cgroup: string, own: Member) => {
    for (const member of members()) {
      const isAround = member.wide && countsSubtree(member) &&
        isBeneath(cgroup, member.cgroup.path);
      // v1 counts a kill in the victim's own cgroup only.
      if (member === own ? isAround || cgroup === member.cgroup.path : isAround) account(member);
    }
  };

  const settleMember = (member: Member, { kill, at }: Open, now: number) => {
    if (at < member.since) return;
    const cgroup = kill.cgroup ?? member.cgroup.path;
    explain(cgroup, member, now);
    balance(cgroup, member);
    if (kill.again) member.repeated += 1;
    else tell({ cgroup, member, kill, inferred: false });
  };

  /** The member that is known to have had the victim in it. */
  const home = ({ kill }: Open, now: number): Member | undefined => {
    const isHome = (m: Member) => m.pids.has(kill.victim.pid);
    const known = [...members()].find(isHome);
    if (known) return known;
    const near = [...members()].filter((m) => m.goneAt === undefined && isSuspicious(m));
    for (const member of near) notePids(member, now);
    return near.find(isHome);
  };

  /** The member that the victim was in, by the time at which it can have been killed. */
  const suspect = (logged: Open, now: number): Member | undefined => {
    const { kill, at } = logged;
    const since = (m: Member, at: number) => Math.abs((m.goneAt ?? m.dueSince) - at);
    const isNearest = (m: Member) =>
      !unplaced.some((o) => o !== logged && !o.kill.cgroup && since(m, o.at) < since(m, at));
    const fits = (m: Member) => {
      // A counter that rose just now has its own line on the way.
      const isSettled = now - m.dueSince >= ELIMINATE_MS / 2;
      if (m.due > 0n) return kill.group || (at >= m.dueFrom && isSettled && isNearest(m));
      return isSuspicious(m) && m.goneAt !== undefined && at >= m.readAt && at <= m.goneAt;
    };
    return [...members()]
      .filter((m) => kill.group === undefined || isBeneath(m.cgroup.path, kill.group))
      .filter(fits)
      .toSorted((a, b) => evidence(b) - evidence(a) || since(a, at) - since(b, at))[0];
  };

  /**
   * The times said nothing: what is left on the one side belongs to what is left on the other. Of cgroups that went at
   * the same time a parent's counter may have laid one's kill at another's door, so that the one without a victim comes
   * first.
   */
  const leftOver = ({ at }: Open): Member | undefined => {
    const gone = [...members()].filter((m) => m.goneAt !== undefined);
    const blamed = gone.find((m) => m.suspected > 0 || (m.doubtful && m.victims === 0));
    if (blamed === undefined || !countsSubtree(blamed)) return blamed;
    return gone.filter((m) => m.victims === 0 && at <= m.goneAt!)
      .toSorted((a, b) => a.goneAt! - b.goneAt!)[0] ?? blamed;
  };

  /** True when the kill needs no more attention. */
  const place = (logged: Open, now: number): boolean => {
    const { kill, at } = logged;
    if (kill.cgroup === undefined) {
      const waited = now - at;
      const member = home(logged, now) ??
        (waited >= ELIMINATE_MS ? suspect(logged, now) : undefined) ??
        (waited >= LOG_GRACE_MS / 2 ? leftOver(logged) : undefined);
      if (member) settleMember(member, logged, now);
      return member !== undefined;
    }
    const member = closest([...members()], kill.cgroup);
    if (member) settleMember(member, logged, now);
    else if (covers(kill.cgroup)) {
      if (early.size > EARLY_MAX) early.clear();
      early.set(kill.cgroup, (early.get(kill.cgroup) ?? 0n) + 1n);
      ahead(kill.cgroup, 1n);
      if (!kill.again) tell({ cgroup: kill.cgroup, kill, inferred: false });
    }
    return true;
  };

  return {
    logged: (kill, now) => void open.push({ kill, at: now }),
    adopt(member) {
      const { path } = member.cgroup;
      const known = early.get(path);
      if (known === undefined) return;
      early.delete(path);
      ahead(path, -known);
      member.due -= known;
    },
    infer(member, now) {
      const cgroup = member.cgroup.path;
      explain(cgroup, member, now);
      balance(cgroup, member);
      tell({ cgroup, member, inferred: true });
    },
    counted(member, kills, now, from) {
      if (member.due <= 0n) member.dueFrom = from;
      member.due += kills;
      if (member.due > 0n) member.dueSince = now;
      indebted.add(member);
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
      if (indebted.size === 0) return next;
      const all = [...members()];
      indebted = new Set(all.filter(({ due }) => due > 0n));
      const innermostFirst = [...indebted].toSorted((a, b) =>
        b.cgroup.path.length - a.cgroup.path.length
      );
      for (const member of innermostFirst) {
        const cgroup = member.cgroup.path;
        const beneath = member.wide
          ? all.filter((other) => other !== member && isBeneath(other.cgroup.path, cgroup))
          : [];
        const isAround = beneath.length > 0;
        // What they still wait with is in its own count as well, and theirs to tell.
        const claimed = countsSubtree(member)
          ? beneath.reduce((sum, { due }) => due > 0n ? sum + due : sum, 0n)
          : 0n;
        const until = member.dueSince + (hasLog || isAround ? LOG_GRACE_MS : 0);
        if (now < until) next = Math.min(next, until);
        while (now >= until && member.due > claimed) {
          // The log told more in removed siblings than there were: this one was taken for one of them.
          const isTold = member.pool !== undefined && member.pool.untold() < 0n;
          if (isTold) member.pool!.take(-1n);
          explain(cgroup, member, now);
          balance(cgroup, member);
          if (!isTold) tell({ cgroup, member, inferred: false });
        }
      }
      return next;
    },
    waiting: () => open.length > 0,
  };
}

/** A counter is proof, a notified OOM a sign, and a doubt only a doubt. */
const evidence = (m: Member) => m.due > 0n ? 2 : m.suspected > 0 ? 1 : 0;

/** Of a removed v2 cgroup the parent knows better. */
const isSuspicious = (m: Member) =>
  m.due > 0n || (m.goneAt !== undefined && m.pool ? m.pool.untold() > 0n : hasSigns(m));

const hasSigns = (m: Member) => m.suspected > 0 || m.doubtful;

/** One of its kills is told. */
function account(member: Member): void {
  if (member.goneAt !== undefined && member.due <= 0n) member.unread += 1n;
  if (member.goneAt !== undefined && member.due <= 0n && member.pool) member.pool.take(1n);
  else member.due -= 1n;
}

const countsSubtree = (member: Member) => member.last.subtree.oomKill !== undefined;

const isBeneath = (path: string, ancestor: string) =>
  path === ancestor || ancestor === "/" || path.startsWith(`${ancestor}/`);

/**
 * The watched cgroup that a victim's cgroup belongs to. A removed one with something open goes before a living one of
 * the same name, and of targets that contain it the innermost counts.
 */
function closest(members: readonly Member[], path: string): Member | undefined {
  const exact = members.filter((m) => m.cgroup.path === path);
  if (exact.length > 0) {
    return exact.find((m) => m.goneAt !== undefined && isSuspicious(m)) ??
      exact.find((m) => m.goneAt === undefined) ?? exact[0];
  }
  return members
    .filter((m) => m.wide && isBeneath(path, m.cgroup.path))
    .toSorted((a, b) => b.cgroup.path.length - a.cgroup.path.length)[0];
}
