/** When a level is told of and acted on: once, until usage has fallen well below it again. Pure. */

import { type Bounds, type Level, levelOf, LEVELS } from "./bounds.ts";

export interface Rearming {
  /** How far usage must fall below a level before the level counts as left, as a fraction of that level. */
  readonly hysteresis: number;
  /** Milliseconds between two times of the same level. */
  readonly cooldown: number;
  /** Also while usage stays above, each time the cooldown is over. */
  readonly repeat: boolean;
}

interface Bell {
  readonly armed: boolean;
  /** Milliseconds; `-Infinity` when it never rang. */
  readonly rangAt: number;
}

export type Bells = Readonly<Record<Level, Bell>>;

const fresh: Bell = { armed: true, rangAt: -Infinity };
export const freshBells: Bells = { warn: fresh, critical: fresh, threshold: fresh };

/** Whether every level would be told of when it is reached. */
export const areArmed = (bells: Bells): boolean => LEVELS.every((level) => bells[level].armed);

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
export function ring(
  bells: Bells,
  bounds: Bounds,
  value: number,
  now: number,
  rearming: Rearming,
  acting: ReadonlySet<Level>,
): { readonly bells: Bells; readonly levels: readonly Level[] } {
  const heard = heardAt(bounds, value, acting);
  const rung: Level[] = [];
  const next = { ...bells };
  for (const level of LEVELS) {
    const bell = bells[level];
    if (value < bounds[level] * (1 - rearming.hysteresis)) next[level] = { ...bell, armed: true };
    if (value < bounds[level]) continue;
    if (!heard.includes(level)) next[level] = { ...bell, armed: false };
    else if (now >= dueAt(bell, rearming)) {
      rung.push(level);
      next[level] = { armed: false, rangAt: now };
    }
  }
  return { bells: next, levels: rung };
}

/** When {@link ring} may have something to say though usage has not changed; `Infinity` when it has not. */
export function nextRing(
  bells: Bells,
  bounds: Bounds,
  value: number,
  rearming: Rearming,
  acting: ReadonlySet<Level>,
): number {
  const heard = heardAt(bounds, value, acting);
  return Math.min(...heard.map((level) => dueAt(bells[level], rearming)));
}

function heardAt(bounds: Bounds, value: number, acting: ReadonlySet<Level>): readonly Level[] {
  const reached = levelOf(bounds, value);
  if (reached === undefined) return [];
  const doer = LEVELS.slice(0, LEVELS.indexOf(reached) + 1).findLast((level) => acting.has(level));
  return doer === undefined || doer === reached ? [reached] : [doer, reached];
}

function dueAt({ armed, rangAt }: Bell, { cooldown, repeat }: Rearming): number {
  return armed || repeat ? rangAt + cooldown : Infinity;
}
