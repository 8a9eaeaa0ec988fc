/** One blow: at a process, or at all that it belongs to. */

import { type Failure, killCgroup, SIGKILL, signalProcess } from "../act/strike.ts";
import type { Victim } from "./aim.ts";
import { excludedPids, killScopeOf } from "./casualties.ts";
import type { KillAction } from "./plan.ts";
import type { CgroupState } from "./ward.ts";

/** @param present who is there, by pid. @returns why it failed; `undefined` when it did not. */
export function executeKill(
  { policy }: CgroupState,
  victim: Victim,
  present: ReadonlySet<number>,
  killAction: KillAction,
  signal: number,
): Failure {
  const killScope = killScopeOf(victim, killAction);
  // Whoever fills it first: to go through a cgroup takes a millisecond, in which it would meet the limit. But nobody is
  // asked twice: to many a program a second SIGTERM means to leave everything as it is.
  const isFirst = !killScope || signal === SIGKILL;
  const first: Failure = isFirst
    ? signalProcess(victim, present, signal, policy.dryRun)
    : undefined;
  if (!killScope || (first !== undefined && first !== "gone")) return first;
  return killCgroup(
    killScope,
    signal,
    policy.dryRun,
    excludedPids(victim, killAction, policy),
    false,
  );
}
