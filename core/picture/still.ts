/** A still picture of a run, as SVG: the verdict, memory and pressure over time, the most severe events. Pure. */

import {
  type ChartEvent,
  type Group,
  isByShare,
  limitSeries,
  mostSevere,
  type Picture,
  SHOWN_AT_FIRST,
} from "./picture.ts";
import { MIN_PX_PER_TIME_TICK, spread, ticksBetween, timeStep } from "./page/axis.js";
import {
  type ChartKind,
  type Content,
  contentOf,
  type Curve,
  type Group as DrawnGroup,
} from "./page/content.js";
import { clockText, cut, spanText } from "../figures.js";
import { GLYPHS, isKill, withRoom } from "./page/glyphs.js";
import palette from "./page/palette.css" with { type: "text" };
import style from "./page/still.css" with { type: "text" };
import type { Series } from "./series.ts";
import { escaped, shortName, wrapped } from "./text.ts";

const WIDTH = 1100;
const LEFT = 78;
const LABELS_WIDTH = 190;
const PLOT_WIDTH = WIDTH - LEFT - LABELS_WIDTH;
const MEMORY_HEIGHT = 300;
const PRESSURE_HEIGHT = 90;
const MIN_PX_BETWEEN_LABELS = 15;
const MAX_LISTED_EVENTS = 14;

export const TONE_MARKS = { bad: "✕", warn: "▲", fine: "✓" } as const;

/** A complete SVG file. */
export function stillPicture(picture: Picture): string {
  const head = headOf(picture);
  const charts = chartsOf(picture, head.bottom + 34);
  const list = eventList(picture, charts.bottom + 34);
  const height = list.bottom + 16;
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" class="still" role="img" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}">
<title>${escaped(picture.verdict)}</title>
<style>${palette}${style}</style>
<rect class="sheet" width="${WIDTH}" height="${height}"/>
${head.text}
${charts.text}
${list.text}
</svg>
`;
}

/** The charts alone, for a page that has the style and the rest. */
export function stillCharts(picture: Picture): string {
  const { text, bottom } = chartsOf(picture, 30);
  return `<svg class="still" role="img" width="${WIDTH}" height="${bottom}" viewBox="0 0 ${WIDTH} ${bottom}">` +
    `<title>${escaped(picture.verdict)}</title>${text}</svg>`;
}

/** The command, the machine and the time. */
export function aboutLine({ from, to, command, host, kernel, hierarchy }: Picture): string {
  const day = new Date(from).toISOString().slice(0, 10);
  return `oomkit ${command} · ${cut(host, 40)} · Linux ${
    cut(kernel, 40)
  }, cgroup v${hierarchy} · ${day} ${clockText(from, 1000)} UTC, ${spanText(to - from)}`;
}

interface Piece {
  readonly text: string;
  readonly bottom: number;
}

function headOf(picture: Picture): Piece {
  const { tone, verdict, remarks } = picture;
  const lines = wrapped(verdict, 92, 3);
  const below = 60 + 26 * lines.length;
  const text = [
    `<text x="20" y="30">${escaped(aboutLine(picture))}</text>`,
    `<text class="tone-${tone}" x="20" y="60" font-size="19">${TONE_MARKS[tone]}</text>`,
    ...lines.map((line, at) =>
      `<text class="verdict" x="44" y="${60 + 26 * at}">${escaped(line)}</text>`
    ),
    ...remarks.map((remark, at) => `<text x="44" y="${below + 16 * at}">${escaped(remark)}</text>`),
  ];
  return { text: text.join(""), bottom: below + 16 * remarks.length };
}

/** A chart at its place. */
interface Frame extends Content {
  readonly top: number;
  readonly height: number;
  readonly from: number;
  readonly to: number;
}

const round = (value: number) => String(Math.round(value * 10) / 10);
const clamped = (share: number) => Math.min(1, Math.max(0, share));
const xOf = ({ from, to }: Frame, at: number) =>
  LEFT + PLOT_WIDTH * clamped((at - from) / (to - from));
const yOf = ({ top, height, max }: Frame, value: number) =>
  top + height * (1 - clamped(value / max));
const bottomOf = ({ top, height }: Frame) => top + height;

function chartsOf(picture: Picture, top: number): Piece {
  const { from, to } = picture;
  const shown = picture.groups.slice(0, SHOWN_AT_FIRST)
    .map((group, index) => drawnGroup(group, index, to));
  const frame = (kind: ChartKind, top: number, height: number): Frame => ({
    ...contentOf(kind, shown),
    top,
    height,
    from,
    to,
  });
  const isShare = isByShare(picture);
  const memory = frame(isShare ? "share" : "bytes", top, MEMORY_HEIGHT);
  const hasPressure = shown.some(({ some, full }) => some.t.length + full.t.length > 0);
  const pressure = hasPressure
    ? frame("pressure", bottomOf(memory) + 44, PRESSURE_HEIGHT)
    : undefined;
  const lowest = pressure ?? memory;
  const omitted = picture.groups.length - shown.length;
  return {
    text: heading(isShare ? "Memory, % of each limit" : "Memory", top - 20) +
      valueAxis(memory) + levelLines(memory) + curves(memory) +
      eventMarks(memory, picture.events, bottomOf(lowest)) + labels(memory, omitted) +
      (pressure === undefined ? "" : heading(
        "Memory pressure (PSI, % of the last 10 s)",
        pressure.top - 10,
      ) + valueAxis(pressure) + curves(pressure)) +
      timeAxis(lowest),
    bottom: bottomOf(lowest) + 30,
  };
}

function drawnGroup(group: Group, index: number, to: number): DrawnGroup {
  const line = ({ t, v, length }: Series) => ({
    t: t.subarray(0, length),
    v: v.subarray(0, length),
  });
  return {
    name: shortName(group.path, 26),
    usage: line(group.usage),
    working: line(group.working),
    some: line(group.some),
    full: line(group.full),
    limits: line(limitSeries(group, to)),
    marks: group.marks,
    removedAt: group.removedAt,
    colour: `g${index % 8}`,
  };
}

const heading = (text: string, y: number) =>
  `<text class="strong name" x="20" y="${y}">${text}</text>`;

function valueAxis(frame: Frame): string {
  return frame.ticks.map((value) => {
    const y = round(yOf(frame, value));
    return `<path class="line" d="M${LEFT} ${y}h${PLOT_WIDTH}"/>` +
      `<text x="${LEFT - 8}" y="${y}" dy="4" text-anchor="end">${frame.tickText(value)}</text>`;
  }).join("");
}

function timeAxis(frame: Frame): string {
  const { from, to } = frame;
  const step = timeStep(from, to, PLOT_WIDTH / MIN_PX_PER_TIME_TICK);
  const bottom = bottomOf(frame);
  return ticksBetween(from, to, step).map((at) => {
    const x = round(xOf(frame, at));
    return `<path class="line" d="M${x} ${bottom}v5"/>` +
      `<text x="${x}" y="${bottom + 18}" text-anchor="middle">${clockText(at, step)}</text>`;
  }).join("");
}

function levelLines(frame: Frame): string {
  const level = (value: number, classes: string) =>
    `<path class="${classes}" d="M${LEFT} ${round(yOf(frame, value))}h${PLOT_WIDTH}"/>`;
  return (frame.dotted ?? []).map((value) => level(value, "mark")).join("") +
    (frame.edge === undefined ? "" : level(frame.edge, "limit bad"));
}

function curves(frame: Frame): string {
  return frame.curves.map((curve) => {
    const { kind, colour, isFilled } = curve;
    const { path, area } = pathsOf(frame, curve);
    const fill = isFilled && path !== "" ? `<path class="area ${colour}" d="${area}"/>` : "";
    return `${fill}<path class="${kind} ${colour}" d="${path}"/>`;
  }).join("");
}

/** The data of SVG paths: the curve as steps, and the area down to the lower edge. */
function pathsOf(frame: Frame, { points }: Curve): { path: string; area: string } {
  const { t, v } = points(frame.from, frame.to, PLOT_WIDTH / 2);
  let path = "";
  let isInterrupted = true;
  t.forEach((at, index) => {
    const value = v[index] ?? null;
    if (value !== null) {
      const [x, y] = [round(xOf(frame, at)), round(yOf(frame, value))];
      path += isInterrupted ? `M${x} ${y}` : `H${x}V${y}`;
    }
    isInterrupted = value === null;
  });
  const [first, last] = [t[0] ?? 0, t.at(-1) ?? 0].map((at) => round(xOf(frame, at)));
  return { path, area: `${path}L${last} ${bottomOf(frame)}L${first} ${bottomOf(frame)}Z` };
}

/** Beside the right edge, each with a thin line to its value; then how many cgroups are not drawn. */
function labels(frame: Frame, omitted: number): string {
  const right = LEFT + PLOT_WIDTH;
  const placed = (frame.labels ?? []).map(({ value, ...label }) => ({
    ...label,
    y: yOf(frame, value),
  }));
  const rest = { y: bottomOf(frame), text: `and ${omitted} more`, colour: "soft", bold: false };
  return spread(
    omitted > 0 ? [...placed, rest] : placed,
    MIN_PX_BETWEEN_LABELS,
    frame.top,
    bottomOf(frame),
  ).map(({ y, at, text, colour, bold }) => {
    const leader = Math.abs(y - at) < 1
      ? ""
      : `<path class="line" d="M${right + 2} ${round(y)}L${right + 10} ${round(at)}"/>`;
    return `${leader}<text class="${bold ? "name " : ""}${colour}" x="${right + 12}" y="${
      round(at)
    }" dy="4">${escaped(text)}</text>`;
  }).join("");
}

/** Above the chart, as many as have room. Kills and actions get a vertical line down to `bottom`. */
function eventMarks(frame: Frame, events: readonly ChartEvent[], bottom: number): string {
  return withRoom(events, ({ at }) => xOf(frame, at)).map(({ at, kind, text }) => {
    const x = round(xOf(frame, at));
    const line = isKill(kind)
      ? `<path class="fall ${kind}" d="M${x} ${frame.top - 4}V${bottom}"/>`
      : "";
    return line + glyph(kind, x, frame.top - 11, `<title>${escaped(text)}</title>`);
  }).join("");
}

const glyph = (kind: string, x: number | string, y: number, content = "") =>
  `<path class="glyph ${kind}" transform="translate(${x} ${y})" d="${
    GLYPHS[kind]
  }">${content}</path>`;

/** The most severe events, by time. */
function eventList({ events, from, groups }: Picture, top: number): Piece {
  const listed = mostSevere(events, MAX_LISTED_EVENTS);
  const rows = listed.map(({ at, kind, group, text }, row) => {
    const y = top + 8 + 19 * row;
    const name = groups.length > 1 && group !== null
      ? `${shortName(groups[group]!.path, 24)}: `
      : "";
    return `${glyph(kind, 26, y - 4)}<text x="44" y="${y}">${clockText(at)}</text>` +
      `<text x="130" y="${y}">+${spanText(at - from)}</text>` +
      `<text class="strong" x="${LEFT + 132}" y="${y}">${escaped(cut(name + text, 125))}</text>`;
  });
  const omitted = events.length - rows.length;
  const bottom = top + 19 * rows.length;
  if (omitted <= 0) return { text: rows.join(""), bottom };
  const more = `<text x="44" y="${bottom + 8}">and ${omitted} less severe events</text>`;
  return { text: rows.join("") + more, bottom: bottom + 19 };
}
