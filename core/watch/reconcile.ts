/** Which cgroups belong to a watch besides its targets. */

import { isInSubtree } from "../cgroup_path.ts";
import type { AncestorLimits } from "../cgroup/ancestry.ts";
import { type Cgroup, isThere, openCgroup, parentOf, walk } from "../cgroup/cgroup.ts";
import { type Hierarchy, pathOf } from "../cgroup/hierarchy.ts";
import type { RemovedKillCounts } from "./removed_cgroups.ts";
import type { WatchOptions } from "./watch.ts";
import type { WatchedCgroup } from "./watched_cgroup.ts";

/** Whether a path is that of a target, or beneath one, where all beneath them is followed. */
export function coversOf({ recursive, targets }: WatchOptions): (path: string) => boolean {
  return (path) =>
    recursive &&
    targets.some(({ path: target }) => isInSubtree(path, target));
}

/** The targets as they are now, each with all beneath it where that is followed; one may come twice. */
export function* everyTarget({ recursive, targets, onTarget }: WatchOptions): Generator<Cgroup> {
  let count = 0;
  for (const target of targets) {
    for (const cgroup of recursive ? walk(target) : [target]) {
      onTarget?.(++count);
      yield cgroup;
    }
  }
}

/* Looks at everything for the sake of doubt alone, a few at a time: what notifications tell must not wait for it. */

export interface Sweeps {
  begin(watchedCgroups: Iterable<WatchedCgroup>): void;
  /** Looks at the next few. */
  goOn(): void;
  /** Milliseconds until that is due; `Infinity` when none are left. */
  pause(): number;
}

/** Some 10 ms, and as long again for everything else. */
const AT_ONCE = 50;
const PAUSE_MS = 10;

/** @param look is also called for members that have gone since. */
export function createSweeps(
  look: (watched: WatchedCgroup, known: AncestorLimits) => void,
): Sweeps {
  let left: WatchedCgroup[] = [];
  let known: AncestorLimits = new Map();
  return {
    begin(watchedCgroups) {
      left = [...watchedCgroups].reverse();
      known = new Map();
    },
    goOn() {
      for (const watched of left.splice(-AT_ONCE).reverse()) look(watched, known);
    },
    pause: () => left.length > 0 ? PAUSE_MS : Infinity,
  };
}

/* Compares the cgroups that are watched with those that are there. */

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
