// @ts-check
/** The content of each chart: curves, ticks and labels. Drawn by charts.js in the page and by still.ts in the still picture. */

import { byteStep, heightFor, maxOf, percentStep, shareHeight, ticksBetween } from "./axis.js";
import { bytesText, bytesTick } from "../../figures.js";
import { thin, valueAt } from "./thin.js";

/** @typedef {{ t: Float64Array, v: Float64Array }} Line milliseconds since the epoch, and the values from each time on */

/**
 * @typedef {object} Group a cgroup
 * @property {string} name
 * @property {Line} usage
 * @property {Line} working
 * @property {Line} some
 * @property {Line} full
 * @property {Line} limits -1 for none
 * @property {readonly { name: string, bytes: number }[]} marks levels of a guard and thresholds
 * @property {number | null} removedAt
 * @property {string} colour a name of palette.css, such as `g0`
 */

/** @typedef {{ at: number, group: number | null, kind: string, text: string }} RunEvent */
/** @typedef {{ from: number, to: number }} View milliseconds since the epoch */
/** @typedef {"bytes" | "share" | "pressure"} ChartKind */
/** @typedef {{ t: number[], v: (number | null)[] }} Points each value holds until the next one; `null` interrupts the curve */

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

/**
 * Values below 0 and above `max` are not drawn.
 * @type {(kind: Curve["kind"], colour: string, line: Line, max?: number, isFilled?: boolean) => Curve}
 */
const curveOf = (kind, colour, { t, v }, max = Infinity, isFilled = false) => ({
  kind,
  colour,
  isFilled,
  points: (from, to, columns) => interrupted(thin(t, v, from, to, columns), max),
});

/** Shorter than any distance between two samples. */
const MS_BESIDE_GAP = 0.001;

/**
 * A gap begins at the first value that is not drawn and ends at the next one that is.
 * @type {(points: { t: number[], v: number[] }, max: number) => Points}
 */
function interrupted(points, max) {
  const isDrawn = (/** @type {number} */ value) => value >= 0 && value <= max;
  if (points.v.every(isDrawn)) return points;
  /** @type {Points} */
  const drawn = { t: [], v: [] };
  points.t.forEach((at, index) => {
    const value = points.v[index] ?? -1;
    const shown = isDrawn(value) ? value : null;
    const before = drawn.v.at(-1);
    if (before !== undefined && (before === null) !== (shown === null)) {
      drawn.t.push(at - MS_BESIDE_GAP);
      drawn.v.push(before);
    }
    drawn.t.push(at);
    drawn.v.push(shown);
  });
  return drawn;
}

/** @type {(kind: ChartKind, groups: readonly Group[]) => Content} */
export function contentOf(kind, groups) {
  if (kind === "pressure") return pressureContent(groups);
  return kind === "share" ? shareContent(groups) : bytesContent(groups);
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
    line: shareOf(usage, limits),
  })).filter(({ line }) => line.v.some((value) => value >= 0));
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
 * Percent of the limit, also where only the limit changes; -1 while there is no limit, which is one below 1.
 * @type {(usage: Line, limits: Line) => Line}
 */
export function shareOf(usage, limits) {
  const first = usage.t[0] ?? Infinity;
  const t = Float64Array.from(new Set([...usage.t, ...limits.t.filter((at) => at > first)])).sort();
  const v = t.map((at) => {
    const limit = valueAt(limits, at) ?? limits.v[0] ?? -1;
    return limit < 1 ? -1 : 100 * (valueAt(usage, at) ?? 0) / limit;
  });
  return { t, v };
}

/** @type {(groups: readonly Group[]) => Content} */
function bytesContent(groups) {
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
        : [curveOf("working", group.colour, group.working, max, only !== undefined)]),
      curveOf("limit", only ? "bad" : group.colour, group.limits, max),
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
