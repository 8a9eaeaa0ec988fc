/** What is drawn over a chart: the marks of events, and the labels beside it. */

import { GLYPHS, withRoom } from "./glyphs.js";
import { spread } from "./labels.js";
/** @typedef {import("./unpack.js").Happening} Happening */

/**
 * The colour of that name in the sheet's style, as it is now.
 * @param {string} name
 */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** @type {Readonly<Record<string, string>>} */
const KIND_COLOURS = { kill: "bad", act: "g3", oom: "bad", level: "warn", note: "note" };

/**
 * Of those that lie on each other the gravest; what is grave falls through the chart.
 * @param {any} plot uPlot
 * @param {readonly Happening[]} events
 * @param {boolean} withGlyphs
 */
export function drawEvents(plot, events, withGlyphs) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const inSight = events.filter(({ at }) => {
    const x = plot.valToPos(at, "x", true);
    return x >= bbox.left - 1 && x <= bbox.left + bbox.width + 1;
  });
  ctx.save();
  for (const { at, kind } of withRoom(inSight, (each) => plot.valToPos(each.at, "x"))) {
    const x = plot.valToPos(at, "x", true);
    const paint = colour(KIND_COLOURS[kind] ?? "note");
    ctx.strokeStyle = paint;
    ctx.fillStyle = paint;
    if (kind === "kill" || kind === "act") {
      ctx.globalAlpha = 0.55;
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top - (withGlyphs ? 5 * ratio : 0));
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.globalAlpha = 1;
    }
    if (!withGlyphs) continue;
    ctx.save();
    ctx.translate(x, bbox.top - 12 * ratio);
    ctx.scale(ratio, ratio);
    ctx.lineWidth = 1.5;
    const glyph = new Path2D(GLYPHS[kind] ?? GLYPHS.note);
    if (kind !== "note" && kind !== "kill") ctx.fill(glyph);
    ctx.stroke(glyph);
    ctx.restore();
  }
  ctx.restore();
}

/**
 * @param {any} plot uPlot
 * @param {readonly { value: number, text: string, paint: string, bold?: boolean }[]} labels
 */
export function drawLabels(plot, labels) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const right = bbox.left + bbox.width;
  const placed = spread(
    labels.map((label) => ({ ...label, y: plot.valToPos(label.value, "y", true) })),
    15 * ratio,
    bbox.top,
    bbox.top + bbox.height,
  );
  ctx.save();
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const { y, at, text, paint, bold } of placed) {
    if (Math.abs(y - at) > ratio) {
      ctx.strokeStyle = colour("line");
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(right + 2 * ratio, y);
      ctx.lineTo(right + 9 * ratio, at);
      ctx.stroke();
    }
    ctx.font = `${bold ? "600 " : ""}${12 * ratio}px system-ui, sans-serif`;
    ctx.fillStyle = paint;
    ctx.fillText(text, right + 11 * ratio, at);
  }
  ctx.restore();
}

/**
 * @param {any} plot uPlot
 * @param {number} value
 * @param {string} paint
 * @param {readonly number[]} dash CSS pixels
 */
function drawLevel(plot, value, paint, dash) {
  const { ctx, bbox } = plot;
  const y = plot.valToPos(value, "y", true);
  ctx.save();
  ctx.strokeStyle = paint;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

/**
 * A dotted line at each of these heights.
 * @param {any} plot uPlot
 * @param {readonly number[]} values
 */
export function drawAcross(plot, values) {
  for (const value of values) drawLevel(plot, value, colour("soft"), [1.5, 3]);
}

/**
 * What all must stay below.
 * @param {any} plot uPlot
 * @param {number} value
 */
export function drawEdge(plot, value) {
  drawLevel(plot, value, colour("bad"), [7, 4]);
}
