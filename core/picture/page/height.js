// @ts-check
/** How high a chart reaches. */

/** A limit far above what was ever used would press everything else flat. */
const FAR = 4;

/** Above the highest line a little is left. */
const ROOM = 1.06;

/**
 * @param {ArrayLike<number>} values
 * @param {number} [length]
 * @returns {number} 0 without any
 */
export function mostOf(values, length = values.length) {
  let most = 0;
  for (let at = 0; at < length; at++) most = Math.max(most, values[at] ?? 0);
  return most;
}

/**
 * @param {readonly number[]} peaks of usage
 * @param {readonly number[]} limits
 * @returns {number} bytes: above all that was used, and above the limits that are near
 */
export function heightFor(peaks, limits) {
  const peak = Math.max(1, ...peaks);
  const near = limits.filter((limit) => limit > 0 && limit <= FAR * peak);
  return Math.max(peak, ...near) * ROOM;
}

/**
 * @param {readonly number[]} peaks
 * @param {number} least is always in sight
 * @returns {number} percent
 */
export function shareHeight(peaks, least) {
  return Math.max(least, ...peaks) * ROOM;
}
