/** Drawn over a chart: event marks, limit lines, and the labels beside it. */

import { spread } from "./axis.js";
import { GLYPHS, KIND_COLOURS, withRoom } from "./glyphs.js";
/** @import { Label } from "./content.js" */
/** @import { RunEvent } from "./unpack.js" */

/** The current value of a colour of palette.css. @param {string} name */
export function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/**
 * Marks of the events, the most severe where they overlap. Kills and actions get a vertical line through the chart.
 * @type {(plot: any, events: readonly RunEvent[], withGlyphs: boolean) => void}
 */
export function drawEvents(plot, events, withGlyphs) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const visible = events.filter(({ at }) => {
    const x = plot.valToPos(at, "x", true);
    return x >= bbox.left - 1 && x <= bbox.left + bbox.width + 1;
  });
  ctx.save();
  for (const { at, kind } of withRoom(visible, (each) => plot.valToPos(each.at, "x"))) {
    const x = plot.valToPos(at, "x", true);
    const paint = colourOf(KIND_COLOURS[kind] ?? "note");
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

/** @type {(plot: any, labels: readonly Label[]) => void} */
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
  for (const { y, at, text, colour, bold } of placed) {
    if (Math.abs(y - at) > ratio) {
      ctx.strokeStyle = colourOf("line");
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(right + 2 * ratio, y);
      ctx.lineTo(right + 9 * ratio, at);
      ctx.stroke();
    }
    ctx.font = `${bold ? "600 " : ""}${12 * ratio}px system-ui, sans-serif`;
    ctx.fillStyle = colourOf(colour);
    ctx.fillText(text, right + 11 * ratio, at);
  }
  ctx.restore();
}

/**
 * A horizontal line. The dashes are in CSS pixels.
 * @type {(plot: any, value: number, colour: string, dash: readonly number[]) => void}
 */
export function drawLevel(plot, value, colour, dash) {
  const { ctx, bbox } = plot;
  const y = plot.valToPos(value, "y", true);
  ctx.save();
  ctx.strokeStyle = colourOf(colour);
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}
