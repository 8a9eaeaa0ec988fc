/** Where the levels lie under a plan. Pure. */

import {
  type Bounds,
  boundsOf,
  marginOf,
  NOTIFIED_MARGIN,
  TRIPWIRE_MARGIN,
} from "../policy/bounds.ts";
import type { GuardPlan, Mode } from "./plan.ts";

/** @param limit bytes. @param mode what is asked for there. @returns `undefined` when the margin leaves nothing of the limit. */
export function boundsUnder(
  { levels }: Pick<GuardPlan, "levels">,
  limit: number,
  mode: Mode,
): Bounds | undefined {
  const usual = mode === "tripwire" ? TRIPWIRE_MARGIN : NOTIFIED_MARGIN;
  return boundsOf(limit, { ...levels, margin: marginOf(usual, levels.margin) });
}
