/** When a level is told of and acted on: once, until usage has fallen well below it again. Pure. */

import { type Level, type LevelBytes, levelOf, LEVELS } from "./bounds.ts";

export interface TriggerPolicy {
  /** How far usage must fall below a level before the level counts as left, as a fraction of that level. */
  readonly hysteresis: number;
  /** Milliseconds between two times of the same level. */
  readonly cooldown: number;
  /** Also while usage stays above, each time the cooldown is over. */
  readonly repeat: boolean;
}

interface LevelState {
  readonly armed: boolean;
  /** Milliseconds; `-Infinity` when it never rang. */
  readonly lastTriggeredAt: number;
}

export type LevelStates = Readonly<Record<Level, LevelState>>;

const initialState: LevelState = { armed: true, lastTriggeredAt: -Infinity };
export const initialLevelStates: LevelStates = {
  warn: initialState,
  critical: initialState,
  imminent: initialState,
};

/** Whether every level would be told of when it is reached. */
export const allArmed = (levelStates: LevelStates): boolean =>
  LEVELS.every((level) => levelStates[level].armed);

/**
 * The levels to tell of and to act on now, the lowest first: the highest one reached, and, where that has no actions of its own,
 * the nearest one below it that has some, so that to jump past a level, or to stay above it, is not to escape it. Each goes by
 * its own bell: who climbs slowly is not acted on twice. All others below are passed over, as nobody needs a warning beside a
 * critical one.
 *
 * The last level is one like the others, since no kill waits for a bell: see `core/guard/sentry.ts`.
 *
 * @param value bytes, in the base that the bounds are in.
 * @param now milliseconds of any clock that does not go backwards.
 * @param acting the levels that have actions.
 */
export function triggeredLevels(
  levelStates: LevelStates,
  levelBytes: LevelBytes,
  value: number,
  now: number,
  triggerPolicy: TriggerPolicy,
  acting: ReadonlySet<Level>,
): { readonly levelStates: LevelStates; readonly levels: readonly Level[] } {
  const eligible = eligibleLevels(levelBytes, value, acting);
  const levelsNow: Level[] = [];
  const next = { ...levelStates };
  for (const level of LEVELS) {
    const levelState = levelStates[level];
    if (value < levelBytes[level] * (1 - triggerPolicy.hysteresis)) {
      next[level] = { ...levelState, armed: true };
    }
    if (value < levelBytes[level]) continue;
    if (!eligible.includes(level)) next[level] = { ...levelState, armed: false };
    else if (now >= nextTriggerAtOf(levelState, triggerPolicy)) {
      levelsNow.push(level);
      next[level] = { armed: false, lastTriggeredAt: now };
    }
  }
  return { levelStates: next, levels: levelsNow };
}

/** When {@link ring} may have something to say though usage has not changed; `Infinity` when it has not. */
export function nextTriggerAt(
  levelStates: LevelStates,
  levelBytes: LevelBytes,
  value: number,
  triggerPolicy: TriggerPolicy,
  acting: ReadonlySet<Level>,
): number {
  const eligible = eligibleLevels(levelBytes, value, acting);
  return Math.min(...eligible.map((level) => nextTriggerAtOf(levelStates[level], triggerPolicy)));
}

function eligibleLevels(
  levelBytes: LevelBytes,
  value: number,
  acting: ReadonlySet<Level>,
): readonly Level[] {
  const reached = levelOf(levelBytes, value);
  if (reached === undefined) return [];
  const doer = LEVELS.slice(0, LEVELS.indexOf(reached) + 1).findLast((level) => acting.has(level));
  return doer === undefined || doer === reached ? [reached] : [doer, reached];
}

function nextTriggerAtOf(
  { armed, lastTriggeredAt }: LevelState,
  { cooldown, repeat }: TriggerPolicy,
): number {
  return armed || repeat ? lastTriggeredAt + cooldown : Infinity;
}
