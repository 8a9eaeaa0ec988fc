/** A still picture of a run, as SVG: the verdict, memory and pressure over time, what happened. Pure. */

import { clockText, spanText } from "./page/figures.js";
import { GLYPHS, GRAVITY, withRoom } from "./page/glyphs.js";
import { mostOf, shareHeight } from "./page/height.js";
import palette from "./page/palette.css" with { type: "text" };
import look from "./page/still.css" with { type: "text" };
import type { ChartEvent, Group, Picture } from "./picture.ts";
import { isByShare, SHOWN_AT_FIRST } from "./picture.ts";
import {
  axes,
  type Box,
  type Frame,
  type Label,
  labelsBeside,
  pathOf,
  xOf,
} from "./still_chart.ts";
import { bytesChart, shareChart } from "./still_memory.ts";
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
