/** A chart of those cgroups that are switched on, in the stretch of time that is looked at, by uPlot. */

import { clockText } from "./figures.js";
import { contentOf } from "./lines.js";
import { colour, drawAcross, drawEdge, drawEvents, drawLabels } from "./over.js";
import { snapped } from "./thin.js";
import { ticksBetween, timeStep } from "./ticks.js";
/** @typedef {import("./unpack.js").Group} Group */
/** @typedef {import("./unpack.js").Happening} Happening */
/** @typedef {{ from: number, to: number }} View */

/** Below it labels would take half of the width. */
const NARROW = 720;
const LABELS = 170;
/** For the sizes beside the left edge (CSS pixels). */
const SIZES = 78;
const PER_TICK = 110;
/** With more lines they share a grid. */
const MANY = 24;

/** @type {any} */
const uPlot = /** @type {any} */ (globalThis).uPlot;

/**
 * @param {HTMLElement} holder
 * @param {import("./lines.js").What} what
 * @param {readonly Group[]} groups those that are switched on
 * @param {readonly Happening[]} events theirs
 * @param {View} whole
 * @param {any} behaviour uPlot's cursor and hooks
 */
export function makeChart(holder, what, groups, events, whole, behaviour) {
  const { most, ticks, tickText, lines, across, edge, labels } = contentOf(what, groups, whole);
  const isMemory = what !== "pressure";
  const width = Math.max(280, holder.clientWidth);
  const isNarrow = width < NARROW;

  const dataFor = (/** @type {number} */ from, /** @type {number} */ to) => {
    // Of each two columns the least and the most: more no eye would tell apart.
    const columns = Math.max(100, (width - SIZES) / 2);
    const isMany = lines.length > MANY;
    const tables = lines.map(({ line }) => line(from, to, columns))
      .map((table) => isMany ? snapped(table, from, (to - from) / columns) : table)
      .map(({ t, v }) => t.length === 0 ? [[from], [null]] : [t, v]);
    if (tables.length === 0) return [[whole.from, whole.to]];
    return uPlot.join(tables, lines.map(({ series }) => [0, series.spanGaps ? 0 : 1]));
  };
  const paceOf = (/** @type {number} */ from, /** @type {number} */ to) =>
    timeStep(from, to, width / PER_TICK);

  const font = "12px system-ui, sans-serif";
  const axis = { stroke: colour("soft"), font };
  const line = { stroke: colour("line"), width: 1 };
  const options = {
    width,
    height: isMemory ? (isNarrow ? 280 : 360) : 130,
    padding: [isMemory ? 24 : 8, isNarrow ? 12 : LABELS, 0, 0],
    legend: { show: false },
    scales: { x: { time: false, min: whole.from, max: whole.to }, y: { range: () => [0, most] } },
    axes: [
      {
        ...axis,
        grid: { show: false },
        ticks: { ...line, size: 5 },
        splits: (
          /** @type {any} */ _,
          /** @type {number} */ __,
          /** @type {number} */ min,
          /** @type {number} */ max,
        ) => ticksBetween(min, max, paceOf(min, max)),
        values: (/** @type {any} */ plot, /** @type {number[]} */ at) => {
          const { min, max } = plot.scales.x;
          return at.map((each) => clockText(each, paceOf(min, max)));
        },
      },
      {
        ...axis,
        grid: line,
        ticks: { show: false },
        size: SIZES,
        splits: () => ticks,
        values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map(tickText),
      },
    ],
    series: [{}, ...lines.map(({ series }) => series)],
    cursor: behaviour.cursor,
    hooks: {
      ...behaviour.hooks,
      draw: [(/** @type {any} */ plot) => {
        drawAcross(plot, across);
        if (edge !== undefined) drawEdge(plot, edge);
        drawEvents(plot, events, isMemory);
        if (!isNarrow) drawLabels(plot, labels);
      }],
    },
  };
  const plot = new uPlot(options, dataFor(whole.from, whole.to), holder);
  return {
    plot,
    /** @param {View} view */
    look({ from, to }) {
      plot.batch(() => {
        plot.setData(dataFor(from, to), false);
        plot.setScale("x", { min: from, max: to });
      });
    },
    destroy: () => plot.destroy(),
  };
}
