/** A chart of the selected cgroups, drawn by uPlot. */

import { MIN_PX_PER_TIME_TICK, spread, ticksBetween, timeStep } from "./axis.js";
import { contentOf } from "./content.js";
import { clockText } from "../../figures.js";
import { GLYPHS, isKill, KIND_COLOURS, withRoom } from "./glyphs.js";
import { snapped } from "./thin.js";
/** @import { ChartKind, Curve, Group, Label, RunEvent, View } from "./content.js" */

/** CSS pixels: a narrower chart has no labels beside it, which would take half of its width. */
const MIN_WIDTH_FOR_LABELS = 720;
const LABELS_WIDTH = 170;
const TICKS_WIDTH = 78;
/** More curves share one time grid, which makes joining them fast. */
const MAX_CURVES_WITHOUT_GRID = 24;

/** In uPlot.join: a gap also covers the times of other curves within it. */
const GAPS_TO_NEXT_POINT = 2;

const CURVE_STYLES = {
  usage: { width: 1.75 },
  full: { width: 1.75 },
  working: { width: 1 },
  some: { width: 1, dash: [4, 2] },
  limit: { width: 1.25, dash: [7, 4] },
};

/** @param {Curve} curve */
function seriesOf({ kind, colour, isFilled }) {
  const paint = colourOf(colour);
  return {
    stroke: kind === "working" ? `${paint}a6` : paint,
    points: { show: false },
    paths: uPlot.paths.stepped({ align: 1 }),
    ...CURVE_STYLES[kind],
    ...(isFilled ? { fill: `${paint}1c` } : {}),
  };
}

/** @type {any} */
const uPlot = /** @type {any} */ (globalThis).uPlot;

/**
 * @param {HTMLElement} holder
 * @param {ChartKind} kind
 * @param {readonly Group[]} groups the selected cgroups
 * @param {readonly RunEvent[]} events their events
 * @param {View} whole
 * @param {any} behaviour uPlot's cursor and hooks
 */
export function makeChart(holder, kind, groups, events, whole, behaviour) {
  const content = contentOf(kind, groups);
  const { max, ticks, tickText, curves, dotted = [], edge, labels = [] } = content;
  const isMemory = kind !== "pressure";
  const width = Math.max(280, holder.clientWidth);
  const isNarrow = width < MIN_WIDTH_FOR_LABELS;

  const dataFor = (/** @type {number} */ from, /** @type {number} */ to) => {
    // Two columns get one minimum and one maximum: more cannot be distinguished.
    const columns = Math.max(100, (width - TICKS_WIDTH) / 2);
    const isGridded = curves.length > MAX_CURVES_WITHOUT_GRID;
    const tables = curves.map(({ points }) => points(from, to, columns))
      .map((table) => isGridded ? snapped(table, from, (to - from) / columns) : table)
      .map(({ t, v }) => t.length === 0 ? [[from], [null]] : [t, v]);
    if (tables.length === 0) return [[whole.from, whole.to]];
    return uPlot.join(tables, curves.map(() => [0, GAPS_TO_NEXT_POINT]));
  };
  const stepOf = (/** @type {number} */ from, /** @type {number} */ to) =>
    timeStep(from, to, width / MIN_PX_PER_TIME_TICK);

  const axis = { stroke: colourOf("soft"), font: "12px system-ui, sans-serif" };
  const line = { stroke: colourOf("line"), width: 1 };
  const options = {
    width,
    height: isMemory ? (isNarrow ? 280 : 360) : 130,
    padding: [isMemory ? 24 : 8, isNarrow ? 12 : LABELS_WIDTH, 0, 0],
    legend: { show: false },
    scales: { x: { time: false, min: whole.from, max: whole.to }, y: { range: () => [0, max] } },
    axes: [
      {
        ...axis,
        grid: { show: false },
        ticks: { ...line, size: 5 },
        /** @type {(plot: any, axis: number, from: number, to: number) => number[]} */
        splits: (_plot, _axis, from, to) => ticksBetween(from, to, stepOf(from, to)),
        /** @type {(plot: any, times: number[]) => string[]} */
        values: (plot, times) => {
          const { min, max } = plot.scales.x;
          return times.map((time) => clockText(time, stepOf(min, max)));
        },
      },
      {
        ...axis,
        grid: line,
        ticks: { show: false },
        size: TICKS_WIDTH,
        splits: () => ticks,
        /** @type {(plot: any, values: number[]) => string[]} */
        values: (_plot, values) => values.map(tickText),
      },
    ],
    series: [{}, ...curves.map(seriesOf)],
    cursor: behaviour.cursor,
    hooks: {
      ...behaviour.hooks,
      draw: [(/** @type {any} */ plot) => {
        for (const value of dotted) drawLevel(plot, value, "soft", [1.5, 3]);
        if (edge !== undefined) drawLevel(plot, edge, "bad", [7, 4]);
        drawEvents(plot, events, isMemory);
        if (!isNarrow) drawLabels(plot, labels);
      }],
    },
  };
  const plot = new uPlot(options, dataFor(whole.from, whole.to), holder);
  return {
    plot,
    /** @param {View} view */
    show({ from, to }) {
      plot.batch(() => {
        plot.setData(dataFor(from, to), false);
        plot.setScale("x", { min: from, max: to });
      });
    },
    destroy: () => plot.destroy(),
  };
}

/** The current value of a colour of palette.css. @param {string} name */
function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/**
 * Marks of the events, the most severe where they overlap. Kills and actions get a vertical line through the chart.
 * @type {(plot: any, events: readonly RunEvent[], withGlyphs: boolean) => void}
 */
function drawEvents(plot, events, withGlyphs) {
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
    if (isKill(kind)) {
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
function drawLabels(plot, labels) {
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
function drawLevel(plot, value, colour, dash) {
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
