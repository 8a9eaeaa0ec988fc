/** Where the levels lie under a plan. Pure. */

import { type KillCycle, startKillCycle } from "../policy/kill_cycle.ts";
import {
  type Level,
  type LevelBytes,
  levelBytesOf,
  levelOf,
  LEVELS,
  type LevelStates,
  marginOf,
  NOTIFY_MARGIN,
  THROTTLE_MARGIN,
  triggeredLevels,
  type TriggerPolicy,
} from "../policy/levels.ts";
import { type Action, killActionOf } from "../policy/actions.ts";
import type { GuardPolicy, Mode } from "./policy.ts";

/** @param limit bytes. @param mode what is asked for there. @returns `undefined` when the margin leaves nothing of the limit. */
export function levelBytesIn(
  { levels }: Pick<GuardPolicy, "levels">,
  limit: number,
  mode: Mode,
): LevelBytes | undefined {
  const defaultPolicy = mode === "throttle" ? THROTTLE_MARGIN : NOTIFY_MARGIN;
  return levelBytesOf(limit, { ...levels, margin: marginOf(defaultPolicy, levels.margin) });
}

/* What a look at the levels leads to: in the sentry, and where a recording is run again. Pure. */

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
