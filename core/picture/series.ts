/**
 * Figures over time in bounded memory: where there are too many, every second pair of them goes, and the least and the
 * most of each stretch stay, so that no peak is lost. Pure.
 */

export interface Series {
  /** Milliseconds since the epoch, rising; only the first `length` are meant. */
  t: Float64Array;
  v: Float64Array;
  length: number;
}

/** What a browser draws and searches without a stall; docs/pictures.md has the figures. */
export const MAX_POINTS = 100_000;

/** Most cgroups of a machine come and go without being looked at often. */
const FIRST_POINTS = 8;

export function emptySeries(): Series {
  return { t: new Float64Array(FIRST_POINTS), v: new Float64Array(FIRST_POINTS), length: 0 };
}

/** What comes after the last; a clock that has been set back leaves no trace of it in the order. */
export function append(series: Series, at: number, value: number, most = MAX_POINTS): void {
  if (series.length >= most) halve(series);
  if (series.length === series.t.length) grow(series, most);
  const before = series.t[series.length - 1] ?? -Infinity;
  series.t[series.length] = Math.max(at, before);
  series.v[series.length] = value;
  series.length++;
}

function grow(series: Series, most: number): void {
  const size = Math.max(series.length + 1, Math.min(most, 2 * series.length));
  for (const key of ["t", "v"] as const) {
    const larger = new Float64Array(size);
    larger.set(series[key]);
    series[key] = larger;
  }
}

/** Of each four the least and the most stay, in their order; the first and the last of all stay too. */
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
    let least = at;
    let most = at;
    for (let next = at + 1; next < end; next++) {
      if (v[next]! < v[least]!) least = next;
      if (v[next]! >= v[most]!) most = next;
    }
    if (at === 0 && Math.min(least, most) !== 0) keep(0);
    if (least !== most) keep(Math.min(least, most));
    keep(Math.max(least, most));
    if (end === length && Math.max(least, most) !== length - 1) keep(length - 1);
  }
  series.length = kept;
}
