/** The lower edge of a plot: how far apart its times stand, and how they are written. Pure. */

import type { Palette, Role } from "./palette.ts";

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

/* A size over time as rows of characters: an area, lines across it, marks beneath it. Pure. */

/** One measurement. */
export interface Point {
  /** Milliseconds after the left edge. */
  readonly at: number;
  /** Bytes. */
  readonly value: number;
}

/** A size that is drawn across, such as a limit. */
export interface Level {
  readonly value: number;
  /** As it stands at the left edge. */
  readonly label: string;
  readonly role: Role;
  /** Double, and crossed out where a mark says so. */
  readonly isLimit: boolean;
}

/** A moment that is told beneath. */
export interface Mark {
  /** Milliseconds after the left edge. */
  readonly at: number;
  readonly label: string;
  readonly role: Role;
  /** Crosses out the limit. */
  readonly isEnd?: true;
}

export interface Plot {
  /**
   * In the order of time. From one to a higher one usage is taken to have risen evenly, to a lower one to have fallen at once:
   * what is freed is mostly freed so. Outside of them nothing is drawn.
   */
  readonly points: readonly Point[];
  readonly levels: readonly Level[];
  readonly marks: readonly Mark[];
  /** Milliseconds from the left edge to the right. */
  readonly span: number;
  /** Columns of everything. */
  readonly width: number;
  /** Rows of the area alone. */
  readonly height: number;
  readonly unicode: boolean;
  readonly palette: Palette;
  /** The colour of what lies at so many bytes. */
  readonly fullness: (value: number) => Role;
}

/** Rows of marks; what finds no room there is left out, since the events tell it too. */
const MAX_MARK_ROWS = 3;
/** With fewer columns nothing can be recognized. */
const FEWEST_COLUMNS = 10;

const UNICODE = { area: " ▁▂▃▄▅▆▇█", limit: "━", level: "╌", end: "✕", edge: "┤", mark: "▲" };
/** Beneath its upper edge an area is lighter, so that the edge is what is seen. */
const ASCII = { area: " ......##", limit: "=", level: "-", end: "X", edge: "|", mark: "^" };

type Cell = readonly [Role, string];

/** @returns no line at all where there is nothing to draw, or no room for it. */
export function plotLines(plot: Plot): string[] {
  const { points, levels, height, unicode, palette } = plot;
  const top = Math.max(0, ...points.map(({ value }) => value), ...levels.map((each) => each.value));
  const gutter = Math.max(1, ...levels.map(({ label }) => label.length));
  const columns = plot.width - gutter - 2;
  if (points.length === 0 || top === 0 || columns < FEWEST_COLUMNS || height < 1) return [];
  const set = unicode ? UNICODE : ASCII;
  const heights = columnHeights(points, plot.span, columns).map((value) =>
    value === undefined ? undefined : value / top * height
  );
  // What lies at the very top has a row of its own, above all that is in use.
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
    lines.push(`${level ? palette(level.role, label) : label} ${set.edge}${paint(cells, palette)}`);
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
  // In ASCII a filled cell under another one is lighter than the topmost.
  if (!unicode && eighths > 8) return ":";
  return characters[Math.max(0, Math.min(8, eighths))]!;
}

function columnOf(at: number, span: number, columns: number): number {
  if (!(span > 0)) return 0;
  return Math.max(0, Math.min(columns - 1, Math.round(at / span * (columns - 1))));
}

/** The highest value in the time of each column; `undefined` ahead of the first point and behind the last. */
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

/** Neighbours that look alike are coloured at once. */
function paint(cells: readonly Cell[], palette: Palette): string {
  const end = cells.findLastIndex(([, character]) => character !== " ") + 1;
  let text = "";
  for (let from = 0, to = 0; from < end; from = to) {
    const [role] = cells[from]!;
    while (to < end && cells[to]![0] === role) to++;
    text += palette(role, cells.slice(from, to).map(([, character]) => character).join(""));
  }
  return text;
}

/** A mark in its row, and the columns that it takes. */
interface Placed {
  readonly mark: Mark;
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** Beneath its moment each; what crosses out the limit is what one looks for, and has the first choice where not all find room. */
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

/** Each in the first row that has room for it. */
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
