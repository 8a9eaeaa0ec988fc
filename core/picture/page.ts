/**
 * A run as one HTML file without network access: its policy allows only its own style and script. Without the script, and on paper,
 * it shows the still picture and the tables. Pure.
 */

import { bytesText, clockText, cut, percentText, spanText } from "../figures.js";
import { GLYPHS, KIND_NAMES, SEVERITY } from "./page/glyphs.js";
import pageStyle from "./page/page.css" with { type: "text" };
import palette from "./page/palette.css" with { type: "text" };
import stillStyle from "./page/still.css" with { type: "text" };
import { chartStyle, pageScript } from "./page_script.ts";
import {
  CLOSE_SHARE,
  type Group,
  isByShare,
  type KilledProcess,
  type Kind,
  largestPeak,
  limitSeries,
  nearestToLimit,
  type Picture,
  SHOWN_AT_FIRST,
} from "./picture.ts";
import type { Series } from "./series.ts";
import { aboutLine, stillCharts, TONE_MARKS } from "./still.ts";
import { escaped, scriptJson, shortName, withShortIds } from "./text.ts";

/** Fits a printed line; the full path is in the `title`. */
const MAX_PATH_LETTERS = 96;

function glyphOf(kind: Kind): string {
  return `<svg class="glyph ${kind}" viewBox="-6 -6 12 12" role="img" aria-label="${
    KIND_NAMES[kind]
  }"><path d="${GLYPHS[kind]}"/></svg>`;
}

/** @param titles of columns; `#` begins that of a column of figures. */
export function table(titles: readonly string[], rows: readonly string[], id?: string): string {
  const head = titles.map((title) =>
    title.startsWith("#") ? `<th class="figure">${title.slice(1)}</th>` : `<th>${title}</th>`
  );
  return `<div class="scroll"><table${id === undefined ? "" : ` id="${id}"`}><thead><tr>${
    head.join("")
  }</tr></thead><tbody>\n${rows.join("\n")}\n</tbody></table></div>`;
}

export const figure = (text: string | number, classes = "") =>
  `<td class="figure${classes}">${text}</td>`;

/** A name that is shown shorter, and in full on hovering. */
export const titled = (name: string, shown: string) =>
  `<bdi title="${escaped(name)}">${breakable(shown)}</bdi>`;

/** A path breaks after a slash first. */
const breakable = (path: string) => escaped(path).replaceAll("/", "/<wbr>");

function groupTable({ groups, command }: Picture): string {
  const hasGuard = command === "guard" || groups.some(({ guardKills }) => guardKills > 0);
  const kills = ["#Kernel kills", ...(hasGuard ? ["#Guard kills"] : [])];
  const figures = ["#Peak", "#Limit", "#Peak % of limit", "#Minimum headroom"];
  const titles = ["Cgroup", ...figures, ...kills, "Limit set by"];
  return table(titles, groups.map((group, index) => groupRow(group, index, hasGuard)), "groups");
}

function groupRow(group: Group, index: number, hasGuard: boolean): string {
  const { path, container, pod, peak, limit, owner, peakShare, minHeadroom, removedAt } = group;
  const { kills, guardKills } = group;
  const ids = [
    ...(container === null ? [] : [`container ${cut(container, 20)}`]),
    ...(pod === null ? [] : [`pod ${pod}`]),
    ...(removedAt === null ? [] : [`removed ${clockText(removedAt, 1000)}`]),
  ];
  const checked = index < SHOWN_AT_FIRST ? " checked" : "";
  const share = peakShare === null ? "–" : percentText(100 * peakShare);
  const tight = peakShare !== null && peakShare >= CLOSE_SHARE ? " tight" : "";
  const more = ids.length === 0 ? "" : `<span class="more">${escaped(ids.join(" · "))}</span>`;
  return `<tr><td class="wide"><label title="${escaped(path)}">` +
    `<input type="checkbox" data-group="${index}" autocomplete="off"${checked}>` +
    `<span class="swatch g${index % 8}"></span><bdi>${
      breakable(cut(withShortIds(path), MAX_PATH_LETTERS))
    }</bdi></label>${more}</td>` +
    figure(bytesText(peak)) + figure(limit === null ? "none" : bytesText(limit)) +
    figure(share, tight) + figure(bytesText(minHeadroom)) + figure(kills || "–") +
    (hasGuard ? figure(guardKills || "–") : "") +
    `${ownerCell(owner, path)}</tr>`;
}

function ownerCell(owner: string | null, path: string): string {
  return owner === null || owner === path
    ? `<td class="whole">${owner === null ? "–" : "this cgroup"}</td>`
    : `<td><bdi>${breakable(cut(owner, 48))}</bdi></td>`;
}

function killedProcessTable({ killedProcesses, from }: Picture): string {
  const titles = ["Time", "Process", "#Memory", "Killed by", "Cgroup"];
  return table(
    titles,
    killedProcesses.map((each) =>
      `<tr${ofGroup(each.group)}><td class="when">${momentText(each.at, from)}</td>` +
      `<td class="whole"><bdi>${escaped(processText(each))}</bdi></td>` +
      figure(bytesText(each.bytes)) +
      `<td>${glyphOf(each.by === "kernel" ? "kill" : "act")} ${
        each.by === "kernel" ? "the kernel" : "oomkit"
      } <span class="more">${escaped(howText(each))}</span></td>` +
      `<td>${titled(each.cgroup, cut(each.cgroup, 60))}</td></tr>`
    ),
    "victims",
  );
}

const howText = ({ why, signal }: KilledProcess) =>
  [why, signal && `with ${signal}`].filter(Boolean).join(", ");

function processText({ pid, comm }: KilledProcess): string {
  if (comm === null) return pid === null ? "unknown" : `pid ${pid}`;
  return pid === null ? comm : `${comm} (pid ${pid})`;
}

function eventTable({ events, groups, from }: Picture): string {
  const several = groups.length > 1;
  const titles = ["Time", "Event", ...(several ? ["Cgroup"] : []), "Details"];
  return table(
    titles,
    events.map(({ at, group, type, kind, text }) => {
      const path = group === null ? undefined : groups[group]!.path;
      const name = path === undefined ? "–" : titled(path, shortName(path));
      const where = several ? `<td class="whole">${name}</td>` : "";
      return `<tr data-at="${at}"${
        ofGroup(group)
      }><td class="when"><button type="button" title="show this time in the chart">${
        momentText(at, from)
      }</button></td><td class="type">${glyphOf(kind)} ${escaped(type)}</td>${where}<td><bdi>${
        escaped(text)
      }</bdi></td></tr>`;
    }),
    "events",
  );
}

const momentText = (at: number, from: number) =>
  `${clockText(at)} <span class="more">+${spanText(at - from)}</span>`;

const ofGroup = (group: number | null) => ` data-of="${group ?? ""}"`;

const FILTER =
  `<input type="search" id="filter" placeholder="Filter" aria-label="Filter" autocomplete="off">`;

const TONE_WORDS = { bad: "killed", warn: "close", fine: "fine" } as const;

export async function runPage(picture: Picture): Promise<string> {
  return await sheet({
    title: `oomkit ${picture.command}: ${picture.verdict}`,
    style: `${chartStyle}\n${palette}${stillStyle}${pageStyle}`,
    body: bodyOf(picture),
    data: pageData(picture),
    script: pageScript(),
  });
}

interface Sheet {
  readonly title: string;
  readonly style: string;
  /** HTML. */
  readonly body: string;
  /** For the script: JSON in the element `run`. */
  readonly data: unknown;
  readonly script: string;
}

/** A page with a Content-Security-Policy: only the style and script with these hashes, nothing fetched or sent. */
export async function sheet({ title, style, body, data, script }: Sheet): Promise<string> {
  const policy = [
    "default-src 'none'",
    `style-src '${await hashOf(style)}'`,
    `script-src '${await hashOf(script)}'`,
    "base-uri 'none'",
    "form-action 'none'",
  ];
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy.join("; ")}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<style>${style}</style>
</head>
<body>
${body}
<script type="application/json" id="run">${scriptJson(data)}</script>
<script>${script}</script>
</body>
</html>
`;
}

async function hashOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`;
}

function bodyOf(picture: Picture): string {
  const { tone, verdict, remarks, groups, killedProcesses, events } = picture;
  const several = groups.length > 1;
  const shareButton = groups.some(({ peakShare }) => peakShare !== null)
    ? `<button type="button" data-do="share" aria-pressed="false" title="usage in percent of each limit">% of limit</button>`
    : "";
  return `<main>
<header>
<p class="about">${escaped(aboutLine(picture))}</p>
<h1><span class="tone-${tone}" role="img" aria-label="${TONE_WORDS[tone]}">${
    TONE_MARKS[tone]
  }</span> <bdi>${escaped(verdict)}</bdi></h1>
${remarks.map((remark) => `<p class="remark">${escaped(remark)}</p>`).join("\n")}
</header>
<section id="charts" tabindex="0" aria-label="Memory over time">
<div class="bar"><h2>Memory</h2><p class="tools">${shareButton}<button type="button" data-do="in" title="zoom in (+)" aria-label="zoom in">+</button><button type="button" data-do="out" title="zoom out (−)" aria-label="zoom out">−</button><button type="button" data-do="whole" title="the whole run (0 or double click)">Whole run</button></p></div>
<div id="memory" class="chart"></div>
<h2 class="lower">Memory pressure <span class="more">PSI, % of the last 10 s; full solid, some dashed</span></h2>
<div id="pressure" class="chart"></div>
<figure>${stillCharts(picture)}</figure>
${legend(events.map(({ kind }) => kind))}
<p class="hint">Drag to zoom in, double click for the whole run; Ctrl + wheel zooms, Shift + drag pans; keys: + − ← → 0.</p>
</section>
${tiles(picture)}
<section><div class="bar"><h2>${several ? `${groups.length} cgroups` : "Cgroup"}</h2>${
    several
      ? `<p class="tools">${FILTER}<button type="button" data-do="all">All</button><button type="button" data-do="none">None</button></p>`
      : ""
  }</div>
${groupTable(picture)}</section>
${
    killedProcesses.length === 0
      ? ""
      : `<section><h2>Victims</h2>\n${killedProcessTable(picture)}</section>`
  }
<section><h2>Events</h2>
${events.length === 0 ? "<p>No events.</p>" : eventTable(picture)}</section>
<footer>Made by oomkit ${
    escaped(picture.oomkit)
  }. Times are UTC. Charts by uPlot (MIT; the licence is in this file).</footer>
</main>
<div id="tip" hidden></div>`;
}

/** The data of the page's script, decoded by page/main.js. */
function pageData(picture: Picture) {
  const { from, to } = picture;
  return {
    from,
    to,
    /** Memory is first shown as a share of each limit. */
    share: isByShare(picture),
    groups: picture.groups.map((group, index) => ({
      name: shortName(group.path),
      shown: index < SHOWN_AT_FIRST,
      usage: packed(group.usage, from),
      working: packed(group.working, from),
      some: packed(group.some, from, 100),
      full: packed(group.full, from, 100),
      limits: packed(limitSeries(group, to), from),
      marks: group.marks,
      removedAt: group.removedAt,
    })),
    /** In the order of the table. */
    events: picture.events.map(({ at, group, kind, text }) => [at - from, group, kind, text]),
  };
}

/**
 * Small enough for a browser to parse without delay: differences between neighbours; times in microseconds after the start, values
 * in units of 1 / `scale`.
 */
function packed({ t, v, length }: Series, from: number, scale = 1) {
  const differences = (value: (at: number) => number) => {
    let before = 0;
    return Array.from({ length }, (_, at) => {
      const now = Math.round(value(at));
      const difference = now - before;
      before = now;
      return difference;
    });
  };
  return {
    t: differences((at) => (t[at]! - from) * 1000),
    v: differences((at) => v[at]! * scale),
  };
}

/** The most important values of the run. */
function tiles({ groups, kills, guardKills }: Picture): string {
  const near = nearestToLimit(groups);
  const facts: [string, string, string][] = [];
  if (near !== undefined) {
    facts.push(["peak % of limit", percentText(100 * near.peakShare!), near.path]);
    facts.push(["minimum headroom", bytesText(near.minHeadroom), near.path]);
  } else {
    const largest = largestPeak(groups);
    if (largest) facts.push(["peak usage", bytesText(largest.peak), largest.path]);
  }
  facts.push(["killed by the kernel", String(kills), ""]);
  facts.push(["killed by oomkit", String(guardKills), ""]);
  return `<dl class="tiles">${
    facts.map(([name, value, where]) =>
      `<div${
        where === "" ? "" : ` title="${escaped(where)}"`
      }><dt>${name}</dt><dd>${value}</dd></div>`
    ).join("")
  }</dl>`;
}

/** Curves, and the kinds of events that occur. */
function legend(kinds: readonly Kind[]): string {
  const present = new Set(kinds);
  const items = (SEVERITY as Kind[]).filter((kind) => present.has(kind)).reverse()
    .map((kind) => `<li>${glyphOf(kind)} ${KIND_NAMES[kind]}</li>`);
  const lines = ["usage", "working set", "limit"].map((name) =>
    `<li><svg class="sample ${
      name.split(" ")[0]
    }" viewBox="0 0 26 8" aria-hidden="true"><path d="M0 4H26"/></svg> ${name}</li>`
  );
  return `<ul class="legend">${[...lines, ...items].join("")}</ul>`;
}
