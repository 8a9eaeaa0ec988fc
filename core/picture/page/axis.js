// @ts-check
/** Axes of a chart: round ticks, the value of the upper edge, and where the labels beside it stand. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Clock times need this width. */
export const MIN_PX_PER_TIME_TICK = 110;

const TIME_STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 28, 91, 364].map((n) => n * DAY),
];

/**
 * Milliseconds between two ticks; `from` and `to` are milliseconds since the epoch.
 * @type {(from: number, to: number, maxTicks: number) => number}
 */
export function timeStep(from, to, maxTicks) {
  const min = (to - from) / Math.max(1, maxTicks);
  return TIME_STEPS.find((step) => step >= min) ?? Math.ceil(min / DAY) * DAY;
}

/**
 * Bytes between two ticks, a power of two.
 * @type {(from: number, to: number, maxTicks: number) => number}
 */
export function byteStep(from, to, maxTicks) {
  const min = Math.max(1, (to - from) / Math.max(1, maxTicks));
  const unit = 1024 ** Math.floor(Math.log2(min) / 10);
  return [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    .map((factor) => factor * unit).find((step) => step >= min) ?? unit * 1024;
}

/** Percent between two ticks; `max` is at the upper edge. @type {(max: number) => number} */
export function percentStep(max) {
  return [1, 2, 5, 10, 25, 50, 100].find((step) => max / step <= 5) ?? max / 4;
}

/** Every multiple of `step` between them. @type {(from: number, to: number, step: number) => number[]} */
export function ticksBetween(from, to, step) {
  const ticks = [];
  const first = Math.ceil(from / step);
  for (let at = first; at * step <= to && ticks.length < 200; at++) ticks.push(at * step);
  return ticks;
}

/** A limit further above the peak is not drawn: it would press the curves flat. */
const MAX_LIMIT_TO_PEAK = 4;
/** Space above the highest value. */
const HEIGHT_FACTOR = 1.06;

/** 0 without values. @type {(values: Float64Array) => number} */
export const maxOf = (values) => values.reduce((max, value) => Math.max(max, value), 0);

/**
 * Bytes at the upper edge: above all usage, and above the limits that are near it.
 * @type {(peaks: readonly number[], limits: readonly number[]) => number}
 */
export function heightFor(peaks, limits) {
  const peak = Math.max(1, ...peaks);
  const near = limits.filter((limit) => limit > 0 && limit <= MAX_LIMIT_TO_PEAK * peak);
  return Math.max(peak, ...near) * HEIGHT_FACTOR;
}

/**
 * Percent at the upper edge; `min` is always visible.
 * @type {(peaks: readonly number[], min: number) => number}
 */
export function shareHeight(peaks, min) {
  return Math.max(min, ...peaks) * HEIGHT_FACTOR;
}

/**
 * Moves labels apart, each as little as possible.
 * @template {{ y: number }} T
 * @param {readonly T[]} labels at the height of their values
 * @param {number} gap minimum between two labels
 * @param {number} top
 * @param {number} bottom
 * @returns {(T & { at: number })[]} from top to bottom; `at` is the height of the label. Labels without room are left out.
 */
export function spread(labels, gap, top, bottom) {
  const count = Math.max(0, Math.floor((bottom - top) / gap) + 1);
  const placed = labels.slice(0, count).map((label) => ({ ...label, at: label.y }))
    .sort((a, b) => a.y - b.y);
  let lowest = top;
  for (const label of placed) {
    label.at = Math.max(label.at, lowest);
    lowest = label.at + gap;
  }
  let highest = bottom;
  for (const label of placed.toReversed()) {
    label.at = Math.min(label.at, highest);
    highest = label.at - gap;
  }
  return placed;
}
