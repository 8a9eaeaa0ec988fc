/** What a look at the levels leads to: in the sentry, and where a recording is run again. Pure. */

import { type Level, type LevelBytes, levelOf, LEVELS } from "../policy/bounds.ts";
import { type KillCycle, startKillCycle } from "../policy/engagement.ts";
import { type LevelStates, triggeredLevels, type TriggerPolicy } from "../policy/levels.ts";
import { type Action, killActionOf } from "./plan.ts";

/** What is known of a cgroup that nothing is under way in. */
export interface LevelTracker {
  levelStates: LevelStates;
  killCycle: { cycle: KillCycle; readonly level: Level; readonly since: number } | undefined;
  /** Nobody could be struck: nothing is begun before this. */
  readonly retryAt: number;
  readonly policy: {
    readonly triggerPolicy: TriggerPolicy;
    readonly acting: ReadonlySet<Level>;
    readonly actions: Readonly<Record<Level, readonly Action[]>>;
    readonly dryRun: boolean;
  };
}

/**
 * Rings, and begins an engagement where something is to die: both are noted in `ward`.
 *
 * @param value bytes, in the base of the bounds. @param now milliseconds of a clock that does not go backwards.
 * @returns the highest level reached, and those to tell of.
 */
export function evaluateLevels(
  state: LevelTracker,
  levelBytes: LevelBytes,
  metricValue: number,
  now: number,
): { readonly reached: Level | undefined; readonly levels: readonly Level[] } {
  const { triggerPolicy, acting, actions, dryRun } = state.policy;
  const { levelStates, levels } = triggeredLevels(
    state.levelStates,
    levelBytes,
    metricValue,
    now,
    triggerPolicy,
    acting,
  );
  state.levelStates = levelStates;
  const reached = levelOf(levelBytes, metricValue);
  // Without regard to hysteresis: what is put off at the last level is lost. Nothing happens in a rehearsal, so that once is enough.
  const mayEngage = now >= state.retryAt && (!dryRun || levels.length > 0);
  if (reached && mayEngage) {
    const at = LEVELS.slice(0, LEVELS.indexOf(reached) + 1)
      .findLast((each) => killActionOf(actions[each]) !== undefined);
    if (at) state.killCycle = { cycle: startKillCycle(now), level: at, since: now };
  }
  return { reached, levels };
}
