/** How long something took, in buckets. Pure. */

import type { HistogramSample } from "./text.ts";

/**
 * Seconds. A kill is under way after 0.05 to 2 ms (docs/performance.md), is over after 3 to 30 ms, and after seconds with
 * a grace period.
 */
export const LATENCY_BOUNDS: readonly number[] = [
  0.00005,
  0.0001,
  0.00025,
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
];

export interface Histogram {
  /** What is no number is not counted. */
  observe(value: number): void;
  sample(labels: string): HistogramSample;
}

export function createHistogram(bounds: readonly number[] = LATENCY_BOUNDS): Histogram {
  const counts = Array.from({ length: bounds.length + 1 }, () => 0);
  let sum = 0;
  return {
    observe(value) {
      if (!Number.isFinite(value)) return;
      const at = bounds.findIndex((bound) => value <= bound);
      counts[at < 0 ? bounds.length : at]! += 1;
      sum += value;
    },
    sample: (labels) => ({ labels, bounds, counts: [...counts], sum }),
  };
}
