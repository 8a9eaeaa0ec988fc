/** How full a limit is, with marks where something happens. Pure. */

import type { Capabilities, Palette, Role } from "./palette.ts";

export interface Usage {
  /** Bytes; absent is not known. */
  readonly usage: number | undefined;
  /** Bytes: `usage` less what the kernel takes back first. */
  readonly workingSet?: number | undefined;
  /** Bytes; `Infinity` for none. */
  readonly limit: number;
  readonly marks: readonly UsageMark[];
}

export interface UsageMark {
  /** Those of a guard have a sign of their own; any other is drawn as `warn` is. */
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
 * Working set, what is in use beyond it, and what is free, in `width` columns. What is there at all gets a column, and what is
 * not full does not look full. Without a limit there is nothing to be full of: a line of dashes.
 *
 * @param fullness the colour of the working set; by how full it is where nothing is given.
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
  const columns = (bytes: number, least: number) =>
    bytes >= limit
      ? width
      : Math.min(width - 1, Math.max(least, Math.round(width * bytes / limit)));
  const inUse = columns(usage, usage > 0 ? 1 : 0);
  const set = Math.min(inUse, workingSet === undefined ? inUse : columns(workingSet, 0));
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

/** Neighbours of one colour in one piece. */
function runs(cells: readonly (readonly [Role, string])[]): [Role, string][] {
  const joined: [Role, string][] = [];
  for (const [role, text] of cells) {
    const last = joined.at(-1);
    if (last?.[0] === role) last[1] += text;
    else joined.push([role, text]);
  }
  return joined;
}

/** By the highest of a guard's marks that is reached; without them by the levels that OOMHero warns at, 65 and 90 %. */
export function fullnessOf(
  usage: number | undefined,
  limit: number,
  marks: readonly UsageMark[] = [],
): Role {
  if (usage === undefined || !Number.isFinite(limit)) return "plain";
  const levels = marks.filter(({ name }) => MARKS.some((mark) => mark === name));
  if (levels.length === 0) {
    return usage >= 0.9 * limit ? "critical" : usage >= 0.65 * limit ? "warn" : "good";
  }
  const reached = levels.filter(({ bytes }) => usage >= bytes).map(({ name }) => markOf(name));
  return MARKS.findLast((mark) => reached.includes(mark)) ?? "good";
}
