/** What is to be known of a ward before it is decided what to do about it. */

import type { Observation } from "../policy/engagement.ts";
import type { PendingKills } from "./blows.ts";
import { MIN_MS_FOR_RATE, updateTrend } from "./measure.ts";
import { type CgroupState, msUntilLimit, pageCacheOf } from "./ward.ts";

/** What is further away than this does not matter yet (milliseconds). */
export const FAR_FROM_LIMIT_MS = 5000;
/** With less left than this, what was read of memory.stat has to do (milliseconds). */
const MAX_MS_TO_SKIP_STAT = 2;
/** But no older than this: near the threshold it is read at each look, unless somebody took the CPU away (milliseconds). */
const MAX_STAT_AGE_MS = 1;

export function observe(state: CgroupState, now: number, pendingKills: PendingKills): Observation {
  const { level } = state.killCycle!;
  const { limit, levelBytes } = state.settings;
  const victim = victimIn(state, now, pendingKills);
  // Who has ended has given back his memory before: what was read before that would have another one killed.
  const usage = victim === "dead" ? state.usageFile.number() : undefined;
  if (usage !== undefined) updateTrend(state, usage, performance.now());
  // Half a margin of page cache that came since counts less than the time that it takes to see it.
  const age = performance.now() - state.statAt;
  if (age > MAX_STAT_AGE_MS || (age > 0 && msUntilLimit(state) > MAX_MS_TO_SKIP_STAT)) {
    readStat(state, now);
  }
  // Nobody dies for what may be page cache.
  const { inactiveFile = state.usage, reclaimable = state.usage } = state.pageCache;
  const metricValue = state.policy.metric === "usage"
    ? state.usage
    : Math.max(0, state.usage - inactiveFile);
  return {
    metricValue,
    levelBytes: levelBytes[level],
    usage: state.usage,
    limit,
    reclaimable,
    rate: state.rate,
    unreclaimableRate: state.unreclaimableRate,
    oomKillerDisabled: state.settings.mode === "hold",
    victim,
  };
}

function victimIn(
  state: CgroupState,
  now: number,
  pendingKills: PendingKills,
): Observation["victim"] {
  if (state.pendingKills.length === 0) return "none";
  return state.pendingKills.some((open) => pendingKills.isAlive(state, open, now))
    ? "alive"
    : "dead";
}

export function readStat(state: CgroupState, now: number): void {
  const text = state.statFile.text();
  // What could not be read this time is not nothing.
  if (text === undefined) return;
  state.stat = text;
  state.pageCache = pageCacheOf(text);
  const over = now - state.statAt;
  const unreclaimable = state.usage - (state.pageCache.reclaimable ?? 0);
  // What was read long ago says nothing of the rate.
  state.unreclaimableRate = over > 0 && over < FAR_FROM_LIMIT_MS
    ? 1000 * (unreclaimable - state.unreclaimable) / over
    : undefined;
  state.unreclaimable = unreclaimable;
  state.statAt = now;
}

/** Bytes, of the base that the ward's levels are of. */
export function valueOf(state: CgroupState, now: number): number {
  const isUsage = state.policy.metric === "usage";
  if (isUsage || state.usage < state.settings.levelBytes.warn) return state.usage;
  const text = state.statFile.text();
  const { inactiveFile = state.usage } = text === undefined ? state.pageCache : pageCacheOf(text);
  const metricValue = Math.max(0, state.usage - inactiveFile);
  const over = now - state.valueAt;
  if (over < MIN_MS_FOR_RATE) return metricValue;
  state.valueRate = Number.isFinite(over)
    ? 1000 * (metricValue - state.metricValue) / over
    : undefined;
  state.metricValue = metricValue;
  state.valueAt = now;
  return metricValue;
}

/** Who has least left to his limit comes first: what it takes to ask is little beside what it takes to act. Sorts in place. */
export function byHeadroom(due: CgroupState[]): readonly CgroupState[] {
  if (due.length < 2) return due;
  const left = new Map(
    due.map((state) => [state, state.settings.limit - (state.usageFile.number() ?? 0)]),
  );
  return due.sort((a, b) => left.get(a)! - left.get(b)!);
}
