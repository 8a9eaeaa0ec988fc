/** One chart of a still picture: axes, lines, labels beside the lines. Pure. */

import { bytesText, bytesTick, clockText, spanText } from "./page/figures.js";
import { GLYPHS, SEVERITY, withRoom } from "./page/glyphs.js";
import { heightFor, mostOf, shareHeight } from "./page/height.js";
import { spread } from "./page/labels.js";
import palette from "./page/palette.css" with { type: "text" };
import { shareOf } from "./page/share.js";
import look from "./page/still.css" with { type: "text" };
import { thin } from "./page/thin.js";
import { byteStep, percentStep, ticksBetween, timeStep } from "./page/ticks.js";
import {
  type ChartEvent,
  type Group,
  isByShare,
  type Picture,
  SHOWN_AT_FIRST,
  type Step,
} from "./picture.ts";
import type { Series } from "./series.ts";
import { cut, escaped, shortName, wrapped } from "./text.ts";

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

/* Memory in a still picture: the lines of each cgroup, and what stands beside them. Pure. */

export interface MemoryChart {
  readonly title: string;
  readonly unit: "bytes" | "percent";
  readonly frame: Frame;
  readonly lines: string;
  readonly labels: readonly Label[];
}

/** Sizes, with limits and marks. */
export function bytesChart(shown: readonly Group[], frameOf: (most: number) => Frame): MemoryChart {
  const frame = frameOf(heightFor(
    shown.map(({ peak }) => peak ?? 0),
    shown.flatMap(({ limits }) => limits.map(({ limit }) => limit ?? 0)),
  ));
  return {
    title: "Memory",
    unit: "bytes",
    frame,
    lines: shown.map((group, place) => memoryLines(frame, group, place, shown.length)).join(""),
    labels: memoryLabels(frame, shown),
  };
}

/** How near each is to its own limit. */
export function shareChart(shown: readonly Group[], frameOf: (most: number) => Frame): MemoryChart {
  const shares = shown.map(({ usage, limits }) => {
    const { t, v } = shareOf(usage.t.subarray(0, usage.length), usage.v, {
      t: limits.map(({ at }) => at),
      v: limits.map(({ limit }) => limit ?? -1),
    });
    return { t, v, length: t.length };
  });
  const frame = frameOf(shareHeight(shares.map(({ v }) => mostOf(v)), 100));
  const edge = yOf(frame, 100);
  return {
    title: "Memory, % of each limit",
    unit: "percent",
    frame,
    lines:
      `<path class="limit ownlimit" d="M${frame.box.left} ${
        edge.toFixed(1)
      }h${frame.box.width}"/>` +
      shares.map((share, place) =>
        `<path class="usage s${place % 8}" d="${pathOf(frame, share)}"/>`
      ).join(""),
    labels: [
      { y: edge, text: "limit", class: "ownlimit" },
      ...shares.map((share, place) => ({
        y: yOf(frame, share.v.at(-1) ?? 0),
        text: shortName(shown[place]!.path, 26),
        class: `name f${place % 8}`,
      })),
    ],
  };
}

const MAX_WORKING = 3;

function memoryLines(frame: Frame, group: Group, place: number, count: number): string {
  const hue = place % 8;
  const alone = count === 1;
  const area = alone ? `<path class="area f${hue}" d="${areaOf(frame, group.working)}"/>` : "";
  const marks = alone
    ? group.marks.filter(({ bytes }) => bytes <= frame.most).map(({ bytes }) =>
      `<path class="mark" d="M${frame.box.left} ${
        yOf(frame, bytes).toFixed(1)
      }h${frame.box.width}"/>`
    ).join("")
    : "";
  const working = count > MAX_WORKING
    ? ""
    : `<path class="working s${hue}" d="${pathOf(frame, group.working)}"/>`;
  return `${area}${marks}${working}` +
    `<path class="limit ${alone ? "ownlimit" : `s${hue}`}" d="${
      stepsPath(frame, group.limits, group.removedAt)
    }"/>` +
    `<path class="usage s${hue}" d="${pathOf(frame, group.usage)}"/>`;
}

function stepsPath(frame: Frame, steps: readonly Step[], gone: number | null): string {
  let path = "";
  steps.forEach(({ at, limit }, place) => {
    if (limit === null || limit > frame.most) return;
    const end = steps[place + 1]?.at ?? gone ?? frame.to;
    const y = yOf(frame, limit).toFixed(1);
    path += `M${xOf(frame, at).toFixed(1)} ${y}H${xOf(frame, end).toFixed(1)}`;
  });
  return path;
}

/** One cgroup has its lines named; of several each has its name. */
function memoryLabels(frame: Frame, shown: readonly Group[]): Label[] {
  const lastOf = ({ v, length }: Series) => v[length - 1];
  const [only] = shown;
  if (only === undefined) return [];
  if (shown.length > 1) {
    return shown.map((group, place) => ({
      y: yOf(frame, lastOf(group.usage) ?? 0),
      text: shortName(group.path, 26),
      class: `name f${place % 8}`,
    }));
  }
  const label = (bytes: number, text: string, style: string) => ({
    y: yOf(frame, bytes),
    text: `${text} ${bytesText(bytes)}`,
    class: style,
  });
  return [
    ...(only.limit === null
      ? []
      : [label(only.limit, only.limit > frame.most ? "↑ limit" : "limit", "ownlimit")]),
    ...(only.usage.length === 0 ? [] : [label(lastOf(only.usage)!, "usage", "name f0")]),
    ...(only.working.length === 0 ? [] : [label(lastOf(only.working)!, "working set", "f0")]),
    ...only.marks.filter(({ bytes }) => bytes <= frame.most)
      .map(({ name, bytes }) => label(bytes, name, "strong")),
  ];
}

/* A still picture of a run, as SVG: the verdict, memory and pressure over time, what happened. Pure. */

const WIDTH = 1100;
const LEFT = 78;
const RIGHT = 190;
const PLOT = WIDTH - LEFT - RIGHT;
const MEMORY = 300;
const PRESSURE = 90;
const LISTED = 14;

export const TONE_MARKS = { bad: "✕", warn: "▲", fine: "✓" } as const;

/** A file of its own: with its sheet, its style and its verdict. */
export function stillPicture(picture: Picture): string {
  const head = headOf(picture);
  const charts = chartsOf(picture, head.height + 34);
  const list = listOf(picture, charts.bottom + 34);
  const height = list.bottom + 16;
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" class="still" role="img" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}">
<title>${escaped(picture.verdict)}</title>
<style>${palette}${look}</style>
<rect class="sheet" width="${WIDTH}" height="${height}"/>
${head.text}
${charts.text}
${list.text}
</svg>
`;
}

/** The charts alone, for a page that has the rest and the style already. */
export function stillCharts(picture: Picture): string {
  const { text, bottom } = chartsOf(picture, 30);
  return `<svg class="still" role="img" width="${WIDTH}" height="${bottom}" viewBox="0 0 ${WIDTH} ${bottom}">` +
    `<title>${escaped(picture.verdict)}</title>${text}</svg>`;
}

interface Piece {
  readonly text: string;
  readonly bottom: number;
}

function headOf(picture: Picture) {
  const lines = wrapped(picture.verdict, 92, 3);
  const mark = TONE_MARKS[picture.tone];
  const texts = lines.map((line, at) =>
    `<text class="verdict" x="44" y="${60 + 26 * at}">${escaped(line)}</text>`
  );
  const below = 60 + 26 * lines.length;
  return {
    text: `<text x="20" y="30">${escaped(aboutLine(picture))}</text>` +
      `<text class="tone-${picture.tone}" x="20" y="60" font-size="19">${mark}</text>${
        texts.join("")
      }` +
      picture.remarks.map((remark, at) =>
        `<text x="44" y="${below + 16 * at}">${escaped(remark)}</text>`
      ).join(""),
    height: below + 16 * picture.remarks.length,
  };
}

/** Which run: the command, the machine, the time. */
export function aboutLine(picture: Picture): string {
  const { from, to, command, host, kernel, hierarchy } = picture;
  const day = new Date(from).toISOString().slice(0, 10);
  const lasted = spanText(to - from);
  return `oomkit ${command} · ${cut(host, 40)} · Linux ${
    cut(kernel, 40)
  }, cgroup v${hierarchy} · ${day} ${clockText(from, 1000)} UTC, ${lasted}`;
}

function chartsOf(picture: Picture, top: number): Piece {
  const { from, to } = picture;
  const shown = picture.groups.slice(0, SHOWN_AT_FIRST);
  const frameOf = (box: Box, most: number): Frame => ({ box, from, to, most });
  const box = { left: LEFT, top, width: PLOT, height: MEMORY };
  const upper = isByShare(picture)
    ? shareChart(shown, (most) => frameOf(box, most))
    : bytesChart(shown, (most) => frameOf(box, most));
  const stalls = shown.flatMap(({ some, full }) => [some, full]);
  const hasPressure = stalls.some(({ length }) => length > 0);
  const base = top + MEMORY;
  const pressure = frameOf(
    { left: LEFT, top: base + 44, width: PLOT, height: PRESSURE },
    shareHeight(stalls.map(({ v, length }) => mostOf(v, length)), 10),
  );
  const lower = hasPressure
    ? heading("Stalled for memory (PSI, % of the last 10 s)", base + 34) +
      axes(pressure, "percent", true) +
      shown.map((group, place) => stallLines(pressure, group, place)).join("")
    : "";
  const { frame } = upper;
  return {
    text: heading(upper.title, top - 20) + axes(frame, upper.unit, !hasPressure) + upper.lines +
      eventMarks(frame, picture.events, hasPressure ? pressure : frame) +
      labelsBeside(frame, withRest(frame, upper.labels, picture.groups.length - shown.length)) +
      lower,
    bottom: (hasPressure ? base + 44 + PRESSURE : base) + 30,
  };
}

const heading = (text: string, y: number) =>
  `<text class="strong name" x="20" y="${y}">${text}</text>`;

/** That there are more is said once, at the bottom. */
function withRest(
  { box }: Frame,
  labels: readonly Label[],
  rest: number,
): readonly Label[] {
  if (rest <= 0) return labels;
  return [...labels, { y: box.top + box.height, text: `and ${rest} more`, class: "" }];
}

function stallLines(frame: Frame, { some, full }: Group, place: number): string {
  const hue = `s${place % 8}`;
  return `<path class="some ${hue}" d="${pathOf(frame, some)}"/>` +
    `<path class="full ${hue}" d="${pathOf(frame, full)}"/>`;
}

/** Above the chart, as many as there is room for; what is grave falls through to the lower edge. */
function eventMarks(frame: Frame, events: readonly ChartEvent[], lowest: Frame): string {
  const bottom = lowest.box.top + lowest.box.height;
  return withRoom(events, ({ at }) => xOf(frame, at)).map((event) => {
    const x = xOf(frame, event.at).toFixed(1);
    const isKill = event.kind === "kill" || event.kind === "act";
    const fall = isKill
      ? `<path class="fall ${event.kind}" d="M${x} ${frame.box.top - 4}V${bottom}"/>`
      : "";
    return `${fall}<path class="glyph ${event.kind}" transform="translate(${x} ${
      frame.box.top - 11
    })" d="${GLYPHS[event.kind]}"><title>${escaped(event.text)}</title></path>`;
  }).join("");
}

/** What is gravest of all that happened, in the order in which it did. */
function listOf({ events, from, groups }: Picture, top: number): Piece {
  const chosen = new Set(
    events.toSorted((a, b) => SEVERITY.indexOf(b.kind) - SEVERITY.indexOf(a.kind)).slice(0, LISTED),
  );
  const rows = events.filter((event) => chosen.has(event));
  const text = rows.map((event, at) => {
    const y = top + 8 + 19 * at;
    const { group } = event;
    const name = groups.length > 1 && group !== null ? shortName(groups[group]!.path, 24) : "";
    const words = name === "" ? event.text : `${name}: ${event.text}`;
    return `<path class="glyph ${event.kind}" transform="translate(26 ${y - 4})" d="${
      GLYPHS[event.kind]
    }"/>` +
      `<text x="44" y="${y}">${clockText(event.at)}</text>` +
      `<text x="130" y="${y}">+${spanText(event.at - from)}</text>` +
      `<text class="strong" x="${LEFT + 132}" y="${y}">${escaped(cut(words, 125))}</text>`;
  });
  const rest = events.length - rows.length;
  const bottom = top + 19 * rows.length;
  if (rest <= 0) return { text: text.join(""), bottom };
  return {
    text: `${text.join("")}<text x="44" y="${bottom + 8}">and ${rest} of less weight</text>`,
    bottom: bottom + 19,
  };
}
