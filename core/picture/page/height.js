// @ts-check
/** How high a chart of memory reaches. */

/** A limit far above what was ever used would press everything else flat. */
const FAR = 4;

/**
 * @param {readonly number[]} peaks of usage
 * @param {readonly number[]} limits
 * @returns {number} bytes: above all that was used, and above the limits that are near
 */
export function heightFor(peaks, limits) {
  const peak = Math.max(1, ...peaks);
  const near = limits.filter((limit) => limit > 0 && limit <= FAR * peak);
  return Math.max(peak, ...near) * 1.06;
}
