/** A size over time as rows of characters: an area, lines across it, marks beneath it. Pure. */

import type { Palette, Role } from "./ink.ts";
import { axisRow, gapOf, tickRow, ticksOf } from "./time_axis.ts";

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
const MOST_MARK_ROWS = 3;
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
    else if (rows.length < MOST_MARK_ROWS) rows.push([mark]);
  }
  return rows;
}
