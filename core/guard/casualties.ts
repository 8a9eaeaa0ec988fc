/** Who dies along with whom, who does not, and why nobody does. */

import type { Pick } from "./aim.ts";
import type { Deed, GuardPlan } from "./plan.ts";
import type { Ward } from "./ward.ts";

/** Said where there is nobody to be struck. */
export function whyNobody({ aim }: Ward): string {
  if (aim?.outside === undefined) return "there is no process that may be taken";
  const { pid, comm, cgroup } = aim.outside;
  return `the kernel would take pid ${pid} (${comm}) in ${cgroup}, which is not guarded`;
}

/** Who is left alone when all of it dies. */
export function sparedBy({ group, spares }: Pick, deed: Deed, { untouchable }: GuardPlan) {
  if (deed === "container") return spares.container;
  return group ? spares.group : untouchable;
}

/** What dies together with a victim. */
export function wholeOf({ container, group }: Pick, deed: Deed) {
  return deed === "container" ? container : group;
}
