/** What was named to be watched or guarded, and what belongs to it. Pure. */

import type { Cgroup } from "../cgroup/cgroup.ts";
import { isInSubtree, parentPath } from "../cgroup_path.ts";
import type { EventType } from "../events/event.ts";

export interface Scope {
  readonly cgroup: Cgroup;
  /** Includes everything below, also what is created there later. */
  readonly recursive: boolean;
  /** Of a glob: only matching paths. */
  readonly pattern?: RegExp;
}

/** Events of a cgroup itself. All others are also about what is in the cgroups below it. */
const OF_CGROUP_ITSELF: readonly EventType[] = [
  "cgroup_created",
  "cgroup_removed",
  "limit_changed",
];

/** Whether an event belongs to one of the scopes: what happens below a target happens in the target. */
export function belongsTo(scopes: readonly Scope[], path: string, type: EventType): boolean {
  if (OF_CGROUP_ITSELF.includes(type)) return scopeOf(scopes, path) !== undefined;
  return scopes.some((scope) => isBelowTarget(scope, path));
}

/** The scope that has the cgroup itself, as a target or below a recursive one. */
export function scopeOf(scopes: readonly Scope[], path: string): Scope | undefined {
  return scopes.find(({ cgroup, recursive, pattern }) =>
    (recursive ? isInSubtree(path, cgroup.path) : path === cgroup.path) &&
    (pattern?.test(path) ?? true)
  );
}

/** Whether the cgroup is followed: it is below a recursive scope. A glob may match what is created below it later. */
export function isFollowed(scopes: readonly Scope[], path: string): boolean {
  return scopes.some(({ cgroup, recursive }) => recursive && isInSubtree(path, cgroup.path));
}

function isBelowTarget({ cgroup, pattern }: Scope, path: string): boolean {
  if (pattern === undefined) return isInSubtree(path, cgroup.path);
  for (let each = path; isInSubtree(each, cgroup.path); each = parentPath(each)) {
    if (pattern.test(each)) return true;
    if (each === "/") return false;
  }
  return false;
}
