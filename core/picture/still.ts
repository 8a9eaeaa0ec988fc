/** A still picture of a run, as SVG: the verdict, memory and pressure over time, what happened. Pure. */

import { bytesText, clockText, spanText } from "./page/figures.js";
import { GLYPHS, GRAVITY } from "./page/glyphs.js";
import { heightFor } from "./page/height.js";
import palette from "./page/palette.css" with { type: "text" };
import look from "./page/still.css" with { type: "text" };
import type { Group, Happening, Picture, Step } from "./picture.ts";
import { SHOWN_AT_FIRST } from "./picture.ts";
import type { Series } from "./series.ts";
import {
  areaOf,
  axes,
  type Box,
  type Frame,
  type Label,
  labelsBeside,
  pathOf,
  xOf,
  yOf,
} from "./still_chart.ts";
import { cut, escaped, shortName, wrapped } from "./text.ts";

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
  const peaks = shown.map(({ peak }) => peak ?? 0);
  const limits = shown.flatMap((group) => group.limits.map(({ limit }) => limit ?? 0));
  const frameOf = (box: Box, most: number): Frame => ({ box, from, to, most });
  const memory = frameOf(
    { left: LEFT, top, width: PLOT, height: MEMORY },
    heightFor(peaks, limits),
  );
  const stalls = shown.flatMap((group) => [group.some, group.full]);
  const hasPressure = stalls.some(({ length }) => length > 0);
  const base = top + MEMORY;
  const pressure = frameOf(
    { left: LEFT, top: base + 44, width: PLOT, height: PRESSURE },
    Math.max(10, ...stalls.map(mostOf)) * 1.05,
  );
  const lower = hasPressure
    ? heading("Stalled for memory (PSI, % of the last 10 s)", base + 34) +
      axes(pressure, "percent", true) +
      shown.map((group, place) => stallLines(pressure, group, place)).join("")
    : "";
  return {
    text: heading("Memory", top - 20) + axes(memory, "bytes", !hasPressure) +
      shown.map((group, place) => memoryLines(memory, group, place, shown.length === 1)).join("") +
      eventMarks(memory, picture.events, hasPressure ? pressure : memory) +
      labelsBeside(memory, memoryLabels(memory, shown, picture)) + lower,
    bottom: (hasPressure ? base + 44 + PRESSURE : base) + 30,
  };
}

const heading = (text: string, y: number) =>
  `<text class="strong name" x="20" y="${y}">${text}</text>`;

function mostOf({ v, length }: Series): number {
  let most = 0;
  for (let at = 0; at < length; at++) most = Math.max(most, v[at]!);
  return most;
}

function memoryLines(frame: Frame, group: Group, place: number, alone: boolean): string {
  const hue = place % 8;
  const area = alone ? `<path class="area f${hue}" d="${areaOf(frame, group.working)}"/>` : "";
  const marks = alone
    ? group.marks.filter(({ bytes }) => bytes <= frame.most).map(({ bytes }) =>
      `<path class="mark" d="M${LEFT} ${yOf(frame, bytes).toFixed(1)}h${PLOT}"/>`
    ).join("")
    : "";
  return `${area}${marks}<path class="working s${hue}" d="${pathOf(frame, group.working)}"/>` +
    `<path class="limit ${alone ? "ownlimit" : `s${hue}`}" d="${
      stepsPath(frame, group.limits, group.gone)
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

function stallLines(frame: Frame, { some, full }: Group, place: number): string {
  const hue = `s${place % 8}`;
  return `<path class="some ${hue}" d="${pathOf(frame, some)}"/>` +
    `<path class="full ${hue}" d="${pathOf(frame, full)}"/>`;
}

/** One cgroup has its lines named; of several each has its name. */
function memoryLabels(frame: Frame, shown: readonly Group[], picture: Picture): Label[] {
  const lastOf = ({ v, length }: Series) => v[length - 1];
  const [only] = shown;
  if (only === undefined) return [];
  if (shown.length > 1) {
    const rest = picture.groups.length - shown.length;
    return shown.map((group, place) => ({
      y: yOf(frame, lastOf(group.usage) ?? 0),
      text: place === shown.length - 1 && rest > 0
        ? `${shortName(group.path, 18)} (${rest} more)`
        : shortName(group.path, 26),
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

/** Above the chart, one to a spot; what is grave falls through to the lower edge. */
function eventMarks(frame: Frame, events: readonly Happening[], lowest: Frame): string {
  const spots = new Map<number, Happening>();
  for (const event of events) {
    const spot = Math.round(xOf(frame, event.at) / 6);
    const there = spots.get(spot);
    if (there && GRAVITY.indexOf(there.kind) >= GRAVITY.indexOf(event.kind)) continue;
    spots.set(spot, event);
  }
  const bottom = lowest.box.top + lowest.box.height;
  return [...spots.values()].map((event) => {
    const x = xOf(frame, event.at).toFixed(1);
    const isGrave = event.kind === "kill" || event.kind === "act";
    const fall = isGrave
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
    events.toSorted((a, b) => GRAVITY.indexOf(b.kind) - GRAVITY.indexOf(a.kind)).slice(0, LISTED),
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
