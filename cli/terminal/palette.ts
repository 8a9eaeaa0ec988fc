/** Colours: of words in line output, and of the parts of a screen. */

import { styleText } from "node:util";
import { type Capabilities, type ColorFlag, decidedColor } from "./capabilities.ts";

type Format = Parameters<typeof styleText>[0];
export type Style = (format: Format, text: string) => string;

/** Colour for a stream: `--color`, then the variables, then whether it is a terminal. */
export function chooseStyle(
  when: ColorFlag,
  stream: { isTerminal(): boolean } = Deno.stdout,
): Style {
  const decided = decidedColor(when);
  const requested = decided === "always" || (decided === "auto" && stream.isTerminal());
  return (format, text) => requested ? styleText(format, text, { validateStream: false }) : text;
}

/** The meaning of a part of the screen, which decides its colour. */
export type Role =
  | "plain"
  | "dim"
  | "bold"
  | "title"
  | "selected"
  | "good"
  | "warn"
  | "critical"
  | "imminent"
  | "bad"
  | "free"
  | "cold"
  | "hot"
  | "sorted"
  | "alert"
  | "dryRun";

export type Palette = (role: Role, text: string) => string;

/**
 * SGR parameters (ECMA-48, 8.3.117) for 16, 256 and 24-bit colours; the first one applies where the others are absent. Text has a
 * contrast of at least 3 : 1 on black and on white (WCAG 2.2, 1.4.11).
 */
const SGR_CODES: Readonly<Record<Exclude<Role, "plain">, readonly [string, string?, string?]>> = {
  dim: ["2"],
  bold: ["1"],
  title: ["2;7"],
  selected: ["7"],
  good: ["32", "38;5;28", "38;2;0;135;0"],
  warn: ["33", "38;5;136", "38;2;175;135;0"],
  critical: ["31", "38;5;166", "38;2;215;95;0"],
  imminent: ["1;31", "1;38;5;196", "1;38;2;255;60;60"],
  bad: ["1;31", "1;38;5;196", "1;38;2;255;60;60"],
  free: ["2", "38;5;240", "38;2;88;88;88"],
  cold: ["36", "38;5;67", "38;2;95;135;175"],
  hot: ["35", "38;5;170", "38;2;215;95;215"],
  sorted: ["1;7"],
  alert: ["1;7"],
  dryRun: ["1;7;35", "1;7;38;5;133", "1;7;38;2;175;95;175"],
};

/** Each part resets its own colour, so that a line can be cut between any two parts. */
export function paletteOf({ colours }: Capabilities): Palette {
  if (colours === 0) return (_, text) => text;
  const rank = [16, 256, 16777216].indexOf(colours);
  return (role, text) => {
    if (role === "plain" || text === "") return text;
    const codes = SGR_CODES[role];
    return `\x1b[${codes[rank] ?? codes[0]}m${text}\x1b[0m`;
  };
}

/** Reverse video, bold and underline are no colours: they stay under NO_COLOR. */
const ATTRIBUTES: Partial<Record<Role, string>> = {
  bold: "1",
  title: "4",
  selected: "7",
  sorted: "1;4",
  alert: "1;7",
  dryRun: "1;7",
};

/** For a full screen, on which the selected row must be visible without colours too. */
export function screenPaletteOf(can: Pick<Capabilities, "colours">): Palette {
  if (can.colours > 0) return paletteOf(can as Capabilities);
  return (role, text) => {
    const code = ATTRIBUTES[role];
    return code === undefined || text === "" ? text : `\x1b[${code}m${text}\x1b[0m`;
  };
}

/** A character and its colour. */
export type Cell = readonly [Role, string];

/** Neighbours of one colour share one escape sequence. */
export function paint(cells: readonly Cell[], palette: Palette): string {
  let text = "";
  for (let from = 0, to = 0; from < cells.length; from = to) {
    const [role] = cells[from]!;
    while (to < cells.length && cells[to]![0] === role) to++;
    text += palette(role, cells.slice(from, to).map(([, character]) => character).join(""));
  }
  return text;
}
