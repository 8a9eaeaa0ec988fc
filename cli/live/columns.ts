/** The columns of the list: which there are room for, and how wide each is. Pure. */

import { shortBytes, shortRate, shortTime } from "../terminal/amounts.ts";
import type { Capabilities, Palette } from "../terminal/palette.ts";
import { shortName } from "../terminal/name.ts";
import { sparkline } from "../terminal/sparkline.ts";
import { fullnessOf, usageBar } from "../terminal/usage_bar.ts";
import { ascii, filled } from "../terminal/width.ts";
import { type Row, stateOf } from "./rows.ts";

export type ColumnName =
  | "name"
  | "usage"
  | "full"
  | "course"
  | "left"
  | "rate"
  | "time"
  | "stalled"
  | "counts"
  | "state";

export interface Column {
  readonly name: ColumnName;
  readonly width: number;
}

/** Some and full of the last 10 s, percent; limit hits, OOMs, kills, a guard's deeds. */
const TITLES: Readonly<Record<ColumnName, string>> = {
  name: "CGROUP",
  usage: "USAGE",
  full: "%",
  course: "LAST 3 MIN",
  left: "LEFT",
  rate: "RATE",
  time: "LIMIT IN",
  stalled: "PSI % SOME/FULL",
  counts: "HIT/OOM/KILL/ACT",
  state: "STATE",
};

const RIGHT: readonly ColumnName[] = ["full", "left", "rate", "time", "stalled", "counts"];

/** From left to right. */
const ORDER: readonly ColumnName[] = [
  "name",
  "usage",
  "full",
  "course",
  "left",
  "rate",
  "time",
  "stalled",
  "counts",
  "state",
];

/** What is shown, and how wide at least, step by step as there is room; a step that has none is left out, but not those after it. */
const STEPS: readonly (readonly [ColumnName, number])[] = [
  ["name", 12],
  ["full", 5],
  ["usage", 8],
  ["time", 8],
  ["state", 9],
  ["left", 6],
  ["usage", 14],
  ["name", 18],
  ["rate", 10],
  ["course", 12],
  ["stalled", 15],
  ["counts", 16],
];

/** What grows with what is left over, and how far. */
const ROOMY: readonly (readonly [ColumnName, number])[] = [
  ["name", 28],
  ["usage", 20],
  ["course", 20],
  ["name", 48],
  ["usage", 40],
  ["course", 60],
  ["name", 1000],
];

/** @param width of the screen without the mark of the selected row. */
export function columnsFor(
  width: number,
  { hasPressure, longest }: { readonly hasPressure: boolean; readonly longest: number },
): Column[] {
  const widths = new Map<ColumnName, number>();
  let left = width + 1;
  for (const [name, least] of STEPS) {
    if (name === "stalled" && !hasPressure) continue;
    const before = widths.get(name);
    const requested = widths.size === 0 ? Math.min(least, width) : least;
    const needed = before === undefined ? requested + 1 : requested - before;
    if (needed > left) continue;
    widths.set(name, requested);
    left -= needed;
  }
  for (const [name, most] of ROOMY) {
    const now = widths.get(name);
    if (now === undefined) continue;
    const enough = name === "name" ? Math.min(most, Math.max(now, longest)) : most;
    const more = Math.max(0, Math.min(left, enough - now));
    widths.set(name, now + more);
    left -= more;
  }
  return ORDER.flatMap((name) => {
    const width = widths.get(name);
    return width === undefined || width < 1 ? [] : [{ name, width }];
  });
}

export function titlesOf(columns: readonly Column[]): string {
  return columns.map(({ name, width }) =>
    filled(TITLES[name], width, RIGHT.includes(name) ? "right" : "left", "")
  ).join(" ");
}

export function cellsOf(
  row: Row,
  columns: readonly Column[],
  can: Pick<Capabilities, "unicode">,
  palette: Palette,
): string {
  const fullness = row.isRemoved ? "dim" : fullnessOf(row.usage, row.limit, row.marks);
  return columns.map(({ name, width }) => {
    switch (name) {
      case "name": {
        const short = filled(shortName(row.path, width, can.unicode), width);
        return row.isRemoved ? palette("dim", short) : short;
      }
      case "usage":
        return usageBar(row, width, can, palette, fullness);
      case "course": {
        const most = { most: row.limit, unicode: can.unicode };
        return palette(
          fullness === "plain" ? "cold" : fullness,
          sparkline(row.history, width, most),
        );
      }
      case "state": {
        const { word, role } = stateOf(row);
        return palette(role, filled(word, width));
      }
      default: {
        const text = figureOf(row, name);
        return filled(can.unicode ? text : ascii(text), width, "right");
      }
    }
  }).join(" ");
}

type Figure = Exclude<ColumnName, "name" | "usage" | "course" | "state">;

function figureOf({ usage, limit, headroom, rate, timeLeft, pressure, counts }: Row, name: Figure) {
  switch (name) {
    case "full": {
      if (usage === undefined || !Number.isFinite(limit) || limit <= 0) return shortBytes(usage);
      // As a bar that is not full, what is below the limit is not 100 %.
      const percent = Math.floor(100 * usage / limit);
      return `${percent > 999 ? ">999" : percent}%`;
    }
    case "left":
      return shortBytes(headroom);
    case "rate":
      return shortRate(rate);
    case "time":
      return shortTime(timeLeft);
    case "stalled": {
      const some = (line: { readonly avg10: number } | undefined) => line?.avg10.toFixed(1) ?? "–";
      return pressure === undefined ? "–" : `${some(pressure.some)}/${some(pressure.full)}`;
    }
    case "counts":
      return [counts.hits, counts.ooms, counts.kills, counts.actions].map(shortCount).join("/");
  }
}

const shortCount = (count: number) =>
  count < 10_000 ? String(count) : count < 1e7 ? `${Math.floor(count / 1000)}k` : "many";
