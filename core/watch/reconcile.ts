/** Keeps the set of watched cgroups equal to the cgroups that exist, and reads all of them again now and then. */

import type { AncestorLimits } from "../cgroup/ancestry.ts";
import { type Cgroup, isThere, openCgroup, parentOf, walk } from "../cgroup/cgroup.ts";
import { type Hierarchy, pathOf } from "../cgroup/hierarchy.ts";
import { isInSubtree, parentPath } from "../cgroup_path.ts";
import type { WatchOptions } from "./options.ts";
import type { RemovedKillCounts } from "./removed_kills.ts";
import type { WatchedCgroup } from "./watched_cgroup.ts";

/** Whether `path` is in the subtree of a target that is watched recursively. */
export function isCovered({ recursive, targets }: WatchOptions, path: string): boolean {
  return recursive && targets.some((target) => isInSubtree(path, target.path));
}

/** The targets, each with its subtree if it is watched recursively; a cgroup may come twice. */
export function* everyTarget({ recursive, targets, onTarget }: WatchOptions): Generator<Cgroup> {
  let count = 0;
  for (const target of targets) {
    for (const cgroup of recursive ? walk(target) : [target]) {
      onTarget?.(++count);
      yield cgroup;
    }
  }
}

export interface ReconcilerContext {
  readonly options: WatchOptions;
  readonly hierarchy: Hierarchy;
  /** By path. */
  readonly watchedCgroups: ReadonlyMap<string, WatchedCgroup>;
  readonly removedKills: RemovedKillCounts;
  add(cgroup: Cgroup): void;
  markRemoved(watched: WatchedCgroup): void;
  /** A covered cgroup was created and removed before it could be read. */
  addMissed(path: string): void;
}

export class Reconciler {
  constructor(private readonly context: ReconcilerContext) {}

  /** @param dir of a cgroup that was created or removed. */
  update(dir: string): void {
    const { options, hierarchy, watchedCgroups } = this.context;
    const path = pathOf(hierarchy, dir);
    if (path === undefined) return this.updateAll();
    const watched = watchedCgroups.get(path);
    if (watched && !isThere(watched.cgroup)) this.context.markRemoved(watched);
    const cgroup = openCgroup(hierarchy, path);
    const covered = isCovered(options, path);
    if (cgroup && covered) this.#addAll(cgroup);
    if (cgroup || watched) return;
    if (covered) return this.context.addMissed(path);
    const parent = openCgroup(hierarchy, parentPath(path));
    if (parent) this.#ignoreSiblings(parent);
  }

  /** Any cgroup may have been created or removed. */
  updateAll(): void {
    const { options: { targets, recursive }, hierarchy, watchedCgroups } = this.context;
    for (const watched of [...watchedCgroups.values()]) {
      if (!isThere(watched.cgroup)) this.context.markRemoved(watched);
    }
    const parents = targets.flatMap((target) => parentOf(target) ?? []);
    for (const parent of new Map(parents.map((each) => [each.path, each])).values()) {
      this.#ignoreSiblings(parent);
    }
    if (!recursive) return;
    for (const { path } of targets) {
      const target = openCgroup(hierarchy, path);
      if (target) this.#addAll(target);
    }
  }

  /** Marks every watched cgroup below `parent` that is gone. */
  findRemoved(parent: Cgroup): void {
    for (const watched of [...this.context.watchedCgroups.values()]) {
      const { cgroup } = watched;
      const isBelow = cgroup.path !== parent.path && isInSubtree(cgroup.path, parent.path);
      if ((isBelow || parent.path === "/") && !isThere(cgroup)) this.context.markRemoved(watched);
    }
  }

  /** Kills in siblings of the targets must not be taken for kills in a target. */
  #ignoreSiblings(parent: Cgroup): void {
    if (isCovered(this.context.options, parent.path)) return;
    this.findRemoved(parent);
    this.context.removedKills.ignoreRemoval(parent);
  }

  #addAll(top: Cgroup): void {
    const { watchedCgroups } = this.context;
    for (const cgroup of walk(top)) if (!watchedCgroups.has(cgroup.path)) this.context.add(cgroup);
  }
}

/** These take some 10 ms. */
const MAX_READS_PER_TURN = 50;
/** As long again for everything else. */
const MS_BETWEEN_TURNS = 10;

/**
 * Reads every watched cgroup again, in case that a notification was lost: a few at a time, so that notifications are not
 * delayed.
 */
export class Sweep {
  #remaining: WatchedCgroup[] = [];
  #ancestors: AncestorLimits = new Map();

  begin(watchedCgroups: Iterable<WatchedCgroup>): void {
    this.#remaining = [...watchedCgroups].reverse();
    this.#ancestors = new Map();
  }

  /** Calls `read` for the next few, even when they have been removed since. */
  readNext(read: (watched: WatchedCgroup, ancestors: AncestorLimits) => void): void {
    for (const watched of this.#remaining.splice(-MAX_READS_PER_TURN).reverse()) {
      read(watched, this.#ancestors);
    }
  }

  /** Milliseconds until the next few are due; `Infinity` when none are left. */
  get pause(): number {
    return this.#remaining.length > 0 ? MS_BETWEEN_TURNS : Infinity;
  }
}
