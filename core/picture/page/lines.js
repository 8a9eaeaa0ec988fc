/** What each chart draws: its lines, how high it reaches, what stands beside it. */

import { bytesText, bytesTick } from "./figures.js";
import { heightFor, mostOf, shareHeight } from "./height.js";
import { colour } from "./over.js";
import { shareOf } from "./share.js";
import { thin } from "./thin.js";
import { byteStep, percentStep, ticksBetween } from "./ticks.js";
/** @typedef {import("./unpack.js").Group} Group */
/** @typedef {import("./unpack.js").Line} Line */
/** @typedef {{ from: number, to: number }} View */
/** @typedef {"bytes" | "share" | "pressure"} What */
/** @typedef {{ t: number[], v: (number | null)[] }} Table */
/** @typedef {{ line: (from: number, to: number, columns: number) => Table, series: any }} Drawn */
/** @typedef {{ value: number, text: string, paint: string, bold?: boolean }} Label */

/**
 * @typedef {object} Content
 * @property {number} most what the upper edge stands for
 * @property {number[]} ticks
 * @property {(value: number) => string} tickText
 * @property {Drawn[]} lines
 * @property {number[]} across heights of dotted lines
 * @property {number | undefined} edge the height of a line that all must stay below
 * @property {Label[]} labels
 */

/** With more of them working sets would be a thicket. */
const MOST_WORKING = 3;

/** @param {Line} line */
const lastOf = ({ v }) => v[v.length - 1] ?? 0;

/**
 * @param {Line} line
 * @param {any} style
 * @returns {Drawn}
 */
const drawn = (line, style) => ({
  line: (from, to, columns) => thin(line.t, line.v, from, to, columns),
  series: { spanGaps: true, points: { show: false }, ...style },
});

/**
 * A limit as a line of its own: flat up to each change, and to the end of the cgroup.
 * @param {Group} group
 * @param {View} whole
 * @param {number} most limits above are not drawn
 * @returns {Table}
 */
function limitLine({ limits, removedAt }, whole, most) {
  /** @type {Table} */
  const table = { t: [], v: [] };
  for (let at = 0; at < limits.t.length; at++) {
    const value = limits.v[at] ?? -1;
    const begin = limits.t[at] ?? 0;
    const end = limits.t[at + 1] ?? removedAt ?? whole.to;
    const shown = value < 0 || value > most ? null : value;
    table.t.push(begin, Math.max(end - 0.001, begin));
    table.v.push(shown, shown);
  }
  return table;
}

/**
 * @param {What} what
 * @param {readonly Group[]} groups those that are switched on
 * @param {View} whole
 * @returns {Content}
 */
export function contentOf(what, groups, whole) {
  if (what === "pressure") return pressureOf(groups);
  return what === "share" ? sharesOf(groups) : bytesOf(groups, whole);
}

/**
 * @param {readonly Group[]} groups
 * @returns {Content}
 */
function pressureOf(groups) {
  const peaks = groups.flatMap(({ some, full }) => [mostOf(some.v), mostOf(full.v)]);
  const most = shareHeight(peaks, 10);
  return {
    most,
    ticks: ticksBetween(0, most, most > 50 ? 50 : percentStep(most) * 2),
    tickText: (value) => `${value} %`,
    lines: groups.flatMap(({ some, full, hue }) => [
      drawn(some, { stroke: colour(`g${hue}`), width: 1, dash: [4, 2] }),
      drawn(full, { stroke: colour(`g${hue}`), width: 1.75 }),
    ]),
    across: [],
    edge: undefined,
    labels: [],
  };
}

/**
 * @param {readonly Group[]} groups
 * @returns {Content}
 */
function sharesOf(groups) {
  const shares = groups.map((group) => ({
    group,
    paint: colour(`g${group.hue}`),
    line: shareOf(group.usage.t, group.usage.v, group.limits),
  })).filter(({ line }) => line.t.length > 0);
  const most = shareHeight(shares.map(({ line }) => mostOf(line.v)), 100);
  return {
    most,
    ticks: ticksBetween(0, most, percentStep(most)),
    tickText: (value) => `${value} %`,
    lines: shares.map(({ line, paint }) => drawn(line, { stroke: paint, width: 1.75 })),
    across: [],
    edge: 100,
    labels: [
      { value: 100, text: "limit", paint: colour("bad") },
      ...shares.map(({ group, line, paint }) => ({
        value: lastOf(line),
        text: group.name,
        paint,
        bold: true,
      })),
    ],
  };
}

/**
 * @param {readonly Group[]} groups
 * @param {View} whole
 * @returns {Content}
 */
function bytesOf(groups, whole) {
  const only = groups.length === 1 ? groups[0] : undefined;
  const most = heightFor(
    groups.map((group) => mostOf(group.usage.v)),
    groups.flatMap((group) => [...group.limits.v]),
  );
  const across = only ? only.marks.filter(({ bytes }) => bytes <= most) : [];
  const lines = groups.flatMap((group) => {
    const paint = colour(`g${group.hue}`);
    const steps = limitLine(group, whole, most);
    const area = only ? { fill: `${paint}1c` } : {};
    const dashed = { stroke: only ? colour("bad") : paint, width: 1.25, dash: [7, 4] };
    return [
      ...(groups.length > MOST_WORKING
        ? []
        : [drawn(group.working, { stroke: `${paint}a6`, width: 1, ...area })]),
      { line: () => steps, series: { points: { show: false }, ...dashed } },
      drawn(group.usage, { stroke: paint, width: 1.75 }),
    ];
  });
  return {
    most,
    ticks: ticksBetween(0, most, byteStep(0, most, 7)),
    tickText: bytesTick,
    lines,
    across: across.map(({ bytes }) => bytes),
    edge: undefined,
    labels: only ? labelsOf(only, most, across) : groups.map((group) => ({
      value: lastOf(group.usage),
      text: group.name,
      paint: colour(`g${group.hue}`),
      bold: true,
    })),
  };
}

/**
 * Of one cgroup alone the lines have names.
 * @param {Group} group
 * @param {number} most
 * @param {readonly { name: string, bytes: number }[]} marks
 * @returns {Label[]}
 */
function labelsOf(group, most, marks) {
  const paint = colour(`g${group.hue}`);
  const limit = lastOf(group.limits);
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
    ...(group.usage.v.length ? [label(lastOf(group.usage), "usage", { paint, bold: true })] : []),
    ...(group.working.v.length ? [label(lastOf(group.working), "working set", { paint })] : []),
    ...marks.map(({ name, bytes }) => label(bytes, name, { paint: colour("soft") })),
  ];
}
