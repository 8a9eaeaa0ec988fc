/**
 * The script of a page: uPlot and the modules of page/ joined into one scope, without their imports and exports. The type checker and
 * the program use them as modules.
 */

import licence from "uplot/LICENSE" with { type: "text" };
import uplotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import uplot from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import charts from "./page/charts.js" with { type: "text" };
import axis from "./page/axis.js" with { type: "text" };
import content from "./page/content.js" with { type: "text" };
import figures from "../figures.js" with { type: "text" };
import glyphs from "./page/glyphs.js" with { type: "text" };
import gestures from "./page/gestures.js" with { type: "text" };
import hover from "./page/hover.js" with { type: "text" };
import icicle from "./page/icicle.js" with { type: "text" };
import map from "./page/map.js" with { type: "text" };
import main from "./page/main.js" with { type: "text" };
import thin from "./page/thin.js" with { type: "text" };

/** Each after the modules that it imports. */
const parts = [figures, axis, thin, content, glyphs, charts, hover, gestures, main];

/** The MIT licence requires it in every copy. */
const uplotNotice = `uPlot 1.6.32 draws the charts.\n\n${licence.trim()}\n`;

export const chartStyle = uplotStyle;

export function pageScript(): string {
  const notice = uplotNotice.replaceAll("*/", "* /");
  return `/*!\n${notice}*/\n${uplot}\n${joined(parts)}`;
}

/** The script of the tree page, which has no chart. */
export function treeScript(): string {
  return joined([figures, glyphs, thin, hover, icicle, map]);
}

/** Joins modules into one script. They import only each other, and no two of them declare the same name. */
function joined(modules: readonly string[]): string {
  const bodies = modules.map((text) =>
    text
      .replaceAll(/^import\s[^;]*;\n/gm, "")
      .replaceAll(/^export (?=const|function|async function)/gm, "")
  );
  return `(() => {\n"use strict";\n${bodies.join("\n")}\n})();\n`;
}
