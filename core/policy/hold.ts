/**
 * When a cgroup is so close to its limit that the mode `hold-near-limit` disables the kernel's OOM killer there. Pure.
 *
 * Between two looks of the guard usage may jump to the limit: a notification is late when the CPU is taken, by other programs or by
 * the host of a virtual machine. So the distance counts, at the steepest rate seen, and where that is unknown at the highest possible.
 */

import {
  MAX_FILL_RATE,
  MAX_GROWTH,
  msUntilLimitAtPeakRate,
  PEAK_RATE_MS,
  type UsageTrend,
} from "./usage_trend.ts";

/** Closer than this the limit is near at any rate: 13 MiB, which may be filled within 5 ms, where many cgroups are due at once. */
const ALWAYS_NEAR = MAX_FILL_RATE * 5 / 1000;
/** But no more than this share of the limit. */
const MAX_SHARE_ALWAYS_NEAR = 1 / 2;
/** Growth between two looks that are further apart than this may have happened at the end of it, at the highest rate (milliseconds). */
const MAX_MS_FOR_KNOWN_RATE = 5;
/** Less growth is no burst (bytes). */
const MIN_BURST = 1024 ** 2;
/** If the limit is reached sooner than this at the peak rate, it is near (milliseconds; an estimate, five wake-ups that are late). */
const NEAR_MS = 100;
/** The lowest share of the limit at which it is near: at less, hardly anything of a burst is left out. */
const MIN_SHARE = 1 / 4;
/** The OOM killer stays disabled at least this long, so that a rate is known by then (milliseconds). */
export const MIN_HOLD_MS = PEAK_RATE_MS;

/**
 * Usage at which the guard is to look: from there on a burst may reach the limit before the next wake-up.
 *
 * @param limit bytes. @returns bytes.
 */
export const holdThreshold = (limit: number): number =>
  Math.floor(Math.max(limit * MIN_SHARE, limit - MAX_GROWTH));

/** The look before, on the clock of the trend. */
export interface EarlierLook {
  /** Bytes; `NaN` before the first look. */
  readonly usage: number;
  /** Milliseconds. */
  readonly at: number;
}

/**
 * Whether the limit may be reached before the next look.
 *
 * @param trend with the present usage. @param critical, limit bytes. @param now milliseconds of the trend's clock.
 */
export function isLimitNear(
  trend: UsageTrend,
  { critical, limit }: { readonly critical: number; readonly limit: number },
  earlier: EarlierLook,
  now: number,
): boolean {
  const { usage, peakRateAt } = trend;
  const always = limit - Math.min(ALWAYS_NEAR, limit * MAX_SHARE_ALWAYS_NEAR);
  if (usage >= Math.min(critical, always)) return true;
  if (now - peakRateAt <= PEAK_RATE_MS && msUntilLimitAtPeakRate(trend, limit) < NEAR_MS) {
    return true;
  }
  const isUnknown = now - earlier.at > MAX_MS_FOR_KNOWN_RATE && usage - earlier.usage >= MIN_BURST;
  return isUnknown && usage >= holdThreshold(limit);
}
