/** Usage and how fast it rises, from sample to sample: in the monitor thread and in a replay. Pure. */

/** Two samples closer than this give no rate (milliseconds). */
export const MIN_MS_FOR_RATE = 0.2;
/**
 * Two samples closer than this give a rate only for growth beyond what the kernel charges ahead: 256 KiB on each CPU
 * (mm/memcontrol.c, MEMCG_CHARGE_BATCH).
 */
const MIN_MS_FOR_SMALL_GROWTH = 1;
const MIN_BYTES_FOR_FAST_RATE = 1024 ** 2;
/** An allocator that pauses for a moment because it has no CPU continues at the rate that it had before (milliseconds). */
export const PEAK_RATE_MS = 250;
/** A limit that is further away than this does not matter yet, and an older reading gives no rate (milliseconds). */
export const FAR_FROM_LIMIT_MS = 5000;

/** The highest fill rate measured: bytes per second, of one process on one CPU (docs/performance.md). */
export const MAX_FILL_RATE = 2.5 * 1024 ** 3;
/** A wake-up that is later than this is lost; hosts of virtual machines withhold a CPU for 3 ms and more (docs/performance.md). */
const MAX_WAKEUP_DELAY_MS = 20;
/** Within a wake-up that late usage grows by this much at most (bytes): 51 MiB. */
export const MAX_GROWTH = MAX_FILL_RATE * MAX_WAKEUP_DELAY_MS / 1000;

/** Unknown page cache may be all of usage: no process is killed for it. */
export const withoutPageCache = (usage: number, pageCache: number | undefined): number =>
  Math.max(0, usage - (pageCache ?? usage));

/** What the levels are compared with: usage, or the working set. */
export const metricOf = (
  metric: "usage" | "working-set",
  usage: number,
  inactiveFile: number | undefined,
): number => metric === "usage" ? usage : withoutPageCache(usage, inactiveFile);

/** Sizes are bytes, rates bytes per second, times milliseconds of a monotonic clock. */
export interface UsageTrend {
  /** `NaN` before the first sample. */
  usage: number;
  /** When `rate` was computed last. */
  usageAt: number;
  /** `undefined` after a single sample. */
  rate: number | undefined;
  /** Usage at `usageAt`. */
  trendUsage: number;
  /** The highest rate of the last 250 ms, and when it was seen. */
  peakRate: number;
  peakRateAt: number;
}

export const noTrend: Readonly<UsageTrend> = {
  usage: NaN,
  usageAt: -Infinity,
  rate: undefined,
  trendUsage: NaN,
  peakRate: 0,
  peakRateAt: -Infinity,
};

/** @param usage bytes, as it was just read. */
export function updateTrend(trend: UsageTrend, usage: number, now: number): void {
  trend.usage = usage;
  const over = now - trend.usageAt;
  const growth = usage - trend.trendUsage;
  if (isTooShortForRate(over, growth)) return;
  if (Number.isFinite(over)) {
    const rate = 1000 * growth / over;
    trend.rate = rate;
    if (rate >= trend.peakRate || now - trend.peakRateAt > PEAK_RATE_MS) {
      trend.peakRate = rate;
      trend.peakRateAt = now;
    }
  }
  trend.trendUsage = usage;
  trend.usageAt = now;
}

const isTooShortForRate = (over: number, growth: number): boolean =>
  over < MIN_MS_FOR_RATE ||
  (over < MIN_MS_FOR_SMALL_GROWTH && Math.abs(growth) < MIN_BYTES_FOR_FAST_RATE);

/** Usage less what the kernel can reclaim, by memory.stat. */
export interface UnreclaimableTrend {
  /** At `unreclaimableAt`, when its rate was computed last. */
  unreclaimable: number;
  unreclaimableAt: number;
  /**
   * The lower one of the last two rates. Usage and memory.stat are read one after the other, and pages that are just being
   * reclaimed are on no list (mm/vmscan.c, isolate_lru_folios): while gigabytes of page cache a second are read and reclaimed, a
   * megabyte or two of it seems to have become unreclaimable in one reading, and has not in the next.
   */
  unreclaimableRate: number | undefined;
  latestUnreclaimableRate: number | undefined;
  /** Usage and what was ever reclaimed, at `unreclaimableAt`; `undefined` when unknown. */
  charged: number | undefined;
  /** When memory.stat was read last. */
  statAt: number;
}

export const noUnreclaimableTrend: Readonly<UnreclaimableTrend> = {
  unreclaimable: NaN,
  unreclaimableAt: -Infinity,
  unreclaimableRate: undefined,
  latestUnreclaimableRate: undefined,
  charged: undefined,
  statAt: -Infinity,
};

/**
 * @param unreclaimable bytes, as memory.stat was just read.
 * @param charged usage and what was ever reclaimed: no other memory can have grown by more than this has.
 */
export function updateUnreclaimable(
  trend: UnreclaimableTrend,
  unreclaimable: number,
  now: number,
  charged?: number,
): void {
  trend.statAt = now;
  const over = now - trend.unreclaimableAt;
  const growth = unreclaimable - trend.unreclaimable;
  // Within one wake-up memory.stat may be read twice, at the same usage: that is no growth of 0.
  if (isTooShortForRate(over, growth)) return;
  const bound = charged === undefined ? Infinity : charged - (trend.charged ?? -Infinity);
  const rate = over < FAR_FROM_LIMIT_MS ? 1000 * Math.min(growth, bound) / over : undefined;
  const before = trend.latestUnreclaimableRate;
  trend.unreclaimableRate = rate === undefined || before === undefined
    ? undefined
    : Math.min(before, rate);
  trend.latestUnreclaimableRate = rate;
  trend.charged = charged;
  trend.unreclaimable = unreclaimable;
  trend.unreclaimableAt = now;
}

/** Milliseconds until usage reaches the limit at the present rate; `Infinity` if it does not grow. */
export function msUntilLimit({ rate, usage }: UsageTrend, limit: number): number {
  return rate === undefined || rate <= 0 ? Infinity : 1000 * (limit - usage) / rate;
}

/** The same at the highest recent rate. */
export function msUntilLimitAtPeakRate({ peakRate, usage }: UsageTrend, limit: number): number {
  return peakRate <= 0 ? Infinity : 1000 * (limit - usage) / peakRate;
}
