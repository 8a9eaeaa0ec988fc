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
 * The highest value of each column on a grid that all curves share. Without it, joining many curves takes every time of one curve
 * into all others. `width` is that of a column.
 * @type {(line: { t: readonly number[], v: readonly (number | null)[] }, from: number, width: number) => { t: number[], v: (number | null)[] }}
 */
export function snapped({ t, v }, from, width) {
  /** @type {Map<number, number | null>} */
  const highest = new Map();
  t.forEach((at, index) => {
    const column = Math.round((at - from) / width);
    const value = v[index] ?? null;
    const before = highest.get(column) ?? null;
    highest.set(column, before === null || (value !== null && value > before) ? value : before);
  });
  return {
    t: [...highest.keys()].map((column) => from + column * width),
    v: [...highest.values()],
  };
}
