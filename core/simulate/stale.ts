/** Sandboxes whose maker was killed before it could remove them. */

import { type Cgroup, childrenOf } from "../cgroup/cgroup.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { OomkitError } from "../errors.ts";
import { removeCgroup } from "./sandbox.ts";
import { isGone, parseSandboxName, self } from "./sandbox.ts";
import { findParent } from "./sandbox.ts";

export interface StaleCgroups {
  /** Cgroup paths. */
  readonly removed: readonly string[];
  /** One line for each that stayed, with the reason. */
  readonly failed: readonly string[];
}

/**
 * Removes what earlier runs left where this one would make its own sandbox, and what is still running in it. Only what
 * carries our name, belongs to the user who asks, and whose maker has ended.
 */
export async function removeStale(hierarchy: Hierarchy): Promise<StaleCgroups> {
  const parent = findParent(hierarchy);
  const removed: string[] = [];
  const failed: string[] = [];
  for (const cgroup of "refused" in parent ? [] : childrenOf(parent).filter(isLeftover)) {
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

function isLeftover({ path, dir }: Cgroup): boolean {
  const observer = self();
  const made = parseSandboxName(path.slice(path.lastIndexOf("/") + 1));
  if (observer === undefined || made === undefined || !isGone(made.owner, observer)) return false;
  // Where /proc hides the processes of others (hidepid), theirs only look as though they had ended.
  try {
    return Deno.statSync(dir).uid === Deno.uid();
  } catch {
    return false;
  }
}
