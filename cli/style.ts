import { styleText } from "node:util";

type Format = Parameters<typeof styleText>[0];
export type Style = (format: Format, text: string) => string;

/** Colour for stdout: `--color`, then NO_COLOR (no-color.org: set and not empty), then whether it is a terminal. */
export function chooseStyle(when: "auto" | "always" | "never"): Style {
  const wanted = when === "always" ||
    (when === "auto" && !Deno.env.get("NO_COLOR") && Deno.stdout.isTerminal());
  return (format, text) => wanted ? styleText(format, text, { validateStream: false }) : text;
}
