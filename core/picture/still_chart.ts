/** One chart of a still picture: axes, lines, labels beside the lines. Pure. */

import { bytesTick, clockText } from "./page/figures.js";
import { spread } from "./page/labels.js";
import { thin } from "./page/thin.js";
import { byteStep, percentStep, ticksBetween, timeStep } from "./page/ticks.js";
import type { Series } from "./series.ts";
import { escaped } from "./text.ts";

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Frame {
  readonly box: Box;
  readonly from: number;
  readonly to: number;
  /** What the upper edge stands for; the lower one is 0. */
  readonly most: number;
}

export interface Label {
  readonly y: number;
  readonly text: string;
  readonly class: string;
}

const round = (value: number) => String(Math.round(value * 10) / 10);

export const xOf = ({ box, from, to }: Frame, at: number) =>
  box.left + box.width * Math.min(1, Math.max(0, (at - from) / (to - from)));
export const yOf = ({ box, most }: Frame, value: number) =>
  box.top + box.height * (1 - Math.min(1, Math.max(0, value / most)));

/** The grid with its sizes, and the clock beneath. */
export function axes(frame: Frame, unit: "bytes" | "percent", withClock: boolean): string {
  const { box, from, to, most } = frame;
  const step = unit === "bytes"
    ? byteStep(0, most, box.height / 45)
    : percentStep(most) * (box.height < 150 ? 2 : 1);
  const rows = ticksBetween(0, most, step).map((value) => {
    const y = round(yOf(frame, value));
    const text = unit === "bytes" ? bytesTick(value) : `${Math.round(value)} %`;
    return `<path class="line" d="M${box.left} ${y}H${box.left + box.width}"/>` +
      `<text x="${box.left - 8}" y="${y}" dy="4" text-anchor="end">${text}</text>`;
  });
  if (!withClock) return rows.join("");
  const pace = timeStep(from, to, box.width / 110);
  const bottom = box.top + box.height;
  const columns = ticksBetween(from, to, pace).map((at) => {
    const x = round(xOf(frame, at));
    return `<path class="line" d="M${x} ${bottom}v5"/>` +
      `<text x="${x}" y="${bottom + 18}" text-anchor="middle">${clockText(at, pace)}</text>`;
  });
  return rows.join("") + columns.join("");
}

/** @returns the data of an SVG path, two columns to a pixel at most; empty without points. */
export function pathOf(frame: Frame, { t, v, length }: Series): string {
  const thinned = thin(
    t.subarray(0, length),
    v.subarray(0, length),
    frame.from,
    frame.to,
    frame.box.width / 2,
  );
  return thinned.t.map((at, place) =>
    `${place === 0 ? "M" : "L"}${round(xOf(frame, at))} ${round(yOf(frame, thinned.v[place]!))}`
  ).join("");
}

/** The same down to the lower edge. */
export function areaOf(frame: Frame, series: Series): string {
  const line = pathOf(frame, series);
  if (line === "") return "";
  const bottom = round(frame.box.top + frame.box.height);
  const first = round(xOf(frame, series.t[0]!));
  const last = round(xOf(frame, series.t[series.length - 1]!));
  return `${line}L${last} ${bottom}L${first} ${bottom}Z`;
}

const GAP = 15;

/** Beside the right edge, with a thin line to what each one names. */
export function labelsBeside({ box }: Frame, labels: readonly Label[]): string {
  const right = box.left + box.width;
  return spread(labels, GAP, box.top, box.top + box.height).map(({ y, at, text, ...label }) => {
    const leader = Math.abs(y - at) < 1
      ? ""
      : `<path class="leader" d="M${right + 2} ${round(y)}L${right + 10} ${round(at)}"/>`;
    return `${leader}<text class="${label.class}" x="${right + 12}" y="${round(at)}" dy="4">${
      escaped(text)
    }</text>`;
  }).join("");
}
