/** What a terminal can show, and the colours for the parts of a screen. */

import { OomkitError } from "../../core/errors.ts";
import { terminalSize } from "./style.ts";

/** Number of colours: none, eight and their bright variants, the 256-colour palette, or 24-bit. */
export type Colours = 0 | 16 | 256 | 16777216;

export interface Capabilities {
  readonly colours: Colours;
  /** False: only ASCII is shown. */
  readonly unicode: boolean;
}

export interface TerminalFlags {
  readonly color: "auto" | "always" | "never";
  readonly ascii?: boolean | undefined;
}

type Variables = (name: string) => string | undefined;

/**
 * Colours by `--color`, then NO_COLOR (no-color.org: set and not empty), then COLORTERM and TERM. Unicode where the locale is UTF-8,
 * unless `--ascii` was given; locale(7): the first of LC_ALL, LC_CTYPE and LANG that is set and not empty.
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
  | "hot";

export type Palette = (role: Role, text: string) => string;

/** SGR parameters (ECMA-48, 8.3.117) for 16, 256 and 24-bit colours; the first one applies where the others are absent. */
const SGR_CODES: Readonly<Record<Exclude<Role, "plain">, readonly [string, string?, string?]>> = {
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

/** Why nothing can be drawn on stdout; `undefined` if drawing is possible. */
export function plainOutputReasonFor(): OomkitError | undefined {
  const no = (reason: string, hint: string) => new OomkitError(`cannot draw: ${reason}`, hint);
  if (!Deno.stdout.isTerminal()) return no("stdout is not a terminal", "use lines instead");
  const term = Deno.env.get("TERM") ?? "";
  if (term === "" || term === "dumb") {
    return no(
      `TERM is "${term}", a terminal without cursor movement`,
      "set TERM to the terminal's type",
    );
  }
  const size = terminalSize();
  if (size === undefined || size.columns < 1 || size.rows < 1) {
    return no(
      `the terminal reports a size of ${size?.columns ?? 0} × ${size?.rows ?? 0}`,
      "set its size, for example: stty cols 80 rows 24",
    );
  }
  return undefined;
}
