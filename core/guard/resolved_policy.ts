/** A guard policy with what follows from it, computed once: for the monitor thread and for a replay. Pure. */

import { killActionOf } from "../policy/actions.ts";
import type { DecisionPolicy } from "../policy/kill_cycle.ts";
import { LEVELS } from "../policy/levels.ts";
import { actingLevels, type GuardPolicy, keyOf } from "./policy.ts";

export interface ResolvedPolicy extends GuardPolicy, DecisionPolicy {
  readonly kills: boolean;
  /** See {@link keyOf}. */
  readonly key: string;
}

export function resolvePolicy(policy: GuardPolicy): ResolvedPolicy {
  const { actions } = policy;
  const killing = new Set(LEVELS.filter((level) => killActionOf(actions[level]) !== undefined));
  const kills = killing.size > 0;
  return { ...policy, acting: actingLevels(actions), killing, kills, key: keyOf(policy) };
}
