/**
 * What becomes of a watched cgroup that is gone: its last kills may still be in the kernel log, or be known to its parent
 * alone, so that it is kept for a while before its removal is told.
 */

import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { directoryOf } from "../cgroup/hierarchy.ts";
import type { Body, Source } from "../report/event.ts";
import type { DeadChildren } from "./dead_children.ts";
import type { Told } from "./kills.ts";
import { createGhost, disarm, type Member } from "./member.ts";
import type { Sources } from "./sources.ts";

export interface Removals {
  /** It was found to be gone. */
  retire(member: Member): void;
  /** A cgroup at `path` was made, and is gone before anything of it could be read. */
  haunt(hierarchy: Hierarchy, path: string): void;
  /** The log has had its time: tells what is still suspected, then the removal. */
  bury(member: Member): void;
  /** A kill in a cgroup that was never watched has been told. */
  explain(path: string): void;
  /** Takes one suspicion off a removed sibling of `path`; false when there is none. */
  release(path: string): boolean;
}

export interface RemovalsOptions {
  readonly retired: Set<Member>;
  readonly parents: DeadChildren;
  readonly sources: Sources;
  readLog(): void;
  tell(cgroup: string, source: Source, body: Body): void;
  tellOom(member: Member, count: bigint, source: Source): void;
  tellKill(told: Told): void;
}

/** Hints of one removal come in several pieces; as many paths are remembered as may come and go meanwhile. */
const REMEMBERED = 50;

export function createRemovals(
  { retired, parents, sources, readLog, tell, tellOom, tellKill }: RemovalsOptions,
): Removals {
  const buried: string[] = [];
  const parentPath = (path: string) => path.slice(0, path.lastIndexOf("/"));

  const tellUnread = (member: Member, ooms: number) => {
    member.suspected += ooms;
    tellOom(member, BigInt(ooms), "eventfd");
  };

  const removals: Removals = {
    retire(member) {
      if (member.goneAt !== undefined) return;
      // Its kills were logged before it could be removed: those read until now may be its own, later ones are not.
      readLog();
      member.goneAt = performance.now();
      retired.add(member);
      member.lost = parents.lost(member.cgroup, member.last.subtree.oomKill);
      if (member.lost !== undefined) {
        // Kills that the log told ahead of the counter are among the lost ones; so may be a sibling's, gone as well.
        let untold = Number(member.lost + (member.due < 0n ? member.due : 0n));
        while (untold < 0 && removals.release(member.cgroup.path)) untold += 1;
        member.suspected = Math.max(0, untold);
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
      const ghost = createGhost({ hierarchy, path, dir: directoryOf(hierarchy, path)!, inode: 0 });
      tell(path, sources.trees.source, { type: "created" });
      removals.retire(ghost);
    },

    bury(member) {
      retired.delete(member);
      sources.collect(member);
      const unread = member.notified - member.oomsTold - 1;
      if (unread > 0) tellUnread(member, unread);
      // Without the log a suspicion is all there will ever be; with it, no line was no kill.
      const unseen = member.lost !== undefined
        ? member.suspected
        : sources.log === undefined
        ? Math.min(1, member.suspected)
        : 0;
      for (let n = 0; n < unseen; n++) {
        tellKill({ cgroup: member.cgroup.path, member, inferred: true });
      }
      tell(member.cgroup.path, sources.trees.source, { type: "removed" });
      sources.forget(member);
      disarm(member);
      if (buried.push(member.cgroup.path) > REMEMBERED) buried.shift();
    },

    explain(path) {
      if (!removals.release(path)) parents.told(path);
    },

    release(path) {
      for (const member of retired) {
        if (member.lost === undefined || member.suspected <= 0) continue;
        if (parentPath(member.cgroup.path) !== parentPath(path)) continue;
        member.suspected -= 1;
        return true;
      }
      return false;
    },
  };
  return removals;
}
