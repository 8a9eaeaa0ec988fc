/** Who dies along with whom, who does not, and why nobody does. */

import type { Victim } from "./aim.ts";
import type { GuardPolicy, KillAction } from "./plan.ts";
import type { CgroupState } from "./ward.ts";

/** Said where there is nobody to be struck. */
export function noVictimReason({ selection }: CgroupState): string {
  if (selection?.outside === undefined) return "there is no process that may be taken";
  const { pid, comm, cgroup } = selection.outside;
  return `the kernel would take pid ${pid} (${comm}) in ${cgroup}, which is not guarded`;
}

/** Who is left alone when all of it dies. */
export function excludedPids(
  { group, exclusions }: Victim,
  killAction: KillAction,
  { protectedPids }: GuardPolicy,
) {
  if (killAction === "container") return exclusions.container;
  return group ? exclusions.group : protectedPids;
}

/** What dies together with a victim. */
export function killScopeOf({ container, group }: Victim, killAction: KillAction) {
  return killAction === "container" ? container : group;
}
