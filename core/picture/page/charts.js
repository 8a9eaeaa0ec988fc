/** The two charts, of those cgroups that are switched on, in the stretch of time that is looked at. */

import { bytesText, bytesTick, clockText } from "./figures.js";
import { heightFor } from "./height.js";
import { colour, drawAcross, drawEvents, drawLabels } from "./over.js";
import { thin } from "./thin.js";
import { byteStep, ticksBetween, timeStep } from "./ticks.js";
/** @typedef {import("./unpack.js").Group} Group */
/** @typedef {import("./unpack.js").Line} Line */
/** @typedef {import("./unpack.js").Happening} Happening */
/** @typedef {{ from: number, to: number }} View */

/** Below it labels would take half of the width. */
const NARROW = 720;
const LEFT = 78;

/** @type {any} */
const uPlot = /** @type {any} */ (globalThis).uPlot;

/** @param {Line} line */
const lastOf = ({ v }) => v[v.length - 1] ?? 0;

/** @param {ArrayLike<number>} values */
export function mostOf(values) {
  let most = 0;
  for (let at = 0; at < values.length; at++) most = Math.max(most, values[at] ?? 0);
  return most;
}

/**
 * A limit as a line of its own: flat up to each change, and to the end of the cgroup.
 * @param {Group} group
 * @param {View} whole
 * @param {number} most limits above are not drawn
 * @returns {{ t: number[], v: (number | null)[] }}
 */
function limitLine({ limits, gone }, whole, most) {
  /** @type {number[]} */
  const t = [];
  /** @type {(number | null)[]} */
  const v = [];
  for (let at = 0; at < limits.t.length; at++) {
    const value = limits.v[at] ?? -1;
    const end = limits.t[at + 1] ?? gone ?? whole.to;
    const drawn = value < 0 || value > most ? null : value;
    t.push(limits.t[at] ?? 0, Math.max(end - 0.001, limits.t[at] ?? 0));
    v.push(drawn, drawn);
  }
  return { t, v };
}

/** @typedef {{ t: number[], v: (number | null)[] }} Table */
/** @typedef {{ line: (from: number, to: number, columns: number) => Table, series: any }} Drawn */

/**
 * @param {Group} group
 * @param {boolean} isMemory
 * @param {boolean} alone
 * @param {View} whole
 * @param {number} most
 * @returns {Drawn[]}
 */
function linesOf(group, isMemory, alone, whole, most) {
  const paint = colour(`g${group.hue}`);
  const drawn = (/** @type {Line} */ line, /** @type {any} */ style) => ({
    line: (/** @type {number} */ from, /** @type {number} */ to, /** @type {number} */ columns) =>
      thin(line.t, line.v, from, to, columns),
    series: { spanGaps: true, points: { show: false }, stroke: paint, ...style },
  });
  if (!isMemory) {
    return [drawn(group.some, { width: 1, dash: [4, 2] }), drawn(group.full, { width: 1.75 })];
  }
  const steps = limitLine(group, whole, most);
  const stroke = alone ? colour("bad") : paint;
  const area = alone ? { fill: `${paint}1c` } : {};
  return [
    drawn(group.working, { stroke: `${paint}a6`, width: 1, ...area }),
    {
      line: () => steps,
      series: { points: { show: false }, stroke, width: 1.25, dash: [7, 4] },
    },
    drawn(group.usage, { width: 1.75 }),
  ];
}

/**
 * @param {HTMLElement} holder
 * @param {"memory" | "pressure"} what
 * @param {readonly Group[]} groups those that are switched on
 * @param {readonly Happening[]} events theirs
 * @param {View} whole
 * @param {any} behaviour uPlot's cursor and hooks
 */
export function makeChart(holder, what, groups, events, whole, behaviour) {
  const isMemory = what === "memory";
  const width = Math.max(280, holder.clientWidth);
  const isNarrow = width < NARROW;
  const only = groups.length === 1 ? groups[0] : undefined;
  const limits = groups.flatMap((group) => [...group.limits.v]);
  const most = isMemory
    ? heightFor(groups.map((group) => mostOf(group.usage.v)), limits)
    : Math.max(10, ...groups.flatMap(({ some, full }) => [mostOf(some.v), mostOf(full.v)])) * 1.05;

  /** @type {Drawn[]} */
  const lines = groups.flatMap((group) =>
    linesOf(group, isMemory, only !== undefined, whole, most)
  );
  const dataFor = (/** @type {number} */ from, /** @type {number} */ to) => {
    const columns = Math.max(100, holder.clientWidth - LEFT);
    const tables = lines.map(({ line }) => line(from, to, columns))
      .map(({ t, v }) => t.length === 0 ? [[from], [null]] : [t, v]);
    if (tables.length === 0) return [[whole.from, whole.to]];
    return uPlot.join(tables, lines.map(({ series }) => [0, series.spanGaps ? 0 : 1]));
  };

  const labels = () => {
    if (isNarrow || !isMemory) return [];
    if (!only) {
      return groups.map((group) => ({
        value: lastOf(group.usage),
        text: group.name,
        paint: colour(`g${group.hue}`),
        bold: true,
      }));
    }
    const paint = colour(`g${only.hue}`);
    const limit = lastOf(only.limits);
    const label = (
      /** @type {number} */ value,
      /** @type {string} */ name,
      /** @type {any} */ rest,
    ) => ({
      value: Math.min(value, most),
      text: `${value > most ? "↑ " : ""}${name} ${bytesText(value)}`,
      ...rest,
    });
    return [
      ...(limit > 0 ? [label(limit, "limit", { paint: colour("bad") })] : []),
      ...(only.usage.v.length ? [label(lastOf(only.usage), "usage", { paint, bold: true })] : []),
      ...(only.working.v.length ? [label(lastOf(only.working), "working set", { paint })] : []),
      ...only.marks.filter(({ bytes }) => bytes <= most)
        .map(({ name, bytes }) => label(bytes, name, { paint: colour("soft") })),
    ];
  };

  const ink = colour("soft");
  const grid = { stroke: colour("line"), width: 1 };
  const font = "12px system-ui, sans-serif";
  const options = {
    width,
    height: isMemory ? (isNarrow ? 280 : 360) : 130,
    padding: [isMemory ? 24 : 8, isNarrow ? 12 : 170, 0, 0],
    legend: { show: false },
    scales: { x: { time: false, min: whole.from, max: whole.to }, y: { range: () => [0, most] } },
    axes: [
      {
        stroke: ink,
        font,
        grid: { show: false },
        ticks: { stroke: colour("line"), size: 5 },
        splits: (
          /** @type {any} */ _,
          /** @type {number} */ __,
          /** @type {number} */ min,
          /** @type {number} */ max,
        ) => ticksBetween(min, max, timeStep(min, max, width / 110)),
        values: (/** @type {any} */ plot, /** @type {number[]} */ at) => {
          const { min, max } = plot.scales.x;
          return at.map((each) => clockText(each, timeStep(min, max, width / 110)));
        },
      },
      {
        stroke: ink,
        font,
        grid,
        ticks: { show: false },
        size: LEFT,
        splits: () =>
          isMemory
            ? ticksBetween(0, most, byteStep(0, most, 7))
            : [0, most > 50 ? 50 : Math.round(most / 2), ...(most > 100 ? [100] : [])],
        values: (/** @type {any} */ _, /** @type {number[]} */ at) =>
          at.map((each) => isMemory ? bytesTick(each) : `${Math.round(each)} %`),
      },
    ],
    series: [{}, ...lines.map(({ series }) => series)],
    cursor: behaviour.cursor,
    hooks: {
      ...behaviour.hooks,
      draw: [(/** @type {any} */ plot) => {
        if (only && isMemory) {
          drawAcross(plot, only.marks.map(({ bytes }) => bytes).filter((bytes) => bytes <= most));
        }
        drawEvents(plot, events, isMemory);
        drawLabels(plot, labels());
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
    resize() {
      plot.setSize({ width: Math.max(280, holder.clientWidth), height: plot.height });
    },
    destroy: () => plot.destroy(),
  };
}
