/**
 * Values over time in bounded memory. A series that is full is halved: each interval keeps its minimum and maximum, so that no peak
 * is lost. Pure.
 */

export interface Series {
  /** Milliseconds since the epoch, rising; only the first `length` are valid. */
  t: Float64Array<ArrayBuffer>;
  v: Float64Array<ArrayBuffer>;
  length: number;
}

/** A browser draws and searches as many without delay; docs/pictures.md has the measurements. */
export const MAX_POINTS = 100_000;

/** Small, because most cgroups of a machine are short-lived. */
const INITIAL_CAPACITY = 8;

export function emptySeries(): Series {
  return {
    t: new Float64Array(INITIAL_CAPACITY),
    v: new Float64Array(INITIAL_CAPACITY),
    length: 0,
  };
}

/** Times never go back, even if the clock was set back. */
export function append(series: Series, at: number, value: number, maxPoints = MAX_POINTS): void {
  if (series.length >= maxPoints) halve(series);
  if (series.length === series.t.length) grow(series, maxPoints);
  const before = series.t[series.length - 1] ?? -Infinity;
  series.t[series.length] = Math.max(at, before);
  series.v[series.length] = value;
  series.length++;
}

function grow(series: Series, maxPoints: number): void {
  const size = Math.max(series.length + 1, Math.min(maxPoints, 2 * series.length));
  for (const key of ["t", "v"] as const) {
    series[key] = new Float64Array(
      series[key].buffer.transfer(size * Float64Array.BYTES_PER_ELEMENT),
    );
  }
}

/** Keeps the minimum and the maximum of every four points, and the first and the last point, in order. */
export function halve(series: Series): void {
  const { t, v, length } = series;
  let kept = 0;
  const keep = (at: number) => {
    t[kept] = t[at]!;
    v[kept] = v[at]!;
    kept++;
  };
  for (let at = 0; at < length; at += 4) {
    const end = Math.min(at + 4, length);
    let lowest = at;
    let highest = at;
    for (let next = at + 1; next < end; next++) {
      if (v[next]! < v[lowest]!) lowest = next;
      if (v[next]! >= v[highest]!) highest = next;
    }
    if (at === 0 && Math.min(lowest, highest) !== 0) keep(0);
    if (lowest !== highest) keep(Math.min(lowest, highest));
    keep(Math.max(lowest, highest));
    if (end === length && Math.max(lowest, highest) !== length - 1) keep(length - 1);
  }
  series.length = kept;
}
