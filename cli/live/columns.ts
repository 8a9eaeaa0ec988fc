/** The columns of the list: which ones fit, and how wide they are. Pure. */

import { shareOf } from "../../core/policy/check.ts";
import { shortBytes, shortRate, shortTime } from "../options/units.ts";
import { fullnessOf, sparkline, usageBar } from "../terminal/bars.ts";
import type { Capabilities } from "../terminal/capabilities.ts";
import type { Palette, Role } from "../terminal/palette.ts";
import { ascii, filled, visible } from "../terminal/width.ts";
import type { Sort } from "./order.ts";
import { killsIn, type Row, stateOf } from "./rows.ts";

interface Heading {
  readonly title: string;
  /** Where there is room for it. */
  readonly longTitle?: string;
  readonly align: "left" | "right";
  /** The order that sorts by this column. */
  readonly sort?: Sort;
}

/** From left to right. */
const COLUMNS = {
  name: { title: "CGROUP", align: "left", sort: "name" },
  usage: { title: "USAGE", align: "right", sort: "usage" },
  limit: { title: "LIMIT", align: "right" },
  full: { title: "%", align: "right", sort: "full" },
  bar: { title: "", align: "left" },
  history: { title: "", align: "left" },
  left: { title: "LEFT", align: "right", sort: "left" },
  rate: { title: "RATE", align: "right", sort: "rate" },
  time: { title: "LIMIT IN", align: "right", sort: "time" },
  pressure: { title: "PSI % SOME/FULL", align: "right", sort: "pressure" },
  hits: { title: "HITS/OOMS", longTitle: "LIMIT HITS/OOMS", align: "right" },
  // Beside the guard's column it has a title that tells them apart.
  kills: { title: "KILLS", align: "right", sort: "counts" },
  guard: { title: "GUARD", align: "right", sort: "counts" },
  state: { title: "STATE", align: "left" },
} as const satisfies Readonly<Record<string, Heading>>;

type ColumnName = keyof typeof COLUMNS;

export interface Column {
  readonly name: ColumnName;
  readonly width: number;
}

const KILLS_WIDTH = "KERNEL KILLS".length;
const GUARD_KILLS_WIDTH = "GUARD KILLS".length;

/** Columns and minimum widths by priority: each step is taken if it fits, also after one that did not. */
const STEPS: readonly (readonly [ColumnName, number])[] = [
  ["name", 10],
  ["usage", 6],
  ["limit", 6],
  ["full", 5],
  ["guard", 5],
  ["kills", 6],
  ["time", 8],
  ["state", 9],
  ["left", 6],
  ["name", 16],
  ["rate", 8],
  ["bar", 10],
  ["name", 24],
  ["history", 10],
  ["pressure", 15],
  ["hits", 9],
  ["kills", KILLS_WIDTH],
  ["guard", GUARD_KILLS_WIDTH],
];

/** The columns that share the remaining width, in this order, up to these widths. */
const GROWTH: readonly (readonly [ColumnName, number])[] = [
  ["name", 28],
  ["bar", 20],
  ["history", 20],
  ["name", 48],
  ["hits", 15],
  ["bar", 40],
  ["history", 60],
  ["name", 1000],
];

export interface Contents {
  readonly hasPressure: boolean;
  readonly hasGuard: boolean;
  /** Columns of the longest name. */
  readonly longest: number;
}

/** @param width of the screen without the selection mark */
export function columnsFor(
  width: number,
  { hasPressure, hasGuard, longest }: Contents,
): Column[] {
  const widths = new Map<ColumnName, number>();
  let left = width + 1;
  for (const [name, min] of STEPS) {
    if (name === "pressure" && !hasPressure || name === "guard" && !hasGuard) continue;
    if (name === "kills" && min === KILLS_WIDTH && !hasGuard) continue;
    const before = widths.get(name);
    const enough = name === "name" ? Math.min(min, Math.max(longest, 10)) : min;
    const requested = widths.size === 0 ? Math.min(enough, width) : enough;
    const needed = before === undefined ? requested + 1 : requested - before;
    if (needed > left) continue;
    widths.set(name, requested);
    left -= needed;
  }
  for (const [name, max] of GROWTH) {
    const now = widths.get(name);
    if (now === undefined) continue;
    const enough = name === "name" ? Math.min(max, Math.max(now, longest)) : max;
    const more = Math.max(0, Math.min(left, enough - now));
    widths.set(name, now + more);
    left -= more;
  }
  return (Object.keys(COLUMNS) as ColumnName[]).flatMap((name) => {
    const width = widths.get(name);
    return width === undefined || width < 1 ? [] : [{ name, width }];
  });
}

/** The headings as one line; that of the order is marked. */
export function titlesOf(
  columns: readonly Column[],
  { sort, historyTitle }: { readonly sort: Sort; readonly historyTitle: string },
  palette: Palette,
): string {
  return columns.map(({ name, width }, at) => {
    const { title: own, longTitle, align, sort: ownSort } = headingOf(name, columns);
    const title = name === "history" ? historyTitle : own;
    const shown = longTitle !== undefined && longTitle.length <= width ? longTitle : title;
    const space = at === 0 ? "" : palette("title", " ");
    return space + palette(ownSort === sort ? "sorted" : "title", filled(shown, width, align, ""));
  }).join("");
}

function headingOf(name: ColumnName, columns: readonly Column[]): Heading {
  const widthOf = (name: ColumnName) => columns.find((column) => column.name === name)?.width ?? 0;
  const heading: Heading = COLUMNS[name];
  if (name !== "kills" && name !== "guard" || widthOf("guard") === 0) return heading;
  // Both have the long title or neither.
  const isLong = widthOf("kills") >= KILLS_WIDTH && widthOf("guard") >= GUARD_KILLS_WIDTH;
  const killer = name === "guard" ? "GUARD" : "KERNEL";
  return { ...heading, title: isLong ? `${killer} KILLS` : killer };
}

interface Drawing {
  /** The name of the cgroup as text of at most `width` columns. */
  name(width: number): string;
  readonly can: Pick<Capabilities, "unicode">;
  readonly palette: Palette;
}

export function cellsOf(row: Row, columns: readonly Column[], drawing: Drawing): string {
  const { can, palette } = drawing;
  const [first, ...others] = columns;
  if (first !== undefined && row.isRemoved && killsIn(row.counts) > 0) {
    const room = others.reduce((sum, { width }) => sum + width + 1, -1);
    const text = room < 1 ? "" : ` ${filled(removedText(row, can.unicode), room)}`;
    return cellOf(row, first, "dim", drawing) + palette("bad", text);
  }
  const fullness = row.isRemoved ? "dim" : fullnessOf(row.usage, row.limit, row.marks);
  return columns.map((column) => cellOf(row, column, fullness, drawing)).join(" ");
}

function cellOf(
  row: Row,
  { name, width }: Column,
  fullness: Role,
  drawing: Drawing,
): string {
  const { can, palette } = drawing;
  switch (name) {
    case "name": {
      const text = filled(drawing.name(width), width);
      return row.isRemoved ? palette("dim", text) : text;
    }
    case "bar":
      return usageBar(row, width, can, palette, fullness);
    case "history": {
      const scale = { max: row.limit, unicode: can.unicode };
      const role = fullness === "plain" ? "cold" : fullness;
      return palette(role, sparkline(row.history, width, scale));
    }
    case "state": {
      const { word, role } = stateOf(row);
      return palette(role, filled(word, width));
    }
    default: {
      const text = figureOf(row, name);
      return palette(
        roleOf(row, name, fullness),
        filled(can.unicode ? text : ascii(text), width, "right"),
      );
    }
  }
}

/** `guard killed 2: tail (4242) at 62.8M of 64.0M · removed 12s ago` */
function removedText({ counts, removedFor = 0 }: Row, unicode: boolean): string {
  const { kills, actions, kernelVictim, guardVictim } = counts;
  const killed = (by: string, count: number, victim: string | undefined) =>
    count === 0
      ? []
      : [`${by} killed ${count}${victim === undefined ? "" : `: ${visible(victim, unicode)}`}`];
  return [
    ...killed("guard", actions, guardVictim),
    ...killed("kernel", kills, kernelVictim),
    `removed ${Math.round(removedFor)}s ago`,
  ].join(unicode ? " · " : " | ");
}

type Figure = Exclude<ColumnName, "name" | "bar" | "history" | "state">;

function roleOf({ counts, isRemoved, limit }: Row, name: Figure, fullness: Role): Role {
  if (isRemoved) return "dim";
  switch (name) {
    case "full":
      return fullness;
    case "limit":
      return Number.isFinite(limit) ? "plain" : "dim";
    case "kills":
      return counts.kills > 0 ? "bad" : "dim";
    case "guard":
      return counts.actions > 0 ? "hot" : "dim";
    case "hits":
      return counts.hits + counts.ooms > 0 ? "plain" : "dim";
    default:
      return "plain";
  }
}

function figureOf({ usage, limit, headroom, rate, timeLeft, pressure, counts }: Row, name: Figure) {
  switch (name) {
    case "usage":
      return shortBytes(usage);
    case "limit":
      return Number.isFinite(limit) ? shortBytes(limit) : "none";
    case "full": {
      const share = shareOf(usage, limit, 100);
      if (share === undefined) return "–";
      // Rounded down: usage below the limit is not 100 %.
      const percent = Math.floor(share);
      return `${percent > 999 ? ">999" : percent}%`;
    }
    case "left":
      return shortBytes(headroom);
    case "rate":
      return shortRate(rate);
    case "time":
      return shortTime(timeLeft);
    case "pressure": {
      const avg10 = (line: { readonly avg10: number } | undefined) => line?.avg10.toFixed(1) ?? "–";
      return pressure === undefined ? "–" : `${avg10(pressure.some)}/${avg10(pressure.full)}`;
    }
    case "hits":
      return [counts.hits, counts.ooms].map(shortCount).join("/");
    case "kills":
      return shortCount(counts.kills);
    case "guard":
      return shortCount(counts.actions);
  }
}

const shortCount = (count: number) =>
  count < 10_000 ? String(count) : count < 1e7 ? `${Math.floor(count / 1000)}k` : "many";
