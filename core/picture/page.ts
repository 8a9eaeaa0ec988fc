/**
 * A run as one HTML file that asks nothing of anybody: no network, no script but its own, which the policy in its head
 * holds it to. Without a script it shows the still picture and the tables; so it does on paper.
 */

import { bytesText } from "./page/figures.js";
import { GRAVITY, KIND_NAMES } from "./page/glyphs.js";
import look from "./page/page.css" with { type: "text" };
import palette from "./page/palette.css" with { type: "text" };
import still from "./page/still.css" with { type: "text" };
import { pageData } from "./page_data.ts";
import { chartStyle, pageScript } from "./page_script.ts";
import { casualtyTable, eventTable, glyphOf, groupTable } from "./page_tables.ts";
import type { Kind, Picture } from "./picture.ts";
import { aboutLine, stillCharts, TONE_MARKS } from "./still.ts";
import { escaped, scriptJson } from "./text.ts";

const FILTER =
  `<input type="search" id="filter" placeholder="Filter" aria-label="Filter" autocomplete="off">`;

const TONE_WORDS = { bad: "killed", warn: "close", fine: "fine" } as const;

export async function runPage(picture: Picture): Promise<string> {
  return await sheet({
    title: `oomkit ${picture.command}: ${picture.verdict}`,
    style: `${chartStyle}\n${palette}${still}${look}`,
    body: bodyOf(picture),
    data: pageData(picture),
    script: pageScript(),
  });
}

export interface Sheet {
  readonly title: string;
  readonly style: string;
  /** HTML. */
  readonly body: string;
  /** For the script, as JSON in the element `run`. */
  readonly data: unknown;
  readonly script: string;
}

/** Nothing runs and nothing is drawn but what is here, as its hash says; nothing is fetched or sent. */
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
  const shareButton = groups.some(({ closest }) => closest !== null)
    ? `<button type="button" data-do="share" aria-pressed="false" title="usage as a share of each limit">% of limit</button>`
    : "";
  return `<main>
<header>
<p class="about">${escaped(aboutLine(picture))}</p>
<h1 class="${tone}"><span class="tone" role="img" aria-label="${TONE_WORDS[tone]}">${
    TONE_MARKS[tone]
  }</span> <bdi>${escaped(verdict)}</bdi></h1>
${remarks.map((remark) => `<p class="remark">${escaped(remark)}</p>`).join("\n")}
${tiles(picture)}
</header>
<section id="charts" tabindex="0" aria-label="Memory over time">
<div class="bar"><h2>Memory</h2><p class="tools">${shareButton}<button type="button" data-do="in" title="closer (+)" aria-label="closer">+</button><button type="button" data-do="out" title="further (−)" aria-label="further">−</button><button type="button" data-do="whole" title="the whole run (0, or a double click)">Whole run</button></p></div>
<div id="memory" class="chart"></div>
<h2 class="lower">Stalled for memory <span class="more">PSI, % of the last 10 s: full, and some dashed</span></h2>
<div id="pressure" class="chart"></div>
<figure>${stillCharts(picture)}</figure>
${legend(events.map(({ kind }) => kind))}
<p class="hint">Drag to look closer, double click for the whole run; Ctrl and wheel to zoom, Shift and drag to pan; or the keys + − ← → 0.</p>
</section>
<section><div class="bar"><h2>${several ? `${groups.length} cgroups` : "Cgroup"}</h2>${
    several
      ? `<p class="tools">${FILTER}<button type="button" data-do="all">All</button><button type="button" data-do="none">None</button></p>`
      : ""
  }</div>
${groupTable(picture)}</section>
${
    killedProcesses.length === 0
      ? ""
      : `<section><h2>Victims</h2>\n${casualtyTable(picture)}</section>`
  }
<section><h2>Events</h2>
${events.length === 0 ? "<p>Nothing was told.</p>" : eventTable(picture)}</section>
<footer>Made by oomkit ${
    escaped(picture.oomkit)
  }. Times are UTC. Charts by uPlot (MIT; its licence stands in this file).</footer>
</main>
<div id="tip" hidden></div>`;
}

/** The figures that are asked for first. */
function tiles({ groups, killedProcesses }: Picture): string {
  const byKernel = killedProcesses.filter(({ by }) => by === "kernel").length;
  const byUs = killedProcesses.length - byKernel;
  const near = groups.filter(({ closest }) => closest !== null)
    .sort((a, b) => b.closest! - a.closest!)[0];
  const facts: [string, string, string][] = [];
  if (near !== undefined) {
    facts.push(["most of a limit in use", `${(100 * near.closest!).toFixed(1)} %`, near.path]);
    facts.push(["least headroom there", bytesText(near.closestLeft), near.path]);
  } else {
    const largest = groups.filter(({ peak }) => peak !== null).sort((a, b) => b.peak! - a.peak!)[0];
    if (largest) facts.push(["peak usage", bytesText(largest.peak), largest.path]);
  }
  facts.push(["killed by the kernel", String(byKernel), ""]);
  facts.push(["ended by oomkit", String(byUs), ""]);
  return `<dl class="tiles">${
    facts.map(([name, value, where]) =>
      `<div${
        where === "" ? "" : ` title="${escaped(where)}"`
      }><dt>${name}</dt><dd>${value}</dd></div>`
    ).join("")
  }</dl>`;
}

/** Only of the marks that there are. */
function legend(kinds: readonly Kind[]): string {
  const there = new Set(kinds);
  const items = (GRAVITY as Kind[]).filter((kind) => there.has(kind)).reverse()
    .map((kind) => `<li>${glyphOf(kind)} ${KIND_NAMES[kind]}</li>`);
  const lines = ["usage", "working set", "limit"].map((name) =>
    `<li><svg class="sample ${
      name.split(" ")[0]
    }" viewBox="0 0 26 8" aria-hidden="true"><path d="M0 4H26"/></svg> ${name}</li>`
  );
  return `<ul class="legend">${[...lines, ...items].join("")}</ul>`;
}
