/**
 * The script of the page: uPlot, and the files of page/ in one scope, as the browser gets them. They are modules to the
 * checker and to the program; joined, an import is where the other one stands already.
 */

import licence from "uplot/LICENSE" with { type: "text" };
import uplotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import uplot from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import charts from "./page/charts.js" with { type: "text" };
import figures from "./page/figures.js" with { type: "text" };
import glyphs from "./page/glyphs.js" with { type: "text" };
import gestures from "./page/gestures.js" with { type: "text" };
import lines from "./page/lines.js" with { type: "text" };
import share from "./page/share.js" with { type: "text" };
import height from "./page/height.js" with { type: "text" };
import hover from "./page/hover.js" with { type: "text" };
import icicle from "./page/icicle.js" with { type: "text" };
import map from "./page/map.js" with { type: "text" };
import labels from "./page/labels.js" with { type: "text" };
import main from "./page/main.js" with { type: "text" };
import over from "./page/over.js" with { type: "text" };
import thin from "./page/thin.js" with { type: "text" };
import ticks from "./page/ticks.js" with { type: "text" };
import unpack from "./page/unpack.js" with { type: "text" };

/** Each behind those that it imports. */
const parts = [
  figures,
  ticks,
  thin,
  labels,
  height,
  glyphs,
  unpack,
  over,
  share,
  lines,
  charts,
  hover,
  gestures,
  main,
];

/** Of MIT asks: it goes with every copy. */
export const uplotNotice = `uPlot 1.6.32 draws the charts.\n\n${licence.trim()}\n`;

export const chartStyle = uplotStyle;

export function pageScript(): string {
  const notice = uplotNotice.replaceAll("*/", "* /");
  return `/*!\n${notice}*/\n${uplot}\n${joined(parts)}`;
}

/** Of the page of a tree, which has no chart. */
export function mapScript(): string {
  return joined([figures, glyphs, thin, hover, icicle, map]);
}

/** Modules without imports from elsewhere, and no two names alike, as one script. */
export function joined(modules: readonly string[]): string {
  const bodies = modules.map((text) =>
    text
      .replaceAll(/^import\s[^;]*;\n/gm, "")
      .replaceAll(/^export (?=const|function|async function)/gm, "")
  );
  return `(() => {\n"use strict";\n${bodies.join("\n")}\n})();\n`;
}
