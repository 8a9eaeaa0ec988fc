/** What the parts of the live view draw on. Pure. */

import type { Capabilities, Size } from "../terminal/capabilities.ts";
import { type Palette, type Role, screenPaletteOf, type Style } from "../terminal/palette.ts";

export interface Canvas extends Size {
  readonly can: Capabilities;
  readonly palette: Palette;
  readonly style: Style;
}

export function canvasOf(size: Size, can: Capabilities): Canvas {
  const palette = screenPaletteOf(can);
  return { ...size, can, palette, style: styleOf(palette) };
}

export const markOf = ({ unicode }: Capabilities) => unicode ? "…" : "~";

const ROLES: Readonly<Record<string, Role>> = {
  bold: "bold",
  dim: "dim",
  red: "critical",
  green: "good",
  yellow: "warn",
  cyan: "cold",
  magenta: "hot",
};

/** Lets the formatters of line output draw in the palette of the screen. */
function styleOf(palette: Palette): Style {
  return (format, text) => {
    const formats = [format].flat().map(String);
    const colour = formats.find((each) => each !== "bold" && ROLES[each] !== undefined);
    if (colour === "red" && formats.includes("bold")) return palette("bad", text);
    return palette(ROLES[colour ?? formats[0] ?? ""] ?? "plain", text);
  };
}
