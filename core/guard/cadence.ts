/** When a ward is looked at next, unless something wakes for it before. */

import { areArmed, nextRing } from "../policy/levels.ts";
import { longestLook, nextLook } from "../policy/pace.ts";
import type { Ward } from "./ward.ts";

/** How long it may be that nothing wakes, where everything notifies: what is lost is found by then (milliseconds). */
export const SWEEP_MS = 1000;
/** So many times more seldom what notifies is looked at, in case that it does not (seen once, on 6.18). */
const SELDOM = 4;
/** epoll_wait(2) takes whole milliseconds. */
export const SHORTEST_MS = 1;
/** What would be crossed sooner than this is not slept for. */
const SPIN_MS = 1;
/** So long an allocator runs whose CPU this thread shares, between two looks (milliseconds). */
export const STEP_MS = 0.05;

/** Who else is there, and where this thread waits. */
export interface Circumstances {
  /** How many wards there are. */
  readonly count: number;
  /** See `core/guard/shadow.ts`. */
  readonly isBeside: boolean;
}

/** Milliseconds of the clock that `now` is of. */
export function dueAt(ward: Ward, value: number, now: number, around: Circumstances): number {
  const { terms: { bounds, limit }, orders } = ward;
  const { base, rearming, acting, isDeadly } = orders;
  const { rate = 0 } = base === "usage" ? ward : { rate: ward.valueRate };
  const longest = longestFor(ward, value, around.count);
  const left = bounds.threshold - value;
  const isNear = isDeadly && left > 0 && 1000 * left < SPIN_MS * rate;
  // On his CPU nothing would move while it is looked without a pause.
  if (isNear && now < ward.spinUntil) return around.isBeside ? now + STEP_MS : now;
  const above = [bounds.warn, bounds.critical, bounds.threshold, limit].find((at) => at > value);
  const wait = nextLook((above ?? Infinity) - value, rate, longest, SHORTEST_MS);
  const again = nextRing(ward.bells, bounds, value, rearming, acting);
  const at = wait < longest ? now + wait : nextRound(now, longest);
  return Math.max(ward.idleUntil, Math.min(at, Math.max(now, again)));
}

/** Nothing is told, held or under way of it. */
export function isAtRest({ usage, terms: { bounds }, bells, aim, engagement }: Ward): boolean {
  return usage < bounds.warn && areArmed(bells) && aim === undefined && engagement === undefined;
}

/** The same as {@link dueAt} of one that is at rest and does not grow. */
export function dueAtRest(ward: Ward, now: number, { count }: Circumstances): number {
  return Math.max(ward.idleUntil, nextRound(now, longestFor(ward, 0, count)));
}

/** Those at rest are looked at together, in one turn. */
const nextRound = (now: number, every: number) => every * (Math.floor(now / every) + 1);

function longestFor({ terms, orders }: Ward, value: number, count: number): number {
  const unaided = orders.poll ?? longestLook(count);
  // What the kernel notifies of is usage, which may stand still while the working set in it grows.
  const isNotified = terms.eventfds.some(({ isHint }) => !isHint) &&
    (orders.base === "usage" || value < terms.bounds.warn);
  return isNotified ? Math.min(SWEEP_MS, SELDOM * unaided) : unaided;
}
