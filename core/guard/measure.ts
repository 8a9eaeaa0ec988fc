/** Usage and how fast it rises, look by look: in the sentry, and where a recording is run again. Pure. */

/** Two looks that are closer than this say nothing of the rate (milliseconds). */
export const RATE_MS = 0.2;
/**
 * And those that are closer than that say something only of growth beyond what the kernel takes ahead at once: 256 KiB on each
 * CPU (kernel, mm/memcontrol.c, MEMCG_CHARGE_BATCH).
 */
const SURE_RATE_MS = 1;
const SURE_GROWTH = 1024 ** 2;
/** An allocator that stood still for a moment, for want of a CPU, goes on as before (milliseconds). */
const STEEP_MS = 250;

export interface Measured {
  /** Bytes, and when they were read; `NaN` before the first look. */
  usage: number;
  usageAt: number;
  rate: number | undefined;
  /** What usage was then: the rate is told by two looks that are far enough apart. */
  usageThen: number;
  /** The highest rate of late, and when it was seen. */
  steepest: number;
  steepestAt: number;
}

/** Before the first look. */
export const unmeasured: Readonly<Measured> = {
  usage: NaN,
  usageAt: -Infinity,
  rate: undefined,
  usageThen: NaN,
  steepest: 0,
  steepestAt: -Infinity,
};

/** Usage as it was just read. */
export function measure(ward: Measured, usage: number, now: number): void {
  ward.usage = usage;
  const over = now - ward.usageAt;
  const growth = usage - ward.usageThen;
  if (over < RATE_MS || (over < SURE_RATE_MS && Math.abs(growth) < SURE_GROWTH)) return;
  if (Number.isFinite(over)) {
    const rate = 1000 * growth / over;
    ward.rate = rate;
    if (rate >= ward.steepest || now - ward.steepestAt > STEEP_MS) {
      ward.steepest = rate;
      ward.steepestAt = now;
    }
  }
  ward.usageThen = usage;
  ward.usageAt = now;
}
