// @ts-check
/** Labels beside the right edge of a chart: each as near to its line as the others leave it room. */

/**
 * @template {{ y: number }} T
 * @param {readonly T[]} labels at the height of what they name
 * @param {number} gap the least between two
 * @param {number} top
 * @param {number} bottom
 * @returns {(T & { at: number })[]} from top to bottom; `at` is where the label stands. Those that find no room are left out.
 */
export function spread(labels, gap, top, bottom) {
  const most = Math.max(0, Math.floor((bottom - top) / gap) + 1);
  const placed = labels.slice(0, most).map((label) => ({ ...label, at: label.y }))
    .sort((a, b) => a.y - b.y);
  let least = top;
  for (const label of placed) {
    label.at = Math.max(label.at, least);
    least = label.at + gap;
  }
  let highest = bottom;
  for (const label of placed.toReversed()) {
    label.at = Math.min(label.at, highest);
    highest = label.at - gap;
  }
  return placed;
}
