/** Who would be taken in a guarded cgroup now. */

import type { CandidateJson } from "../report/event.ts";
import { selectVictims } from "./aim.ts";
import { toJsonCandidate } from "./bodies.ts";
import { isExcluded, type PolicySet } from "./plan.ts";
import type { GuardedCgroup } from "./roster.ts";

/** The first one first; those that are spared at the end. */
export function predictVictims(
  { cgroup, limitOwner, settings: { oomTotalBytes }, policy }: GuardedCgroup,
  policies: PolicySet,
): readonly CandidateJson[] {
  const outOfTime = () => false;
  const kept = (path: string) => isExcluded(policies, path);
  const selectionContext = {
    policy,
    isExcluded: kept,
    limitOwner,
    oomTotalBytes,
    outOfTime,
    signalled: new Set<number>(),
  };
  const selection = selectVictims(cgroup, selectionContext);
  selection?.close();
  return (selection?.candidates ?? []).map(toJsonCandidate);
}
