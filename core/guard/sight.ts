/** What is to be known of a ward before it is decided what to do about it. */

import type { Sight } from "../policy/engagement.ts";
import type { Blows } from "./blows.ts";
import { measure, RATE_MS } from "./measure.ts";
import { cacheOf, msUntilLimit, type Ward } from "./ward.ts";

/** What is further away than this does not matter yet (milliseconds). */
export const FAR_MS = 5000;
/** With less left than this, what was read of memory.stat has to do (milliseconds). */
const RUSH_MS = 2;
/** But no older than this: near the threshold it is read at each look, unless somebody took the CPU away (milliseconds). */
const STAT_MS = 1;

export function see(ward: Ward, now: number, blows: Blows): Sight {
  const { level } = ward.engagement!;
  const { limit, bounds } = ward.terms;
  const victim = victimIn(ward, now, blows);
  // Who has ended has given back his memory before: what was read before that would have another one killed.
  const usage = victim === "dead" ? ward.usageFile.number() : undefined;
  if (usage !== undefined) measure(ward, usage, performance.now());
  // Half a margin of page cache that came since counts less than the time that it takes to see it.
  const age = performance.now() - ward.statAt;
  if (age > STAT_MS || (age > 0 && msUntilLimit(ward) > RUSH_MS)) readStat(ward, now);
  // Nobody dies for what may be page cache.
  const { inactiveFile = ward.usage, reclaimable = ward.usage } = ward.cache;
  const value = ward.orders.base === "usage" ? ward.usage : Math.max(0, ward.usage - inactiveFile);
  return {
    value,
    threshold: bounds[level],
    usage: ward.usage,
    limit,
    reclaimable,
    rate: ward.rate,
    unreclaimableRate: ward.unreclaimableRate,
    waits: ward.terms.mode === "hold",
    victim,
  };
}

function victimIn(ward: Ward, now: number, blows: Blows): Sight["victim"] {
  if (ward.blows.length === 0) return "none";
  return ward.blows.some((open) => blows.isAlive(ward, open, now)) ? "alive" : "dead";
}

export function readStat(ward: Ward, now: number): void {
  const text = ward.statFile.text();
  // What could not be read this time is not nothing.
  if (text === undefined) return;
  ward.stat = text;
  ward.cache = cacheOf(text);
  const over = now - ward.statAt;
  const unreclaimable = ward.usage - (ward.cache.reclaimable ?? 0);
  // What was read long ago says nothing of the rate.
  ward.unreclaimableRate = over > 0 && over < FAR_MS
    ? 1000 * (unreclaimable - ward.unreclaimable) / over
    : undefined;
  ward.unreclaimable = unreclaimable;
  ward.statAt = now;
}

/** Bytes, of the base that the ward's levels are of. */
export function valueOf(ward: Ward, now: number): number {
  const isUsage = ward.orders.base === "usage";
  if (isUsage || ward.usage < ward.terms.bounds.warn) return ward.usage;
  const text = ward.statFile.text();
  const { inactiveFile = ward.usage } = text === undefined ? ward.cache : cacheOf(text);
  const value = Math.max(0, ward.usage - inactiveFile);
  const over = now - ward.valueAt;
  if (over < RATE_MS) return value;
  ward.valueRate = Number.isFinite(over) ? 1000 * (value - ward.value) / over : undefined;
  ward.value = value;
  ward.valueAt = now;
  return value;
}

/** Who has least left to his limit comes first: what it takes to ask is little beside what it takes to act. Sorts in place. */
export function inUrgency(due: Ward[]): readonly Ward[] {
  if (due.length < 2) return due;
  const left = new Map(
    due.map((ward) => [ward, ward.terms.limit - (ward.usageFile.number() ?? 0)]),
  );
  return due.sort((a, b) => left.get(a)! - left.get(b)!);
}
