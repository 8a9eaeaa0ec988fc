/**
 * Kills that a removed cgroup took with it. Its own counter is gone, but its parent's (v2 `memory.events`) counts the
 * whole subtree for ever: what neither the parent itself nor its living children account for happened in dead ones.
 */

import { type Cgroup, childrenOf, parentOf, readCounters } from "../cgroup/cgroup.ts";

export interface DeadChildren {
  /**
   * Takes the present state of `parent` as known. To be called before a child of it may be removed.
   * @param isNew made while it was being watched, so that nothing is known of its dead children yet.
   */
  expect(parent: Cgroup | undefined, isNew?: boolean): void;
  /**
   * Kills in `child`, which is gone, beyond those last read of it; `undefined` where no parent can tell: on v1, at the
   * root of the hierarchy, or when the parent is gone as well.
   * @param lastRead the child's `oom_kill` of its subtree, as last read.
   */
  lost(child: Cgroup, lastRead: bigint | undefined): bigint | undefined;
  /** A kill in a cgroup that was never watched, and is gone, has been told by other means. */
  told(path: string): void;
}

export function createDeadChildren(): DeadChildren {
  /** By the parent's path and inode: kills in dead children that are accounted for. */
  const accounted = new Map<string, bigint>();
  const key = (parent: Cgroup) => `${parent.inode} ${parent.path}`;
  const byPath = new Map<string, string>();
  return {
    expect(parent, isNew = false) {
      if (parent === undefined || accounted.has(key(parent))) return;
      const dead = inDeadChildren(parent);
      if (dead === undefined) return;
      accounted.set(key(parent), isNew ? 0n : dead);
      byPath.set(parent.path, key(parent));
    },
    told(path) {
      const names = path.split("/");
      while (names.length > 1) {
        names.pop();
        const parent = byPath.get(names.join("/") || "/");
        if (parent === undefined) continue;
        accounted.set(parent, accounted.get(parent)! + 1n);
        return;
      }
    },
    lost(child, lastRead) {
      const parent = parentOf(child);
      const known = parent && accounted.get(key(parent));
      const dead = parent && inDeadChildren(parent);
      if (known === undefined || dead === undefined || lastRead === undefined) return undefined;
      accounted.set(key(parent!), dead);
      const lost = dead - known - lastRead;
      return lost > 0n ? lost : 0n;
    },
  };
}

/** Counters are read one after another; a kill in between would shift the sum, so the parent must stand still. */
const TRIES = 5;

function inDeadChildren(parent: Cgroup): bigint | undefined {
  for (let tries = 0; tries < TRIES; tries++) {
    const before = readCounters(parent);
    const total = before?.subtree.oomKill;
    const own = before?.local.oomKill;
    if (total === undefined || own === undefined) return undefined;
    const living = childrenOf(parent)
      .map((child) => readCounters(child)?.subtree.oomKill ?? 0n)
      .reduce((sum, kills) => sum + kills, 0n);
    if (readCounters(parent)?.subtree.oomKill === total) return total - own - living;
  }
  return undefined;
}
