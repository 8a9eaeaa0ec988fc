/** What a terminal can show, and parts of the screen in the colours that it has. */

import { OomkitError } from "../../core/errors.ts";

/** How many colours: none, the eight with their bright ones, the palette, or any. */
export type Colours = 0 | 16 | 256 | 16777216;

export interface Capabilities {
  readonly colours: Colours;
  /** Whether more than ASCII can be shown. */
  readonly unicode: boolean;
}

export interface TerminalFlags {
  readonly color: "auto" | "always" | "never";
  readonly ascii?: boolean | undefined;
}

type Variables = (name: string) => string | undefined;

/**
 * `--color`, then NO_COLOR (no-color.org: set and not empty), then COLORTERM and TERM. What is more than ASCII is shown where the locale is of
 * UTF-8, as locale(7) finds it: LC_ALL, LC_CTYPE, LANG, the first that is set and not empty; unless `--ascii` was given.
 */
export function capabilitiesOf(
  { color, ascii = false }: TerminalFlags,
  variable: Variables = (name) => Deno.env.get(name),
): Capabilities {
  const locale = variable("LC_ALL") || variable("LC_CTYPE") || variable("LANG") || "C";
  const unicode = !ascii && /utf-?8/i.test(locale);
  if (color === "never" || (color === "auto" && variable("NO_COLOR"))) {
    return { colours: 0, unicode };
  }
  const found = coloursOf(variable("TERM") ?? "", variable("COLORTERM") ?? "");
  return { colours: found === 0 && color === "always" ? 16 : found, unicode };
}

function coloursOf(term: string, colorterm: string): Colours {
  if (term === "" || term === "dumb") return 0;
  if (/^(truecolor|24bit)$/.test(colorterm) || /-direct$/.test(term)) return 16777216;
  if (/256col/.test(term)) return 256;
  return /^vt[0-9]|-m$|-mono$/.test(term) ? 0 : 16;
}

/** What a part of the screen is, which its colour says. */
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
  | "hot";

export type Palette = (role: Role, text: string) => string;

/** SGR parameters (ECMA-48, 8.3.117) with 16, 256 and all colours; where the rest is absent the first does. */
const INKS: Readonly<Record<Exclude<Role, "plain">, readonly [string, string?, string?]>> = {
  dim: ["2"],
  bold: ["1"],
  title: ["2;7"],
  selected: ["7"],
  good: ["32", "38;5;71", "38;2;95;175;95"],
  warn: ["33", "38;5;178", "38;2;215;175;0"],
  critical: ["31", "38;5;208", "38;2;255;135;0"],
  imminent: ["1;31", "1;38;5;196", "1;38;2;255;60;60"],
  bad: ["1;31", "1;38;5;196", "1;38;2;255;60;60"],
  free: ["2", "38;5;240", "38;2;88;88;88"],
  cold: ["36", "38;5;67", "38;2;95;135;175"],
  hot: ["35", "38;5;170", "38;2;215;95;215"],
};

/** Each part ends its own colour, so that a line can be cut anywhere between two. */
export function paletteOf({ colours }: Capabilities): Palette {
  if (colours === 0) return (_, text) => text;
  const rank = [16, 256, 16777216].indexOf(colours);
  return (role, text) => {
    if (role === "plain" || text === "") return text;
    const codes = INKS[role];
    return `\x1b[${codes[rank] ?? codes[0]}m${text}\x1b[0m`;
  };
}

/** A number of columns or lines that makes no sense is none: a bare pseudo-terminal says 0 × 0. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Of the terminal on stdout; `undefined` where there is none. */
export function terminalSize(): Size | undefined {
  try {
    return Deno.consoleSize();
  } catch {
    return undefined;
  }
}

/** Why nothing can be drawn on stdout; `undefined` where it can. */
export function plainOutputReasonFor(): OomkitError | undefined {
  const no = (why: string, right: string) => new OomkitError(`cannot draw: ${why}`, right);
  if (!Deno.stdout.isTerminal()) return no("stdout is no terminal", "lines are printed instead");
  const term = Deno.env.get("TERM") ?? "";
  if (term === "" || term === "dumb") {
    return no(`a terminal of the kind "${term}" has no cursor to move`, "set TERM to what it is");
  }
  const size = terminalSize();
  if (size === undefined || size.columns < 1 || size.rows < 1) {
    return no(
      `the terminal says that it is ${size?.columns ?? 0} × ${size?.rows ?? 0}`,
      "set its size, such as: stty cols 80 rows 24",
    );
  }
  return undefined;
}
