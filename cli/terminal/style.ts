import { styleText } from "node:util";

type Format = Parameters<typeof styleText>[0];
export type Style = (format: Format, text: string) => string;

/** Colour for stdout: `--color`, then NO_COLOR (no-color.org: set and not empty), then whether it is a terminal. */
export function chooseStyle(when: "auto" | "always" | "never"): Style {
  const requested = when === "always" ||
    (when === "auto" && !Deno.env.get("NO_COLOR") && Deno.stdout.isTerminal());
  return (format, text) => requested ? styleText(format, text, { validateStream: false }) : text;
}

/** A new pseudo-terminal without a size reports 0 × 0. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** The size of the terminal; `undefined` without one. */
export function terminalSize(): Size | undefined {
  try {
    return Deno.consoleSize();
  } catch {
    return undefined;
  }
}

export const DEFAULT_COLUMNS = 80;

/** Columns of the terminal: 80 without one or without a size (a new pty reports 0), and at least 40. */
export function terminalWidth(): number {
  const columns = Deno.stdout.isTerminal() && terminalSize()?.columns || DEFAULT_COLUMNS;
  return Math.max(40, columns);
}
