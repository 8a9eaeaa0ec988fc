// @ts-check
/** Where an axis has its ticks: at round clock times, and at round sizes in powers of two. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const TIME_STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 28, 91, 364].map((n) => n * DAY),
];

/**
 * @param {number} from milliseconds since the epoch
 * @param {number} to
 * @param {number} most so many fit
 * @returns {number} milliseconds
 */
export function timeStep(from, to, most) {
  const least = (to - from) / Math.max(1, most);
  return TIME_STEPS.find((step) => step >= least) ?? Math.ceil(least / DAY) * DAY;
}

/**
 * @param {number} from bytes
 * @param {number} to
 * @param {number} most
 * @returns {number} bytes
 */
export function byteStep(from, to, most) {
  const least = Math.max(1, (to - from) / Math.max(1, most));
  const unit = 1024 ** Math.floor(Math.log2(least) / 10);
  return [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    .map((factor) => factor * unit).find((step) => step >= least) ?? unit * 1024;
}

/**
 * @param {number} most percent
 * @returns {number} percent
 */
export function percentStep(most) {
  return [1, 2, 5, 10, 25, 50, 100].find((step) => most / step <= 5) ?? most / 4;
}

/**
 * @param {number} from
 * @param {number} to
 * @param {number} step
 * @returns {number[]} every multiple of `step` between them
 */
export function ticksBetween(from, to, step) {
  const ticks = [];
  const first = Math.ceil(from / step);
  for (let at = first; at * step <= to && ticks.length < 200; at++) ticks.push(at * step);
  return ticks;
}
