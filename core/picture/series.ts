/**
 * Values over time in bounded memory: each holds until the next one. A series that is full is halved: each interval keeps its first
 * and last value, its minimum and maximum, so that no peak is lost and no value is held too long. Pure.
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

/** Between two samples. */
const MS_OF_SPIKE = 0.001;

/** Adds a value that no sample has shown, at a time within the series: the value before it holds again after it. */
export function addSpike(series: Series, at: number, value: number): void {
  const { t, v, length } = series;
  let index = length;
  while (index > 0 && t[index - 1]! > at) index--;
  if (index === 0) return;
  const points = [[at, value], [at + MS_OF_SPIKE, v[index - 1]!]] as const;
  for (const [at, value] of points) insert(series, at, value);
}

/** At the place of its time. */
function insert(series: Series, at: number, value: number): void {
  append(series, at, value);
  const { t, v, length } = series;
  let index = length - 1;
  while (index > 0 && t[index - 1]! > at) index--;
  t.copyWithin(index + 1, index, length - 1);
  v.copyWithin(index + 1, index, length - 1);
  t[index] = at;
  v[index] = value;
}

/** A value that did not change is not recorded: the last one holds until `end`. */
export function hold(series: Series, end: number): void {
  const { t, v, length } = series;
  if (length > 0 && t[length - 1]! < end) append(series, end, v[length - 1]!);
}

function grow(series: Series, maxPoints: number): void {
  const size = Math.max(series.length + 1, Math.min(maxPoints, 2 * series.length));
  for (const key of ["t", "v"] as const) {
    series[key] = new Float64Array(
      series[key].buffer.transfer(size * Float64Array.BYTES_PER_ELEMENT),
    );
  }
}

/** Keeps the first, the last, the minimum and the maximum of every eight points, in order. */
export function halve(series: Series): void {
  const { t, v, length } = series;
  let count = 0;
  const keep = (at: number) => {
    t[count] = t[at]!;
    v[count] = v[at]!;
    count++;
  };
  for (let at = 0; at < length; at += 8) {
    const end = Math.min(at + 8, length);
    let lowest = at;
    let highest = at;
    for (let next = at + 1; next < end; next++) {
      if (v[next]! < v[lowest]!) lowest = next;
      if (v[next]! >= v[highest]!) highest = next;
    }
    const kept = new Set([at, lowest, highest, end - 1]);
    for (const index of [...kept].sort((a, b) => a - b)) keep(index);
  }
  series.length = count;
}
