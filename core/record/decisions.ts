/** The decisions of a guard, as a recording names them. Pure. */

/**
 * What a guard decided by a snapshot: a step of `core/policy/kill_cycle.ts`; or `deferred`, a kill that was not executed
 * because another victim is still exiting or the snapshot is too old; or `no_victim`. That no other candidate is left while
 * the victim is still exiting is recorded as `kill`.
 */
export const DECISIONS = [
  "reclaim",
  "kill",
  "escalate",
  "wait",
  "skip",
  "exhausted",
  "end",
  "deferred",
  "no_victim",
] as const;
export type RecordedDecision = typeof DECISIONS[number];
