/** The course of one figure over the last minutes, in little memory: one number for every few seconds. */

export interface UsageHistory {
  /** @param at milliseconds of a monotonic clock. */
  add(at: number, value: number): void;
  /** The highest value of each interval, oldest first, `undefined` where none was added; at most {@link MAX_INTERVALS}. */
  peaks(): (number | undefined)[];
  /** Rise in a second over the last values; `undefined` before there are two. */
  rate(): number | undefined;
}

/** Three minutes in all. */
export const MAX_INTERVALS = 60;
const INTERVAL_MS = 3000;
/** Of fewer values a step looks like a trend; more of them make the rate late when it matters. */
const VALUES_FOR_RATE = 5;
/** Older values say nothing about the rate now. */
const MAX_AGE_MS = 15_000;

export function createUsageHistory(): UsageHistory {
  const peaks = new Float64Array(MAX_INTERVALS).fill(NaN);
  const times = new Float64Array(VALUES_FOR_RATE).fill(NaN);
  const values = new Float64Array(VALUES_FOR_RATE).fill(NaN);
  let firstInterval = NaN;
  let lastInterval = NaN;
  let count = 0;

  return {
    add(at, value) {
      const interval = Math.floor(at / INTERVAL_MS);
      if (Number.isNaN(firstInterval)) firstInterval = lastInterval = interval;
      // The intervals in between are unknown.
      for (; lastInterval < interval; lastInterval++) {
        if (interval - lastInterval > MAX_INTERVALS) lastInterval = interval - MAX_INTERVALS;
        peaks[(lastInterval + 1) % MAX_INTERVALS] = NaN;
      }
      const slot = interval % MAX_INTERVALS;
      peaks[slot] = Number.isNaN(peaks[slot]!) ? value : Math.max(peaks[slot]!, value);
      times[count % VALUES_FOR_RATE] = at;
      values[count % VALUES_FOR_RATE] = value;
      count += 1;
    },
    peaks() {
      if (Number.isNaN(firstInterval)) return [];
      const from = Math.max(firstInterval, lastInterval - MAX_INTERVALS + 1);
      return Array.from({ length: lastInterval - from + 1 }, (_, offset) => {
        const peak = peaks[(from + offset) % MAX_INTERVALS]!;
        return Number.isNaN(peak) ? undefined : peak;
      });
    },
    rate() {
      if (count < 2) return undefined;
      const last = (count - 1) % VALUES_FOR_RATE;
      let oldest = last;
      for (let back = 1; back < Math.min(count, VALUES_FOR_RATE); back++) {
        const at = (count - 1 - back) % VALUES_FOR_RATE;
        if (times[last]! - times[at]! > MAX_AGE_MS) break;
        oldest = at;
      }
      const elapsed = times[last]! - times[oldest]!;
      return elapsed > 0 ? 1000 * (values[last]! - values[oldest]!) / elapsed : undefined;
    },
  };
}
