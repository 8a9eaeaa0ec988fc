/** When a level is told of and acted on: once, until usage has fallen well below it again. Pure. */

import { type Bounds, type Level, levelOf, LEVELS } from "./bounds.ts";

export interface Rearming {
  /** How far usage must fall below a level before the level counts as left, as a fraction of that level. */
  readonly hysteresis: number;
  /** Milliseconds between two times of warn, or of critical. The threshold knows none: a kill put off is a race lost. */
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

/**
 * The level to act on now, if any: the highest one reached. Those below it are passed over, as nobody needs a warning beside
 * a critical one.
 *
 * @param value bytes, in the base that the bounds are in.
 * @param now milliseconds of any clock that does not go backwards.
 */
export function ring(
  bells: Bells,
  bounds: Bounds,
  value: number,
  now: number,
  rearming: Rearming,
): { readonly bells: Bells; readonly level: Level | undefined } {
  const reached = levelOf(bounds, value);
  let rung: Level | undefined;
  const next = { ...bells };
  for (const level of LEVELS) {
    const bell = bells[level];
    if (value < bounds[level] * (1 - rearming.hysteresis)) next[level] = { ...bell, armed: true };
    if (value < bounds[level]) continue;
    const cooled = level === "threshold" || now - bell.rangAt >= rearming.cooldown;
    const armed = bell.armed || (rearming.repeat && level !== "threshold");
    if (level === reached && armed && cooled) {
      rung = level;
      next[level] = { armed: false, rangAt: now };
    } else if (level !== reached) {
      next[level] = { ...bell, armed: false };
    }
  }
  return { bells: next, level: rung };
}

/** When {@link ring} may have something to say though usage has not changed; `Infinity` when it has not. */
export function nextRing(bells: Bells, bounds: Bounds, value: number, rearming: Rearming): number {
  const reached = levelOf(bounds, value);
  if (reached === undefined || reached === "threshold") return Infinity;
  const { armed, rangAt } = bells[reached];
  return armed || rearming.repeat ? rangAt + rearming.cooldown : Infinity;
}
