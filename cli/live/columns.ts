/** The columns of the list: which ones fit, and how wide they are. Pure. */

import { shareOf } from "../../core/policy/check.ts";
import { shortBytes, shortRate, shortTime } from "../options/units.ts";
import { fullnessOf, sparkline, usageBar } from "../terminal/bars.ts";
import type { Capabilities } from "../terminal/capabilities.ts";
import type { Palette } from "../terminal/palette.ts";
import { ascii, filled, shortName } from "../terminal/width.ts";
import { type Row, stateOf } from "./rows.ts";

/** From left to right. */
const COLUMNS = {
  name: { title: "CGROUP", align: "left" },
  usage: { title: "USAGE", align: "left" },
  full: { title: "%", align: "right" },
  history: { title: "LAST 3 MIN", align: "left" },
  left: { title: "LEFT", align: "right" },
  rate: { title: "RATE", align: "right" },
  time: { title: "LIMIT IN", align: "right" },
  pressure: { title: "PSI % SOME/FULL", align: "right" },
  counts: { title: "HIT/OOM/KILL/ACT", align: "right" },
  state: { title: "STATE", align: "left" },
} as const;

type ColumnName = keyof typeof COLUMNS;

export interface Column {
  readonly name: ColumnName;
  readonly width: number;
}

/** Columns and minimum widths by priority: each step is taken if it fits, also after one that did not. */
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
  ["history", 12],
  ["pressure", 15],
  ["counts", 16],
];

/** The columns that share the remaining width, in this order, up to these widths. */
const GROWTH: readonly (readonly [ColumnName, number])[] = [
  ["name", 28],
  ["usage", 20],
  ["history", 20],
  ["name", 48],
  ["usage", 40],
  ["history", 60],
  ["name", 1000],
];

/**
 * @param width of the screen without the selection mark
 * @param longest columns of the longest path
 */
export function columnsFor(
  width: number,
  { hasPressure, longest }: { readonly hasPressure: boolean; readonly longest: number },
): Column[] {
  const widths = new Map<ColumnName, number>();
  let left = width + 1;
  for (const [name, min] of STEPS) {
    if (name === "pressure" && !hasPressure) continue;
    const before = widths.get(name);
    const requested = widths.size === 0 ? Math.min(min, width) : min;
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

export function titlesOf(columns: readonly Column[]): string {
  return columns.map(({ name, width }) => {
    const { title, align } = COLUMNS[name];
    return filled(title, width, align, "");
  }).join(" ");
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
      case "history": {
        const scale = { max: row.limit, unicode: can.unicode };
        return palette(
          fullness === "plain" ? "cold" : fullness,
          sparkline(row.history, width, scale),
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

type Figure = Exclude<ColumnName, "name" | "usage" | "history" | "state">;

function figureOf({ usage, limit, headroom, rate, timeLeft, pressure, counts }: Row, name: Figure) {
  switch (name) {
    case "full": {
      const share = shareOf(usage, limit, 100);
      if (share === undefined) return shortBytes(usage);
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
    case "counts":
      return [counts.hits, counts.ooms, counts.kills, counts.actions].map(shortCount).join("/");
  }
}

const shortCount = (count: number) =>
  count < 10_000 ? String(count) : count < 1e7 ? `${Math.floor(count / 1000)}k` : "many";
