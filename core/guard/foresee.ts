/** Who would be taken in a guarded cgroup now. */

import type { Weighed } from "../report/event.ts";
import { takeAim } from "./aim.ts";
import { toldOf } from "./bodies.ts";
import { isKept, type Plans } from "./plan.ts";
import type { Entry } from "./roster.ts";

/** The first one first; those that are spared at the end. */
export function foresee(
  { cgroup, measured, terms: { capacity }, plan }: Entry,
  plans: Plans,
): readonly Weighed[] {
  const pressed = () => false;
  const kept = (path: string) => isKept(plans, path);
  const aiming = { plan, isKept: kept, measured, capacity, pressed, struck: new Set<number>() };
  const aim = takeAim(cgroup, aiming);
  aim?.close();
  return (aim?.candidates ?? []).map(toldOf);
}
