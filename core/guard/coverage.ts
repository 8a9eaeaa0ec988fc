/** Whether the guard would have killed where the kernel did. Pure. */

import type { EventOf } from "../events/event.ts";
import { type Scope, scopeOf } from "../watch/scopes.ts";
import { type GuardPolicy, killLevel, policyFor, type PolicySet } from "./policy.ts";

type Kill = Pick<EventOf<"oom_kill">, "cgroup" | "limit_owner" | "scope">;

interface Guarded {
  readonly limitOwner: { readonly path: string };
  readonly policy: GuardPolicy;
}

/**
 * By paths, since the cgroup may be gone. Without a known limit owner, by the cgroup in which the kill was counted.
 *
 * @param guarded those that are guarded now: a target may be guarded by the limit of a cgroup above it.
 */
export function killsFor(
  { cgroup, limit_owner: limitOwner, scope }: Kill,
  scopes: readonly Scope[],
  policies: PolicySet,
  guarded: readonly Guarded[],
): boolean {
  if (scope === "system") return false;
  const path = limitOwner ?? cgroup;
  if (guarded.some((each) => each.limitOwner.path === path && acts(each.policy))) return true;
  const number = policyFor(policies, path);
  return scopeOf(scopes, path) !== undefined && number !== undefined &&
    acts(policies.all[number]!);
}

const acts = ({ actions, dryRun }: GuardPolicy): boolean =>
  !dryRun && killLevel(actions) !== undefined;
