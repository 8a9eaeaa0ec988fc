// @ts-check
/** Fewer points of the same shape: each interval keeps its first, last, lowest and highest point. */

/**
 * The first index of the rising `times` that is not before `at`.
 * @type {(times: ArrayLike<number>, at: number) => number}
 */
export function indexAt(times, at) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {number} */ (times[middle]) < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The value that holds at that time, the last of several with the same time.
 * @type {(line: { t: ArrayLike<number>, v: ArrayLike<number> }, at: number) => number | undefined}
 */
export function valueAt({ t, v }, at) {
  let index = indexAt(t, at);
  while (t[index] === at) index++;
  return v[index - 1];
}

/**
 * The points that a picture of `columns` columns needs, and one beyond each edge. At most 4 × columns + 2
 * points; the times rise.
 * @type {(times: ArrayLike<number>, values: ArrayLike<number>, from: number, to: number, columns: number) => { t: number[], v: number[] }}
 */
export function thin(times, values, from, to, columns) {
  const begin = Math.max(0, indexAt(times, from) - 1);
  const end = Math.min(times.length, indexAt(times, to) + 1);
  /** @type {number[]} */
  const t = [];
  /** @type {number[]} */
  const v = [];
  const keep = (/** @type {number} */ at) => {
    t.push(/** @type {number} */ (times[at]));
    v.push(/** @type {number} */ (values[at]));
  };
  if (end - begin <= 4 * columns) {
    for (let at = begin; at < end; at++) keep(at);
    return { t, v };
  }
  const width = (to - from) / columns;
  for (let at = begin; at < end;) {
    const edge = from +
      (Math.floor((/** @type {number} */ (times[at]) - from) / width) + 1) * width;
    let lowest = at;
    let highest = at;
    let last = at;
    for (let next = at + 1; next < end; next++) {
      if (/** @type {number} */ (times[next]) >= edge) break;
      const value = /** @type {number} */ (values[next]);
      if (value < /** @type {number} */ (values[lowest])) lowest = next;
      if (value > /** @type {number} */ (values[highest])) highest = next;
      last = next;
    }
    for (const index of [...new Set([at, lowest, highest, last])].sort((a, b) => a - b)) {
      keep(index);
    }
    at = last + 1;
  }
  return { t, v };
}

/**
 * The highest value of each column on a grid that all curves share; after it the last one, which holds until the next point. Without
 * the grid, joining many curves takes every time of one curve into all others. `width` is that of a column.
 * @type {(line: { t: readonly number[], v: readonly (number | null)[] }, from: number, width: number) => { t: number[], v: (number | null)[] }}
 */
export function snapped({ t, v }, from, width) {
  /** @type {{ t: number[], v: (number | null)[] }} */
  const points = { t: [], v: [] };
  const keep = (/** @type {number} */ column, /** @type {number | null} */ value) => {
    points.t.push(from + column * width);
    points.v.push(value);
  };
  const columns = t.map((at) => Math.round((at - from) / width));
  for (let at = 0; at < t.length;) {
    const column = /** @type {number} */ (columns[at]);
    let highest = v[at] ?? null;
    let last = highest;
    for (at++; at < t.length && columns[at] === column; at++) {
      last = v[at] ?? null;
      if (highest === null || (last !== null && last > highest)) highest = last;
    }
    keep(column, highest);
    if (last !== highest && columns[at] !== column + 1) keep(column + 1, last);
  }
  return points;
}
