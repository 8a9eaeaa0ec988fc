/**
 * What becomes of a watched cgroup that is gone: its last kills may still be in the kernel log, or be known to its parent
 * alone, so that it is kept for a while before its removal is told.
 */

import { type Cgroup, parentOf } from "../cgroup/cgroup.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { directoryOf } from "../cgroup/hierarchy.ts";
import type { Body, Source } from "../report/event.ts";
import type { DeadChildren, Pool } from "./dead_children.ts";
import type { Kills } from "./kills.ts";
import { createGhost, disarm, type Member } from "./member.ts";
import type { Sources } from "./sources.ts";

export interface Removals {
  /** It was found to be gone. */
  retire(member: Member): void;
  /** A cgroup at `path` was made, and is gone before anything of it could be read. */
  haunt(hierarchy: Hierarchy, path: string): void;
  /** The log has had its time: tells what is still suspected, then the removal. */
  bury(member: Member): void;
}

export interface RemovalsOptions {
  readonly retired: Set<Member>;
  readonly parents: DeadChildren;
  readonly sources: Sources;
  readonly kills: Kills;
  readLog(): void;
  tell(cgroup: string, source: Source, body: Body): void;
  tellOom(member: Member, count: bigint, source: Source): void;
}

/** Hints of one removal come in several pieces; as many paths are remembered as may come and go meanwhile. */
const REMEMBERED = 50;

export function createRemovals(
  { retired, parents, sources, kills, readLog, tell, tellOom }: RemovalsOptions,
): Removals {
  const buried: string[] = [];

  const tellUnread = (member: Member, ooms: number) => {
    member.suspected += ooms;
    tellOom(member, BigInt(ooms), "eventfd");
  };

  /** How many of the untold kills of removed siblings are most likely its own. */
  const shareOf = (member: Member, pool: Pool): bigint => {
    const wants = ({ victims, suspected, readAt }: Member) =>
      victims === 0 && (suspected > 0 || readAt === -Infinity);
    const others = [...retired].filter((m) => m !== member && wants(m) && m.pool === pool).length;
    const left = pool.untold() - BigInt(others);
    return left <= 0n && pool.untold() > 0n && wants(member) ? 1n : left;
  };

  const removals: Removals = {
    retire(member) {
      if (member.goneAt !== undefined) return;
      // Its kills were logged before it could be removed: those read until now may be its own, later ones are not.
      readLog();
      member.goneAt = performance.now();
      retired.add(member);
      if (member.due < 0n) member.unread -= member.due;
      if (member.pool) {
        const { cgroup, pool, wide, last } = member;
        parents.gone({ cgroup, pool, wide, last, ahead: member.unread });
        if (member.due < 0n) member.due = 0n;
        return;
      }
      // v1 notifies of the removal itself once, sooner or later; what came besides was an OOM that nobody could read about.
      sources.collect(member);
      const unread = member.notified - member.oomsTold;
      if (unread > 1) tellUnread(member, unread - 1);
      const neverRead = member.readAt === -Infinity || member.source === "poll";
      member.doubtful = member.suspected >= 0 && (unread > 0 || neverRead);
    },

    haunt(hierarchy, path) {
      if (buried.includes(path) || [...retired].some(({ cgroup }) => cgroup.path === path)) return;
      const cgroup: Cgroup = { hierarchy, path, dir: directoryOf(hierarchy, path)!, inode: 0 };
      const ghost = createGhost(cgroup, parents.expect(parentOf(cgroup)));
      tell(path, sources.trees.source, { type: "created" });
      kills.adopt(ghost);
      removals.retire(ghost);
    },

    bury(member) {
      sources.collect(member);
      const unread = member.notified - member.oomsTold - 1;
      if (unread > 0) tellUnread(member, unread);
      // Without the log a suspicion is all there will ever be; with it, no line was no kill.
      const onSuspicion = sources.log === undefined && member.suspected > 0 ? 1n : 0n;
      const unseen = member.pool ? shareOf(member, member.pool) : onSuspicion;
      for (let n = 0n; n < unseen; n++) kills.infer(member, performance.now());
      retired.delete(member);
      tell(member.cgroup.path, sources.trees.source, { type: "removed" });
      sources.forget(member);
      disarm(member);
      if (buried.push(member.cgroup.path) > REMEMBERED) buried.shift();
    },
  };
  return removals;
}
