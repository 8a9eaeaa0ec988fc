/** Compares the cgroups that are watched with those that are there. */

import { type Cgroup, isThere, openCgroup, parentOf, walk } from "../cgroup/cgroup.ts";
import { type Hierarchy, pathOf } from "../cgroup/hierarchy.ts";
import type { RemovedKillCounts } from "./dead_children.ts";
import type { WatchedCgroup } from "./member.ts";
import type { WatchOptions } from "./watch.ts";

export interface ReconcilerOptions extends Pick<WatchOptions, "targets" | "recursive"> {
  readonly hierarchy: Hierarchy;
  readonly watchedCgroups: ReadonlyMap<string, WatchedCgroup>;
  readonly parents: RemovedKillCounts;
  /** True when `path` is a recursively watched target or lies beneath one. */
  covers(path: string): boolean;
  add(cgroup: Cgroup): void;
  markRemoved(watched: WatchedCgroup): void;
  /** One that was covered has come and gone. */
  onMissedCgroup(path: string): void;
}

export interface Reconciler {
  /** Something came or went at `dir`, or, without one, perhaps anywhere. */
  take(dir: string | undefined): void;
  /** Retires all that are gone beneath `parent`. */
  markAllRemoved(parent: Cgroup): void;
}

export function createReconciler(
  {
    targets,
    recursive,
    hierarchy,
    watchedCgroups,
    parents,
    covers,
    add,
    markRemoved,
    onMissedCgroup,
  }: ReconcilerOptions,
): Reconciler {
  const markAllRemoved = (parent: Cgroup) => {
    for (const watched of [...watchedCgroups.values()]) {
      const isDescendant = parent.path === "/" || watched.cgroup.path.startsWith(`${parent.path}/`);
      if (isDescendant && !isThere(watched.cgroup)) markRemoved(watched);
    }
  };

  /** Who dies beside the targets is nobody's business, and must not be taken for theirs. */
  const ignoreSiblings = (parent: Cgroup | undefined) => {
    if (parent === undefined || covers(parent.path)) return;
    markAllRemoved(parent);
    parents.ignore(parent);
  };

  const addAll = (top: Cgroup) => {
    for (const cgroup of walk(top)) if (!watchedCgroups.has(cgroup.path)) add(cgroup);
  };

  const takeAll = () => {
    for (const watched of [...watchedCgroups.values()]) {
      if (!isThere(watched.cgroup)) markRemoved(watched);
    }
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
      const watched = watchedCgroups.get(path);
      if (watched && !isThere(watched.cgroup)) markRemoved(watched);
      const cgroup = openCgroup(hierarchy, path);
      if (cgroup && covers(path)) addAll(cgroup);
      if (cgroup || watched) return;
      if (covers(path)) onMissedCgroup(path);
      else ignoreSiblings(openCgroup(hierarchy, path.slice(0, path.lastIndexOf("/")) || "/"));
    },
    markAllRemoved,
  };
}
