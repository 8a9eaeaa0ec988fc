/** Where the levels lie under a plan. Pure. */

import {
  type LevelBytes,
  levelBytesOf,
  marginOf,
  NOTIFY_MARGIN,
  THROTTLE_MARGIN,
} from "../policy/bounds.ts";
import type { GuardPolicy, Mode } from "./plan.ts";

/** @param limit bytes. @param mode what is asked for there. @returns `undefined` when the margin leaves nothing of the limit. */
export function levelBytesIn(
  { levels }: Pick<GuardPolicy, "levels">,
  limit: number,
  mode: Mode,
): LevelBytes | undefined {
  const defaultPolicy = mode === "throttle" ? THROTTLE_MARGIN : NOTIFY_MARGIN;
  return levelBytesOf(limit, { ...levels, margin: marginOf(defaultPolicy, levels.margin) });
}
