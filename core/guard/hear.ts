/** What a look at the levels leads to: in the sentry, and where a recording is run again. Pure. */

import { type Bounds, type Level, levelOf, LEVELS } from "../policy/bounds.ts";
import { engage, type Engagement } from "../policy/engagement.ts";
import { type Bells, type Rearming, ring } from "../policy/levels.ts";
import { type Action, deedOf } from "./plan.ts";

/** What is known of a cgroup that nothing is under way in. */
export interface Listener {
  bells: Bells;
  engagement: { state: Engagement; readonly level: Level; readonly since: number } | undefined;
  /** Nobody could be struck: nothing is begun before this. */
  readonly idleUntil: number;
  readonly orders: {
    readonly rearming: Rearming;
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
export function hear(
  ward: Listener,
  bounds: Bounds,
  value: number,
  now: number,
): { readonly reached: Level | undefined; readonly levels: readonly Level[] } {
  const { rearming, acting, actions, dryRun } = ward.orders;
  const { bells, levels } = ring(ward.bells, bounds, value, now, rearming, acting);
  ward.bells = bells;
  const reached = levelOf(bounds, value);
  // Without regard to hysteresis: what is put off at the last level is lost. Nothing happens in a rehearsal, so that once is enough.
  const mayEngage = now >= ward.idleUntil && (!dryRun || levels.length > 0);
  if (reached && mayEngage) {
    const at = LEVELS.slice(0, LEVELS.indexOf(reached) + 1)
      .findLast((each) => deedOf(actions[each]) !== undefined);
    if (at) ward.engagement = { state: engage(now), level: at, since: now };
  }
  return { reached, levels };
}
