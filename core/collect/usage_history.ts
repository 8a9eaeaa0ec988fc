/** The course of one figure over the last minutes, in little memory: two numbers each few seconds. */

export interface UsageHistory {
  /** @param at milliseconds of a clock that only goes forward. */
  note(at: number, value: number): void;
  /** The highest of each few seconds, oldest first, `undefined` where nothing was noted; at most {@link KEPT}. */
  values(): (number | undefined)[];
  /** Rise a second over the last notes; `undefined` before there are two. */
  rate(): number | undefined;
}

/** Three minutes in all. */
export const KEPT = 60;
const EACH_MS = 3000;
/** Fewer notes make a step look like a trend, more of them are late where it matters. */
const RATED = 5;
/** Notes older than this say nothing about now (milliseconds). */
const STALE_MS = 15_000;

export function createUsageHistory(): UsageHistory {
  const peaks = new Float64Array(KEPT).fill(NaN);
  const times = new Float64Array(RATED).fill(NaN);
  const values = new Float64Array(RATED).fill(NaN);
  let first = NaN;
  let newest = NaN;
  let notes = 0;

  return {
    note(at, value) {
      const share = Math.floor(at / EACH_MS);
      if (Number.isNaN(first)) first = newest = share;
      // What was not noted in between is not known.
      for (; newest < share; newest++) {
        if (share - newest > KEPT) newest = share - KEPT;
        peaks[(newest + 1) % KEPT] = NaN;
      }
      const slot = share % KEPT;
      peaks[slot] = Number.isNaN(peaks[slot]!) ? value : Math.max(peaks[slot]!, value);
      times[notes % RATED] = at;
      values[notes % RATED] = value;
      notes += 1;
    },
    values() {
      if (Number.isNaN(first)) return [];
      const from = Math.max(first, newest - KEPT + 1);
      return Array.from({ length: newest - from + 1 }, (_, at) => {
        const peak = peaks[(from + at) % KEPT]!;
        return Number.isNaN(peak) ? undefined : peak;
      });
    },
    rate() {
      if (notes < 2) return undefined;
      const last = (notes - 1) % RATED;
      let oldest = last;
      for (let back = 1; back < Math.min(notes, RATED); back++) {
        const at = (notes - 1 - back) % RATED;
        if (times[last]! - times[at]! > STALE_MS) break;
        oldest = at;
      }
      const span = times[last]! - times[oldest]!;
      return span > 0 ? 1000 * (values[last]! - values[oldest]!) / span : undefined;
    },
  };
}
