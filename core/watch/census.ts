/** Compares the cgroups that are watched with those that are there. */

import { type Cgroup, isThere, openCgroup, parentOf, walk } from "../cgroup/cgroup.ts";
import { type Hierarchy, pathOf } from "../cgroup/hierarchy.ts";
import type { DeadChildren } from "./dead_children.ts";
import type { Member } from "./member.ts";
import type { WatchOptions } from "./watch.ts";

export interface CensusOptions extends Pick<WatchOptions, "targets" | "recursive"> {
  readonly hierarchy: Hierarchy;
  readonly members: ReadonlyMap<string, Member>;
  readonly parents: DeadChildren;
  /** True when `path` is a recursively watched target or lies beneath one. */
  covers(path: string): boolean;
  add(cgroup: Cgroup): void;
  retire(member: Member): void;
  /** One that was covered has come and gone. */
  haunt(path: string): void;
}

export interface Census {
  /** Something came or went at `dir`, or, without one, perhaps anywhere. */
  take(dir: string | undefined): void;
  /** Retires all that are gone beneath `parent`. */
  retireGone(parent: Cgroup): void;
}

export function createCensus(
  { targets, recursive, hierarchy, members, parents, covers, add, retire, haunt }: CensusOptions,
): Census {
  const retireGone = (parent: Cgroup) => {
    for (const member of [...members.values()]) {
      const isBeneath = parent.path === "/" || member.cgroup.path.startsWith(`${parent.path}/`);
      if (isBeneath && !isThere(member.cgroup)) retire(member);
    }
  };

  /** Who dies beside the targets is nobody's business, and must not be taken for theirs. */
  const ignoreSiblings = (parent: Cgroup | undefined) => {
    if (parent === undefined || covers(parent.path)) return;
    retireGone(parent);
    parents.ignore(parent);
  };

  const addAll = (top: Cgroup) => {
    for (const cgroup of walk(top)) if (!members.has(cgroup.path)) add(cgroup);
  };

  const takeAll = () => {
    for (const member of [...members.values()]) if (!isThere(member.cgroup)) retire(member);
    const above = targets.flatMap((target) => parentOf(target) ?? []);
    new Map(above.map((parent) => [parent.path, parent])).forEach(ignoreSiblings);
    if (!recursive) return;
    for (const { path } of targets) {
      const target = openCgroup(hierarchy, path);
      if (target) addAll(target);
    }
  };

  return {
    take(dir) {
      const path = dir === undefined ? undefined : pathOf(hierarchy, dir);
      if (path === undefined) return takeAll();
      const member = members.get(path);
      if (member && !isThere(member.cgroup)) retire(member);
      const cgroup = openCgroup(hierarchy, path);
      if (cgroup && covers(path)) addAll(cgroup);
      if (cgroup || member) return;
      if (covers(path)) haunt(path);
      else ignoreSiblings(openCgroup(hierarchy, path.slice(0, path.lastIndexOf("/")) || "/"));
    },
    retireGone,
  };
}
