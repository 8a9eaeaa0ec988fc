/** One guarded cgroup, as the sentry knows it: what is kept open, and what it was last seen to be. */

import type { PausedProcess } from "../act/pauses.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import { wallClock } from "../kernel/clock.ts";
import { parseKeyed } from "../parse/keyed.ts";
import { parseBytes } from "../parse/numbers.ts";
import type { Level } from "../policy/bounds.ts";
import type { Engagement } from "../policy/engagement.ts";
import { type Bells, freshBells } from "../policy/levels.ts";
import type { Aim, Pick } from "./aim.ts";
import { closeEyes, type Eyes, openEyes } from "./eyes.ts";
import { type Measured, unmeasured } from "./measure.ts";
import { type Blow, unflatten, type Wake, type WardSpec, type WardTerms } from "./messages.ts";
import { actingLevels, deadlyLevel, type GuardPlan, keyOf } from "./plan.ts";

/** A blow whose outcome is not known yet. */
export interface OpenBlow {
  readonly pick: Pick;
  readonly blow: Omit<Blow, "after" | "outcome" | "reason" | "diedAfter" | "freedAfter">;
  /** Milliseconds of this thread's clock. */
  readonly since: number;
  rounds: number;
  diedAfter: number | undefined;
}

/** A plan, and what follows from it. */
export interface Orders extends GuardPlan {
  readonly acting: ReadonlySet<Level>;
  readonly isDeadly: boolean;
  /** See `keyOf`. */
  readonly key: string;
}

export function ordersOf(plan: GuardPlan): Orders {
  const isDeadly = deadlyLevel(plan.actions) !== undefined;
  return { ...plan, acting: actingLevels(plan.actions), isDeadly, key: keyOf(plan) };
}

export interface Ward extends Eyes, Measured {
  readonly id: number;
  terms: WardTerms;
  orders: Orders;
  readonly scope: Cgroup;
  readonly measured: Cgroup;
  bells: Bells;
  /** The same of the base, where that is not usage. */
  value: number;
  valueAt: number;
  valueRate: number | undefined;
  nextLook: number;
  /** Until then it is looked at without a pause where the threshold is near. */
  spinUntil: number;
  /** What made the last look that led to something. */
  wake: Wake;
  /** The text of memory.stat, what it says, and when it was read. */
  stat: string;
  cache: Cache;
  statAt: number;
  /** Bytes of usage that cannot be taken back, as memory.stat was read last, and how they rise, in bytes per second. */
  unreclaimable: number;
  unreclaimableRate: number | undefined;
  aim: Aim | undefined;
  engagement: { state: Engagement; readonly level: Level; readonly since: number } | undefined;
  /** Told of last, so that it is not told at every look. */
  letGoToldAt: number;
  /** In the order in which they were struck; each is told of once it is over. */
  blows: OpenBlow[];
  reclaimToldAt: number;
  reclaim: { readonly before: number; readonly since: number } | undefined;
  /** Stopped beside a victim, and since when. */
  readonly paused: { readonly pick: Pick; readonly record: PausedProcess }[];
  pausedAt: number;
  /** Told of last, so that it is not told at every look. */
  failure: string | undefined;
  /** Nobody could be struck: look again no sooner than this. */
  idleUntil: number;
  /** Milliseconds, the last time. */
  idleFor: number;
}

/** `undefined` when the cgroup is gone, or another has its name. Throws `SystemCallError` when descriptors run short. */
export function openWard(spec: WardSpec, orders: Orders): Ward | undefined {
  const { id, measured: flat, scope, ...terms } = spec;
  const measured = unflatten(flat);
  const eyes = openEyes(measured);
  return eyes && {
    ...eyes,
    id,
    terms,
    orders,
    // Nearly always the same, and then kept once.
    scope: scope.path === measured.path ? measured : unflatten(scope),
    measured,
    bells: freshBells,
    ...unmeasured,
    value: NaN,
    valueAt: -Infinity,
    valueRate: undefined,
    nextLook: -Infinity,
    spinUntil: -Infinity,
    wake: "poll",
    stat: "",
    cache: {},
    statAt: -Infinity,
    unreclaimable: NaN,
    unreclaimableRate: undefined,
    aim: undefined,
    engagement: undefined,
    letGoToldAt: -Infinity,
    blows: [],
    reclaimToldAt: -Infinity,
    reclaim: undefined,
    paused: [],
    pausedAt: -Infinity,
    failure: undefined,
    idleUntil: -Infinity,
    idleFor: 0,
  };
}

export function closeWard(ward: Ward): void {
  ward.aim?.close();
  closeEyes(ward);
}

/** Milliseconds until usage is at the limit at the present rate; `Infinity` where it does not grow. */
export function msUntilLimit({ rate, usage, terms: { limit } }: Ward): number {
  return rate === undefined || rate <= 0 ? Infinity : 1000 * (limit - usage) / rate;
}

/** The same at the highest rate of late. */
export function msAtWorst({ steepest, usage, terms: { limit } }: Ward): number {
  return steepest <= 0 ? Infinity : 1000 * (limit - usage) / steepest;
}

/** What memory.stat says of page cache, bytes. */
export interface Cache {
  readonly inactiveFile?: number;
  readonly reclaimable?: number;
}

/** The rows of v1 that count what lies beneath come first. */
export function cacheOf(text: string): Cache {
  const rows = parseKeyed(text);
  const bytes = (key: string) => parseBytes(rows.get(`total_${key}`) ?? rows.get(key));
  const inactiveFile = bytes("inactive_file");
  const activeFile = bytes("active_file");
  if (inactiveFile === undefined) return {};
  return activeFile === undefined
    ? { inactiveFile }
    : { inactiveFile, reclaimable: inactiveFile + activeFile };
}

/** What every report on a ward begins with. */
export function headOf({ id, wake }: Ward) {
  return { id, wake, at: clock() };
}

/** Milliseconds since the epoch; `performance.now()` counts from each thread's own beginning. */
export const clock = wallClock;

export function letGoOfAim(ward: Ward): void {
  ward.aim?.close();
  ward.aim = undefined;
}
