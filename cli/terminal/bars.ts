/** The usage of a limit as a bar, and the history of a value as a line of blocks. Pure. */

import type { Capabilities } from "./capabilities.ts";
import { type Cell, paint, type Palette, type Role } from "./palette.ts";

export interface Usage {
  /** Bytes; `undefined` if unknown. */
  readonly usage: number | undefined;
  /** Bytes: `usage` without inactive page cache, which the kernel reclaims first. */
  readonly workingSet?: number | undefined;
  /** Bytes; `Infinity` without a limit. */
  readonly limit: number;
  readonly marks: readonly UsageMark[];
}

export interface UsageMark {
  /** A guard level has its own symbol; any other name is drawn as `warn`. */
  readonly name: "warn" | "critical" | "imminent" | (string & Record<never, never>);
  readonly bytes: number;
}

const SIGNS = {
  unicode: { set: "█", idle: "▒", free: "░", warn: "┆", critical: "┇", imminent: "┃" },
  ascii: { set: "#", idle: "=", free: ".", warn: ":", critical: "!", imminent: "|" },
};

const MARKS = ["warn", "critical", "imminent"] as const;
const markOf = (name: string) => MARKS.find((mark) => mark === name) ?? "warn";

/**
 * Working set, the rest of usage, and free memory in `width` columns. Any usage gets at least one column, and usage below the limit
 * leaves at least one column free. Without a limit or usage the bar is a line of dashes.
 *
 * @param fullness the colour of the working set (default {@link fullnessOf})
 */
export function usageBar(
  { usage, workingSet, limit, marks }: Usage,
  width: number,
  { unicode }: Pick<Capabilities, "unicode">,
  palette: Palette,
  fullness: Role = fullnessOf(usage, limit, marks),
): string {
  if (width < 1) return "";
  const signs = unicode ? SIGNS.unicode : SIGNS.ascii;
  if (usage === undefined || !Number.isFinite(limit)) {
    return palette("free", (unicode ? "─" : "-").repeat(width));
  }
  const columns = (bytes: number) =>
    bytes >= limit
      ? width
      : Math.min(width - 1, Math.max(bytes > 0 ? 1 : 0, Math.round(width * bytes / limit)));
  const inUse = columns(usage);
  const set = Math.min(inUse, columns(workingSet ?? usage));
  const cells: Cell[] = Array.from(
    { length: width },
    (_, at) =>
      at < set ? [fullness, signs.set] : at < inUse ? ["cold", signs.idle] : ["free", signs.free],
  );
  for (const name of MARKS) {
    for (const { bytes } of marks.filter((mark) => markOf(mark.name) === name)) {
      const at = Math.min(width - 1, Math.floor(width * bytes / limit));
      if (bytes > 0 && bytes <= limit) cells[at] = [name, signs[name]];
    }
  }
  return paint(cells, palette);
}

/** The levels at which OOMHero warns: shares of the limit. */
const WARN_SHARE = 0.65;
const CRITICAL_SHARE = 0.9;

/** The terminal format of a usage of `percent` of the limit. */
export const fullness = (percent: number) =>
  percent >= 100 * CRITICAL_SHARE ? "red" : percent >= 100 * WARN_SHARE ? "yellow" : "green";

/** The colour of a usage: by the highest guard level reached, or by share of the limit without levels. */
export function fullnessOf(
  usage: number | undefined,
  limit: number,
  marks: readonly UsageMark[] = [],
): Role {
  if (usage === undefined || !Number.isFinite(limit)) return "plain";
  const levels = marks.filter(({ name }) => MARKS.some((mark) => mark === name));
  if (levels.length === 0) {
    return usage >= CRITICAL_SHARE * limit
      ? "critical"
      : usage >= WARN_SHARE * limit
      ? "warn"
      : "good";
  }
  const reached = levels.filter(({ bytes }) => usage >= bytes).map(({ name }) => markOf(name));
  return MARKS.findLast((mark) => reached.includes(mark)) ?? "good";
}

const STEPS = { unicode: "▁▂▃▄▅▆▇█", ascii: "_.-:=+*#" };

/**
 * The last values in `width` columns, the newest at the right. With more values than columns each column shows the highest of its
 * values, so that no peak is lost. An unknown value is a gap.
 *
 * @param max the value of a full column; absent or `Infinity`: the highest of the values
 */
export function sparkline(
  values: readonly (number | undefined)[],
  width: number,
  { max, unicode }: { readonly max?: number; readonly unicode: boolean },
): string {
  const steps = unicode ? STEPS.unicode : STEPS.ascii;
  const each = Math.max(1, Math.ceil(values.length / Math.max(1, width)));
  const shown: (number | undefined)[] = [];
  // Grouped from the newest backwards.
  for (let end = values.length; end > 0 && shown.length < width; end -= each) {
    const part = values.slice(Math.max(0, end - each), end).filter((value) => value !== undefined);
    shown.unshift(part.length === 0 ? undefined : Math.max(...part));
  }
  const known = shown.filter((value) => value !== undefined);
  const top = max !== undefined && Number.isFinite(max) && max > 0 ? max : Math.max(...known);
  const drawn = shown.map((value) => {
    if (value === undefined) return " ";
    const share = top > 0 ? value / top : 0;
    return steps[Math.max(0, Math.min(steps.length - 1, Math.floor(share * steps.length)))]!;
  });
  return drawn.join("").padStart(width);
}

/**
 * The last values as an area of `height` rows with axes: sizes at the left, times below. Columns as in {@link sparkline}.
 *
 * @param top the value and the name of a full column
 * @param times at the left end, and at the right
 */
export function areaLines(
  values: readonly (number | undefined)[],
  { width, height, top, times: [from, to], unicode }: {
    readonly width: number;
    readonly height: number;
    readonly top: { readonly value: number; readonly label: string };
    readonly times: readonly [string, string];
    readonly unicode: boolean;
  },
): string[] {
  const steps = unicode ? STEPS.unicode : STEPS.ascii;
  const shown = [...Array<undefined>(Math.max(0, width - values.length)), ...values].slice(-width);
  const label = Math.max(2, top.label.length);
  const rows = Array.from({ length: height }, (_, at) => {
    const base = height - 1 - at;
    const cells = shown.map((value) => {
      const filled = value === undefined || !(top.value > 0)
        ? 0
        : height * value / top.value - base;
      // Any usage is visible in the lowest row.
      const step = Math.floor(filled * steps.length) - 1;
      if (step < 0) return value !== undefined && base === 0 ? steps[0]! : " ";
      return steps[Math.min(steps.length - 1, step)]!;
    });
    const name = at === 0 ? `${top.label.padStart(label)} ┤` : `${" ".repeat(label)} │`;
    return name + cells.join("");
  });
  const gap = Math.max(1, width - from.length - to.length);
  return [
    ...rows,
    `${"0B".padStart(label)} └${"─".repeat(width)}`,
    `${" ".repeat(label + 2)}${from}${" ".repeat(gap)}${to}`,
  ];
}
