/** Sandboxes of runs that were killed before they could remove them. */

import { type Cgroup, childrenOf } from "../cgroup/cgroup.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { OomkitError } from "../errors.ts";
import { findParent, hasEnded, ownIdentity, parseSandboxName, removeCgroup } from "./sandbox.ts";

export interface StaleCgroups {
  /** Cgroup paths. */
  readonly removed: readonly string[];
  /** One line, with the reason, for each that could not be removed. */
  readonly failed: readonly string[];
}

/**
 * Removes stale sandboxes, and kills what runs in them, where this run would create its own. Takes only cgroups that have a
 * sandbox name, belong to the calling user, and have an owner that has ended.
 */
export async function removeStale(hierarchy: Hierarchy): Promise<StaleCgroups> {
  const parent = findParent(hierarchy);
  const removed: string[] = [];
  const failed: string[] = [];
  for (const cgroup of "refused" in parent ? [] : childrenOf(parent).filter(isStale)) {
    try {
      await removeCgroup(cgroup);
      removed.push(cgroup.path);
    } catch (error) {
      if (!(error instanceof OomkitError)) throw error;
      failed.push(error.message);
    }
  }
  return { removed, failed };
}

function isStale({ path, dir }: Cgroup): boolean {
  const observer = ownIdentity();
  const owner = parseSandboxName(path.slice(path.lastIndexOf("/") + 1))?.owner;
  if (observer === undefined || owner === undefined || !hasEnded(owner, observer)) return false;
  // Where /proc hides the processes of other users (hidepid), theirs only seem to have ended.
  try {
    return Deno.statSync(dir).uid === Deno.uid();
  } catch {
    return false;
  }
}
