/** Usage and how fast it rises, look by look: in the sentry, and where a recording is run again. Pure. */

/** Two looks that are closer than this say nothing of the rate (milliseconds). */
export const MIN_MS_FOR_RATE = 0.2;
/**
 * And those that are closer than that say something only of growth beyond what the kernel takes ahead at once: 256 KiB on each
 * CPU (kernel, mm/memcontrol.c, MEMCG_CHARGE_BATCH).
 */
const MIN_MS_FOR_SMALL_GROWTH = 1;
const MIN_BYTES_FOR_FAST_RATE = 1024 ** 2;
/** An allocator that stood still for a moment, for want of a CPU, goes on as before (milliseconds). */
const PEAK_RATE_MS = 250;

export interface UsageTrend {
  /** Bytes, and when they were read; `NaN` before the first look. */
  usage: number;
  usageAt: number;
  rate: number | undefined;
  /** What usage was then: the rate is told by two looks that are far enough apart. */
  trendUsage: number;
  /** The highest rate of late, and when it was seen. */
  peakRate: number;
  peakRateAt: number;
}

/** Before the first look. */
export const noTrend: Readonly<UsageTrend> = {
  usage: NaN,
  usageAt: -Infinity,
  rate: undefined,
  trendUsage: NaN,
  peakRate: 0,
  peakRateAt: -Infinity,
};

/** Usage as it was just read. */
export function updateTrend(state: UsageTrend, usage: number, now: number): void {
  state.usage = usage;
  const over = now - state.usageAt;
  const growth = usage - state.trendUsage;
  if (
    over < MIN_MS_FOR_RATE ||
    (over < MIN_MS_FOR_SMALL_GROWTH && Math.abs(growth) < MIN_BYTES_FOR_FAST_RATE)
  ) return;
  if (Number.isFinite(over)) {
    const rate = 1000 * growth / over;
    state.rate = rate;
    if (rate >= state.peakRate || now - state.peakRateAt > PEAK_RATE_MS) {
      state.peakRate = rate;
      state.peakRateAt = now;
    }
  }
  state.trendUsage = usage;
  state.usageAt = now;
}
