/** The usage of a limit as a bar, with marks at levels and thresholds. Pure. */

import type { Capabilities, Palette, Role } from "./palette.ts";

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
  if (usage === undefined || !Number.isFinite(limit) || limit <= 0) {
    return palette("free", (unicode ? "─" : "-").repeat(width));
  }
  const columns = (bytes: number) =>
    bytes >= limit
      ? width
      : Math.min(width - 1, Math.max(bytes > 0 ? 1 : 0, Math.round(width * bytes / limit)));
  const inUse = columns(usage);
  const set = Math.min(inUse, columns(workingSet ?? usage));
  const cells: [Role, string][] = Array.from(
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
  return runs(cells).map(([role, text]) => palette(role, text)).join("");
}

/** Joins neighbours of one colour. */
function runs(cells: readonly (readonly [Role, string])[]): [Role, string][] {
  const joined: [Role, string][] = [];
  for (const [role, text] of cells) {
    const last = joined.at(-1);
    if (last?.[0] === role) last[1] += text;
    else joined.push([role, text]);
  }
  return joined;
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
