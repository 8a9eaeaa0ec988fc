// @ts-check
/** Fewer points of the same shape: of each stretch the first, the last, the least and the most stay. */

/**
 * The first place in `times`, which rise, that is not before `at`.
 * @param {ArrayLike<number>} times
 * @param {number} at
 * @param {number} [length]
 * @returns {number}
 */
export function placeOf(times, at, length = times.length) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {number} */ (times[middle]) < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * What a picture of `stretches` columns needs of a series, with a point beyond either edge, where there is one.
 *
 * @param {ArrayLike<number>} times rise
 * @param {ArrayLike<number>} values
 * @param {number} from the left edge
 * @param {number} to the right edge
 * @param {number} stretches
 * @returns {{ t: number[], v: number[] }} at most 4 × stretches + 2 points
 */
export function thin(times, values, from, to, stretches) {
  const begin = Math.max(0, placeOf(times, from) - 1);
  const end = Math.min(times.length, placeOf(times, to) + 1);
  /** @type {number[]} */
  const t = [];
  /** @type {number[]} */
  const v = [];
  const keep = (/** @type {number} */ at) => {
    t.push(/** @type {number} */ (times[at]));
    v.push(/** @type {number} */ (values[at]));
  };
  if (end - begin <= 4 * stretches) {
    for (let at = begin; at < end; at++) keep(at);
    return { t, v };
  }
  const width = (to - from) / stretches;
  for (let at = begin; at < end;) {
    const edge = from +
      (Math.floor((/** @type {number} */ (times[at]) - from) / width) + 1) * width;
    let least = at;
    let most = at;
    let last = at;
    for (let next = at + 1; next < end; next++) {
      if (/** @type {number} */ (times[next]) >= edge) break;
      const value = /** @type {number} */ (values[next]);
      if (value < /** @type {number} */ (values[least])) least = next;
      if (value > /** @type {number} */ (values[most])) most = next;
      last = next;
    }
    for (const place of [...new Set([at, least, most, last])].sort((a, b) => a - b)) keep(place);
    at = last + 1;
  }
  return { t, v };
}

/**
 * The same on a grid that all lines share, with the most of each column: where there are many lines, each moment of one of
 * them would have to be looked at in all the others.
 *
 * @param {{ t: readonly number[], v: readonly (number | null)[] }} line
 * @param {number} from
 * @param {number} width of a column
 * @returns {{ t: number[], v: (number | null)[] }}
 */
export function snapped({ t, v }, from, width) {
  /** @type {Map<number, number | null>} */
  const columns = new Map();
  t.forEach((at, place) => {
    const column = Math.round((at - from) / width);
    const value = v[place] ?? null;
    const before = columns.get(column) ?? null;
    columns.set(column, before === null || (value !== null && value > before) ? value : before);
  });
  return {
    t: [...columns.keys()].map((column) => from + column * width),
    v: [...columns.values()],
  };
}
