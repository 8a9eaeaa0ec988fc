/** The lower edge of a plot: how far apart its times stand, and how they are written. Pure. */

export interface Tick {
  /** Milliseconds after the left edge. */
  readonly at: number;
  readonly column: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Columns that a label and the room behind it take. */
const APART = 12;
/** Steps that people count by, milliseconds. */
const ROUND_SECONDS = [1, 2, 5, 10, 30].map((n) => n * SECOND);
const ROUND_MINUTES = [1, 2, 5, 10, 30].map((n) => n * MINUTE);
const ROUND_HOURS = [1, 2, 6, 12, 24].map((n) => n * HOUR);
const ROUND = [...ROUND_SECONDS, ...ROUND_MINUTES, ...ROUND_HOURS];

/**
 * Milliseconds from one tick to the next, such that their labels stand apart.
 * @param span milliseconds from the left edge to the right
 */
export function gapOf(span: number, columns: number): number {
  const least = span * APART / columns;
  if (!(least > 0)) return SECOND;
  if (least < SECOND) {
    const power = 10 ** Math.floor(Math.log10(least));
    return [1, 2, 5, 10].map((n) => n * power).find((gap) => gap >= least)!;
  }
  const days = 24 * HOUR;
  return ROUND.find((gap) => gap >= least) ?? Math.ceil(least / days) * days;
}

/** Times at which a tick stands, the left edge included. */
export function ticksOf(span: number, gap: number): number[] {
  return Array.from({ length: Math.floor(span / gap * (1 + 1e-9)) + 1 }, (_, n) => n * gap);
}

export function axisRow(ticks: readonly Tick[], columns: number, unicode: boolean): string {
  const [corner, dash, tick] = unicode ? "┼─┬" : "+-+";
  const row = Array.from({ length: columns }, () => dash!);
  for (const { at, column } of ticks) if (at > 0) row[column] = tick!;
  return corner + row.join("");
}

/** Beneath its tick each, the last as near to it as the edge allows; one without room is left out. */
export function tickRow(ticks: readonly Tick[], gap: number, columns: number): string {
  let row = "";
  for (const { at, column } of ticks) {
    const label = timeLabel(at, gap);
    const centred = column - Math.floor(label.length / 2);
    const from = Math.max(0, Math.min(centred, columns - label.length));
    if (label.length > columns || (row !== "" && from <= row.length)) continue;
    row = row.padEnd(from) + label;
  }
  return row;
}

/** `0`, `0.5 ms`, `20 ms`, `3 s`, `1:30 min`, `2:00 h`; as exact as the distance of the ticks needs it. */
export function timeLabel(at: number, gap: number): string {
  if (at === 0) return "0";
  if (gap < SECOND && at < SECOND) return `${fixed(at, gap)} ms`;
  if (at < MINUTE) return `${fixed(at / SECOND, gap / SECOND)} s`;
  if (at < HOUR) return `${clock(at / MINUTE)} min`;
  return `${clock(at / HOUR)} h`;
}

function fixed(value: number, step: number): string {
  return value.toFixed(step >= 1 ? 0 : Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
}

function clock(units: number): string {
  const whole = Math.floor(units + 1e-9);
  return `${whole}:${String(Math.round((units - whole) * 60)).padStart(2, "0")}`;
}
