/**
 * A size over time as rows of characters: the area below the curve, horizontal lines for limits and thresholds, a time axis, and
 * labelled marks below it. Pure.
 */

import { type Cell, paint, type Palette, type Role } from "./palette.ts";

/** One measurement. */
interface Point {
  /** Milliseconds after the left edge. */
  readonly at: number;
  /** Bytes. */
  readonly value: number;
}

/** A horizontal line, such as a limit. */
export interface Level {
  readonly value: number;
  /** Shown at the left edge. */
  readonly label: string;
  readonly role: Role;
  /** Drawn bold, and crossed out at marks with `isEnd`. */
  readonly isLimit: boolean;
}

/** An event that is named below the axis. */
export interface Mark {
  /** Milliseconds after the left edge. */
  readonly at: number;
  readonly label: string;
  readonly role: Role;
  /** Crosses out the limit, as a kill does. */
  readonly isEnd?: true;
}

export interface Plot {
  /**
   * By time. The curve rises evenly to a higher point and drops vertically to a lower one, because memory is mostly freed in one
   * step. Nothing is drawn before the first point and after the last.
   */
  readonly points: readonly Point[];
  readonly levels: readonly Level[];
  readonly marks: readonly Mark[];
  /** Milliseconds from the left edge to the right. */
  readonly span: number;
  /** Columns in total. */
  readonly width: number;
  /** Rows of the area without axis and marks. */
  readonly height: number;
  readonly unicode: boolean;
  readonly palette: Palette;
  /** The colour at a height in bytes. */
  readonly fullness: (value: number) => Role;
}

/** Marks without room in these rows are left out: the event list has them too. */
const MAX_MARK_ROWS = 3;
/** Below it no curve can be recognised. */
const MIN_COLUMNS = 10;

const UNICODE = { area: " ▁▂▃▄▅▆▇█", limit: "━", level: "╌", end: "✕", edge: "┤", mark: "▲" };
/** The area is lighter below its upper edge, so that the edge stands out. */
const ASCII = { area: " ......##", limit: "=", level: "-", end: "X", edge: "|", mark: "^" };

/** @returns no lines if there is nothing to draw, or no room */
export function plotLines(plot: Plot): string[] {
  const { points, levels, height, unicode, palette } = plot;
  const top = Math.max(0, ...points.map(({ value }) => value), ...levels.map((each) => each.value));
  const gutter = Math.max(1, ...levels.map(({ label }) => label.length));
  const columns = plot.width - gutter - 2;
  if (points.length === 0 || top === 0 || columns < MIN_COLUMNS || height < 1) return [];
  const set = unicode ? UNICODE : ASCII;
  const heights = columnHeights(points, plot.span, columns).map((value) =>
    value === undefined ? undefined : value / top * height
  );
  // A line at the very top gets a row of its own above the area.
  const rowOf = (value: number) => Math.floor(value / top * height);
  const rows = levels.some(({ value }) => rowOf(value) >= height) ? height + 1 : height;
  const lines: string[] = [];
  for (let row = rows - 1; row >= 0; row--) {
    const level = levels.findLast(({ value }) => rowOf(value) === row);
    const cells = heights.map((filled, column): Cell => {
      const area = areaCharacter(filled, row, unicode);
      if (area !== " ") return [plot.fullness((row + 0.5) / height * top), area];
      if (level === undefined) return ["plain", " "];
      const ends = level.isLimit &&
        plot.marks.some((mark) => mark.isEnd && columnOf(mark.at, plot.span, columns) === column);
      if (ends) return ["bad", set.end];
      return [level.role, level.isLimit ? set.limit : set.level];
    });
    const label = (level?.label ?? "").padStart(gutter);
    const end = cells.findLastIndex(([, character]) => character !== " ") + 1;
    const area = paint(cells.slice(0, end), palette);
    lines.push(`${level ? palette(level.role, label) : label} ${set.edge}${area}`);
  }
  const gap = gapOf(plot.span, columns);
  const ticks = ticksOf(plot.span, gap).map((at) => ({
    at,
    column: columnOf(at, plot.span, columns),
  }));
  lines.push(`${"0".padStart(gutter)} ${axisRow(ticks, columns, unicode)}`);
  const margin = " ".repeat(gutter + 2);
  lines.push((margin + palette("dim", tickRow(ticks, gap, columns))).trimEnd());
  for (const row of markRows(plot, columns, set.mark)) lines.push(margin + row);
  return lines;
}

function areaCharacter(filled: number | undefined, row: number, unicode: boolean): string {
  if (filled === undefined) return " ";
  const characters = unicode ? UNICODE.area : ASCII.area;
  const eighths = Math.round(8 * (filled - row));
  // In ASCII a filled cell below another one is lighter than the topmost.
  if (!unicode && eighths > 8) return ":";
  return characters[Math.max(0, Math.min(8, eighths))]!;
}

function columnOf(at: number, span: number, columns: number): number {
  if (!(span > 0)) return 0;
  return Math.max(0, Math.min(columns - 1, Math.round(at / span * (columns - 1))));
}

/** The highest value of each column; `undefined` before the first point and after the last. */
export function columnHeights(
  points: readonly Point[],
  span: number,
  columns: number,
): (number | undefined)[] {
  const heights: (number | undefined)[] = Array.from({ length: columns }, () => undefined);
  const raise = (column: number, value: number) => {
    heights[column] = Math.max(heights[column] ?? 0, value);
  };
  points.forEach(({ at, value }, index) => {
    const column = columnOf(at, span, columns);
    raise(column, value);
    const next = points[index + 1];
    if (next === undefined) return;
    const until = columnOf(next.at, span, columns);
    for (let between = column + 1; between < until; between++) {
      const share = (between - column) / (until - column);
      raise(between, value + share * Math.max(0, next.value - value));
    }
  });
  return heights;
}

/** A mark, and its columns from `from` up to but not including `to`. */
interface Placed {
  readonly mark: Mark;
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** Each mark below its time. Where not all have room, those with `isEnd` are placed first: they matter most. */
function markRows({ marks, span, palette }: Plot, columns: number, sign: string): string[] {
  const byTime = marks.toSorted((a, b) => a.at - b.at).flatMap((mark): Placed[] => {
    const { at, label, role } = mark;
    const column = columnOf(at, span, columns);
    const width = label.length + 2;
    const isLate = column + width > columns;
    const from = isLate ? column + 1 - width : column;
    const text = palette(role, isLate ? `${label} ${sign}` : `${sign} ${label}`);
    return from < 0 ? [] : [{ mark, from, to: from + width, text }];
  });
  const isEnd = ({ mark }: Placed) => mark.isEnd === true;
  const rows = inRows(byTime);
  const hasAll = rows.flat().filter(isEnd).length === byTime.filter(isEnd).length;
  const endsFirst = () => byTime.toSorted((a, b) => Number(isEnd(b)) - Number(isEnd(a)));
  return (hasAll ? rows : inRows(endsFirst())).map((row) => {
    let line = "";
    let width = 0;
    for (const { from, to, text } of row.toSorted((a, b) => a.from - b.from)) {
      line += " ".repeat(from - width) + text;
      width = to;
    }
    return line;
  });
}

/** Puts each mark into the first row with room for it. */
function inRows(marks: readonly Placed[]): Placed[][] {
  const rows: Placed[][] = [];
  for (const mark of marks) {
    const row = rows.find((others) =>
      others.every(({ from, to }) => to < mark.from || mark.to < from)
    );
    if (row) row.push(mark);
    else if (rows.length < MAX_MARK_ROWS) rows.push([mark]);
  }
  return rows;
}

interface Tick {
  /** Milliseconds after the left edge. */
  readonly at: number;
  readonly column: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Columns of a label and the space after it. */
const LABEL_COLUMNS = 12;
/** Round steps, milliseconds. */
const STEPS = [
  ...[1, 2, 5, 10, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 30].map((n) => n * MINUTE),
  ...[1, 2, 6, 12, 24].map((n) => n * HOUR),
];

/**
 * Milliseconds between two ticks, so that their labels do not touch.
 * @param span milliseconds from the left edge to the right
 */
export function gapOf(span: number, columns: number): number {
  const least = span * LABEL_COLUMNS / columns;
  if (!(least > 0)) return SECOND;
  if (least < SECOND) {
    const power = 10 ** Math.floor(Math.log10(least));
    return [1, 2, 5, 10].map((n) => n * power).find((gap) => gap >= least)!;
  }
  const days = 24 * HOUR;
  return STEPS.find((gap) => gap >= least) ?? Math.ceil(least / days) * days;
}

/** The times of the ticks, including the left edge. */
export function ticksOf(span: number, gap: number): number[] {
  return Array.from({ length: Math.floor(span / gap * (1 + 1e-9)) + 1 }, (_, n) => n * gap);
}

function axisRow(ticks: readonly Tick[], columns: number, unicode: boolean): string {
  const [corner, dash, tick] = unicode ? "┼─┬" : "+-+";
  const row = Array.from({ length: columns }, () => dash!);
  for (const { at, column } of ticks) if (at > 0) row[column] = tick!;
  return corner + row.join("");
}

/** Labels centred below their ticks, within the edges; a label without room is left out. */
function tickRow(ticks: readonly Tick[], gap: number, columns: number): string {
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

/** `0`, `0.5 ms`, `20 ms`, `3 s`, `1:30 min`, `2:00 h`; as precise as the distance between ticks requires. */
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
