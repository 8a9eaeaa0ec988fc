/**
 * Brings together the two witnesses of a kill: the counter, which is exact but nameless, and the kernel log, which names
 * the victim but may leave out its cgroup, or may not be readable at all. Each kill is told once.
 */

import type { LoggedKill } from "./kill_log.ts";
import type { Member } from "./member.ts";

export interface Told {
  /** The victim's cgroup. */
  readonly cgroup: string;
  /** The watched cgroup that it is counted for; absent when it was made and killed before it could be armed. */
  readonly member?: Member;
  readonly kill?: LoggedKill;
  /** True when the counter was gone before it could be read, and no log names the victim. */
  readonly inferred: boolean;
}

/** The log line follows the counter within microseconds; longer than this nobody waits for it (milliseconds). */
export const LOG_GRACE_MS = 250;

export interface Kills {
  /** The kernel log told of a kill. */
  logged(kill: LoggedKill, now: number): void;
  /** A counter rose. */
  counted(member: Member, kills: bigint, now: number): void;
  /** Tells what can be told; returns when to look again, `Infinity` when nothing is open. */
  settle(now: number): number;
}

export interface KillsOptions {
  /** Living and lately removed. */
  members(): Iterable<Member>;
  /** True when `path` lies beneath a recursively watched target. */
  covers(path: string): boolean;
  /** Whether the kernel log is being read, and so worth waiting for. */
  readonly hasLog: boolean;
  tell(told: Told): void;
}

export function createKills({ members, covers, hasLog, tell }: KillsOptions): Kills {
  let open: { readonly kill: LoggedKill; readonly at: number }[] = [];

  /** An OOM is notified at the victim's cgroup and at its ancestors; one kill explains them all. */
  const explain = (cgroup: string) => {
    for (const member of members()) {
      if (member.suspected > 0 && isBeneath(cgroup, member.cgroup.path)) member.suspected -= 1;
    }
  };

  const settleMember = (member: Member, kill: LoggedKill) => {
    const cgroup = kill.cgroup ?? member.cgroup.path;
    // v1 counts a kill in the victim's own cgroup only.
    const isCounted = cgroup === member.cgroup.path || (member.wide && countsSubtree(member));
    if (isCounted) member.due -= 1n;
    explain(cgroup);
    if (!kill.again) tell({ cgroup, member, kill, inferred: false });
  };

  /** True when the kill needs no more attention. */
  const place = (kill: LoggedKill): boolean => {
    const all = [...members()];
    if (kill.cgroup !== undefined) {
      const member = closest(all, kill.cgroup);
      if (member) settleMember(member, kill);
      else if (covers(kill.cgroup)) tell({ cgroup: kill.cgroup, kill, inferred: false });
      return true;
    }
    const within = (m: Member) => kill.group === undefined || isBeneath(m.cgroup.path, kill.group);
    const member = all.find((m) => m.due > 0n && within(m)) ??
      all.find((m) => m.suspected > 0 && m.goneAt !== undefined && within(m));
    if (member) settleMember(member, kill);
    return member !== undefined;
  };

  return {
    logged: (kill, now) => void open.push({ kill, at: now }),
    counted(member, kills, now) {
      member.due += kills;
      if (member.due > 0n) member.dueSince = now;
    },
    settle(now) {
      open = open.filter(({ kill, at }) => !place(kill) && now - at < LOG_GRACE_MS);
      let next = open.reduce((soonest, { at }) => Math.min(soonest, at + LOG_GRACE_MS), Infinity);
      for (const member of members()) {
        const patience = hasLog ? LOG_GRACE_MS : 0;
        if (member.due > 0n && now - member.dueSince >= patience) {
          for (; member.due > 0n; member.due -= 1n) {
            explain(member.cgroup.path);
            tell({ cgroup: member.cgroup.path, member, inferred: false });
          }
        } else if (member.due > 0n) {
          next = Math.min(next, member.dueSince + patience);
        }
      }
      return next;
    },
  };
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
    return exact.find((m) => m.goneAt !== undefined && (m.suspected > 0 || m.due > 0n)) ??
      exact.find((m) => m.goneAt === undefined) ?? exact[0];
  }
  return members
    .filter((m) => m.wide && isBeneath(path, m.cgroup.path))
    .toSorted((a, b) => b.cgroup.path.length - a.cgroup.path.length)[0];
}
