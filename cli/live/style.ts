/** Lets what prints lines draw on the screen as well: its formats in the colours that the terminal has. */

import type { Palette, Role } from "../terminal/palette.ts";
import type { Style } from "../terminal/style.ts";

const ROLES: Readonly<Record<string, Role>> = {
  bold: "bold",
  dim: "dim",
  red: "critical",
  green: "good",
  yellow: "warn",
  cyan: "cold",
  magenta: "hot",
};

export function styleOf(palette: Palette): Style {
  return (format, text) => {
    const formats = [format].flat().map(String);
    const colour = formats.find((each) => each !== "bold" && ROLES[each] !== undefined);
    if (colour === "red" && formats.includes("bold")) return palette("bad", text);
    return palette(ROLES[colour ?? formats[0] ?? ""] ?? "plain", text);
  };
}
