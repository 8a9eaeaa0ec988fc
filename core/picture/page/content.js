// @ts-check
/** The content of each chart: curves, ticks and labels. Drawn by charts.js in the page and by still.ts in the still picture. */

import { byteStep, heightFor, maxOf, percentStep, shareHeight, ticksBetween } from "./axis.js";
import { bytesText, bytesTick } from "../../figures.js";
import { indexAt, thin } from "./thin.js";

/** @typedef {{ t: Float64Array, v: Float64Array }} Line milliseconds since the epoch, and values */

/**
 * @typedef {object} Group a cgroup
 * @property {string} name
 * @property {Line} usage
 * @property {Line} working
 * @property {Line} some
 * @property {Line} full
 * @property {Line} limits each from its time on; -1 for none
 * @property {readonly { name: string, bytes: number }[]} marks levels of a guard and thresholds
 * @property {number | null} removedAt
 * @property {string} colour a name of palette.css, such as `g0`
 */

/** @typedef {{ at: number, group: number | null, kind: string, text: string }} RunEvent */
/** @typedef {{ from: number, to: number }} View milliseconds since the epoch */
/** @typedef {"bytes" | "share" | "pressure"} ChartKind */
/** @typedef {{ t: number[], v: (number | null)[] }} Points `null` interrupts the curve */

/**
 * @typedef {object} Curve
 * @property {"usage" | "working" | "limit" | "some" | "full"} kind
 * @property {string} colour
 * @property {boolean} isFilled down to the lower edge
 * @property {(from: number, to: number, columns: number) => Points} points
 */

/** @typedef {{ value: number, text: string, colour: string, bold?: boolean }} Label */

/**
 * @typedef {object} Content
 * @property {number} max the value of the upper edge; the lower edge is 0
 * @property {number[]} ticks
 * @property {(value: number) => string} tickText
 * @property {Curve[]} curves
 * @property {number[]} [dotted] heights of dotted lines
 * @property {number} [edge] the height of the limit, where it is the same for all
 * @property {Label[]} [labels]
 */

/** With more cgroups, working sets would overlap too much to be read. */
const MAX_WORKING_SETS = 3;

/** @param {Line} line */
const lastOf = ({ v }) => v[v.length - 1] ?? 0;

/** @param {number} value */
const percentTick = (value) => `${Math.round(value)} %`;

/** The name of a cgroup beside its last value. @type {(group: { name: string, colour: string }, line: Line) => Label} */
const nameLabel = ({ name, colour }, line) => ({
  value: lastOf(line),
  text: name,
  colour,
  bold: true,
});

/** @type {(kind: Curve["kind"], colour: string, line: Line, isFilled?: boolean) => Curve} */
const curveOf = (kind, colour, { t, v }, isFilled = false) => ({
  kind,
  colour,
  isFilled,
  points: (from, to, columns) => thin(t, v, from, to, columns),
});

/**
 * The limit as steps, up to the end of the cgroup. Limits above `max` are not drawn.
 * @type {(group: Group, colour: string, whole: View, max: number) => Curve}
 */
function limitCurve({ limits, removedAt }, colour, whole, max) {
  /** @type {Points} */
  const points = { t: [], v: [] };
  for (let at = 0; at < limits.t.length; at++) {
    const value = limits.v[at] ?? -1;
    const begin = limits.t[at] ?? 0;
    const end = limits.t[at + 1] ?? removedAt ?? whole.to;
    const shown = value < 0 || value > max ? null : value;
    points.t.push(begin, Math.max(end - 0.001, begin));
    points.v.push(shown, shown);
  }
  return { kind: "limit", colour, isFilled: false, points: () => points };
}

/**
 * Draws these cgroups; `whole` is the time of the run.
 * @type {(kind: ChartKind, groups: readonly Group[], whole: View) => Content}
 */
export function contentOf(kind, groups, whole) {
  if (kind === "pressure") return pressureContent(groups);
  return kind === "share" ? shareContent(groups) : bytesContent(groups, whole);
}

/** @type {(groups: readonly Group[]) => Content} */
function pressureContent(groups) {
  const max = shareHeight(groups.flatMap(({ some, full }) => [maxOf(some.v), maxOf(full.v)]), 10);
  return {
    max,
    ticks: ticksBetween(0, max, max > 50 ? 50 : percentStep(max) * 2),
    tickText: percentTick,
    curves: groups.flatMap(({ some, full, colour }) => [
      curveOf("some", colour, some),
      curveOf("full", colour, full),
    ]),
  };
}

/**
 * Usage as a share of the limit at each time, which compares cgroups of different sizes.
 * @type {(groups: readonly Group[]) => Content}
 */
function shareContent(groups) {
  const shares = groups.map(({ name, colour, usage, limits }) => ({
    name,
    colour,
    line: shareOf(usage.t, usage.v, limits),
  })).filter(({ line }) => line.t.length > 0);
  const max = shareHeight(shares.map(({ line }) => maxOf(line.v)), 100);
  return {
    max,
    ticks: ticksBetween(0, max, percentStep(max)),
    tickText: percentTick,
    curves: shares.map(({ line, colour }) => curveOf("usage", colour, line)),
    edge: 100,
    labels: [
      { value: 100, text: "limit", colour: "bad" },
      ...shares.map((share) => nameLabel(share, share.line)),
    ],
  };
}

/**
 * Percent of the limit, without the times at which there was no limit. Times rise; limits hold from their time on, below 1 is none.
 * @type {(times: ArrayLike<number>, values: ArrayLike<number>, limits: { t: ArrayLike<number>, v: ArrayLike<number> }) => Line}
 */
export function shareOf(times, values, limits) {
  const t = new Float64Array(times.length);
  const v = new Float64Array(times.length);
  let length = 0;
  for (let at = 0; at < times.length; at++) {
    const time = times[at] ?? 0;
    const limit = limits.v[Math.max(0, indexAt(limits.t, time + 1e-9) - 1)] ?? -1;
    if (limit < 1) continue;
    t[length] = time;
    v[length] = 100 * (values[at] ?? 0) / limit;
    length++;
  }
  return { t: t.subarray(0, length), v: v.subarray(0, length) };
}

/** @type {(groups: readonly Group[], whole: View) => Content} */
function bytesContent(groups, whole) {
  const only = groups.length === 1 ? groups[0] : undefined;
  const max = heightFor(
    groups.map(({ usage }) => maxOf(usage.v)),
    groups.flatMap(({ limits }) => [...limits.v]),
  );
  const marks = only ? only.marks.filter(({ bytes }) => bytes <= max) : [];
  return {
    max,
    ticks: ticksBetween(0, max, byteStep(0, max, 7)),
    tickText: bytesTick,
    curves: groups.flatMap((group) => [
      ...(groups.length > MAX_WORKING_SETS
        ? []
        : [curveOf("working", group.colour, group.working, only !== undefined)]),
      limitCurve(group, only ? "bad" : group.colour, whole, max),
      curveOf("usage", group.colour, group.usage),
    ]),
    dotted: marks.map(({ bytes }) => bytes),
    labels: only
      ? labelsOf(only, max, marks)
      : groups.map((group) => nameLabel(group, group.usage)),
  };
}

/** A single cgroup has a label for each curve. @type {(group: Group, max: number, marks: Group["marks"]) => Label[]} */
function labelsOf({ colour, limits, usage, working }, max, marks) {
  /** @type {(value: number, name: string, colour: string, bold?: boolean) => Label} */
  const label = (value, name, colour, bold = false) => ({
    value: Math.min(value, max),
    text: `${value > max ? "↑ " : ""}${name} ${bytesText(value)}`,
    colour,
    bold,
  });
  const limit = lastOf(limits);
  return [
    ...(limit > 0 ? [label(limit, "limit", "bad")] : []),
    ...(usage.v.length ? [label(lastOf(usage), "usage", colour, true)] : []),
    ...(working.v.length ? [label(lastOf(working), "working set", colour)] : []),
    ...marks.map(({ name, bytes }) => label(bytes, name, "soft")),
  ];
}
