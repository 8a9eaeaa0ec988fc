import { styleText } from "node:util";

type Format = Parameters<typeof styleText>[0];
export type Style = (format: Format, text: string) => string;

/** Colour for stdout: `--color`, then NO_COLOR (no-color.org: set and not empty), then whether it is a terminal. */
export function chooseStyle(when: "auto" | "always" | "never"): Style {
  const requested = when === "always" ||
    (when === "auto" && !Deno.env.get("NO_COLOR") && Deno.stdout.isTerminal());
  return (format, text) => requested ? styleText(format, text, { validateStream: false }) : text;
}

/** Columns of the terminal: 80 without one or without a size (a new pty reports 0), and at least 40. */
export function terminalWidth(): number {
  if (!Deno.stdout.isTerminal()) return 80;
  try {
    const { columns } = Deno.consoleSize();
    return columns === 0 ? 80 : Math.max(40, columns);
  } catch {
    return 80;
  }
}
