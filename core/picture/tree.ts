/** The memory of a cgroup tree, as a page and as a still picture. */

import { bytesText, cut, percentText, shareOfLimit, usageText } from "../figures.js";
import { layout, marksOf, type Node, ownOf } from "./page/icicle.js";
import treeStyle from "./page/map.css" with { type: "text" };
import pageStyle from "./page/page.css" with { type: "text" };
import palette from "./page/palette.css" with { type: "text" };
import stillStyle from "./page/still.css" with { type: "text" };
import { figure, sheet, table, titled } from "./page.ts";
import { treeScript } from "./page_script.ts";
import { escaped, withShortIds } from "./text.ts";

export interface TreePicture {
  /** The machine and the time, in one line. */
  readonly about: string;
  /** The root first; descendants follow their ancestor. Names are printable. */
  readonly nodes: readonly Node[];
}

const WIDTH = 1116;
const HEIGHT = 620;
/** Rows of the table. */
const MAX_ROWS = 25;

export async function treePage(picture: TreePicture): Promise<string> {
  const { about, nodes } = picture;
  const verdict = treeVerdict(nodes);
  return await sheet({
    title: `oomkit inspect: ${verdict.total}`,
    style: `${palette}${stillStyle}${pageStyle}${treeStyle}`,
    data: { nodes },
    script: treeScript(),
    body: `<main>
<header><p class="about">${escaped(about)}</p><h1 class="plain"><bdi>${
      escaped(verdict.total)
    }</bdi></h1>${
      verdict.largest === undefined ? "" : `<p class="remark plain">${escaped(verdict.largest)}</p>`
    }</header>
<section><p id="line"></p><div id="map"></div><figure><svg class="still icicle" role="img" viewBox="0 0 ${WIDTH} ${HEIGHT}">${
      marks(nodes)
    }</svg></figure>
${shades()}
<p class="hint">Each column is a level of the tree; the height of a cell is its usage. Click a cgroup to enter it; the path above or Esc leads back.</p></section>
<section><h2>Largest cgroups</h2>
<p class="more">By own memory, without child cgroups.</p>
${largestTable(nodes)}</section>
<footer>Made by oomkit. Usage changed while it was read, so the parts may add up to slightly more than the total.</footer>
</main>
<div id="tip" hidden></div>`,
  });
}

/** A complete SVG file. */
export function treeStill({ about, nodes }: TreePicture): string {
  const { total, largest } = treeVerdict(nodes);
  const top = largest === undefined ? 70 : 92;
  const height = top + HEIGHT + 24;
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" class="still icicle" role="img" width="${
    WIDTH + 40
  }" height="${height}" viewBox="-20 0 ${WIDTH + 40} ${height}">
<title>${escaped(total)}</title>
<style>${palette}${stillStyle}${treeStyle}</style>
<rect class="sheet" x="-20" width="${WIDTH + 40}" height="${height}"/>
<text x="0" y="28">${escaped(about)}</text>
<text class="verdict" x="0" y="56">${escaped(total)}</text>
${largest === undefined ? "" : `<text class="strong" x="0" y="78">${escaped(largest)}</text>`}
<g transform="translate(0 ${top})">${marks(nodes)}</g>
</svg>
`;
}

function marks(nodes: readonly Node[]): string {
  return marksOf(nodes, layout(nodes, 0, WIDTH, HEIGHT)).map(({ tag, attributes, text, cell }) => {
    const list = Object.entries(attributes).map(([name, value]) => `${name}="${escaped(value)}"`);
    const node = cell && nodes[cell.node];
    const title = cell?.kind === "cgroup" && node
      ? `<title>${escaped(`${node.path}: ${usageText(node.usage, node.limit)}`)}</title>`
      : "";
    return `<${tag} ${list.join(" ")}>${title}${escaped(text ?? "")}</${tag}>`;
  }).join("");
}

/** Total usage, which fits in one line, and the cgroup with the largest part of it. */
export function treeVerdict(nodes: readonly Node[]): { total: string; largest?: string } {
  const [root] = nodes;
  if (root === undefined || root.usage === null) return { total: "Memory usage is unknown." };
  const total = `${bytesText(root.usage)} in use in ${cut(withShortIds(root.path), 48)}`;
  const [largest] = byOwnMemory(nodes);
  if (nodes.length === 1 || largest!.own === 0) return { total };
  const share = root.usage === 0 ? 0 : 100 * largest!.own / root.usage;
  const where = largest!.node === root
    ? "the cgroup's own memory, in no child cgroup"
    : `in ${cut(withShortIds(largest!.node.path), 100)}`;
  return { total, largest: `The largest part, ${share.toFixed(0)} %, is ${where}.` };
}

const byOwnMemory = (nodes: readonly Node[]) =>
  nodes.map((node, at) => ({ node, own: ownOf(nodes, at) })).toSorted((a, b) => b.own - a.own);

function shades(): string {
  const names = {
    unlimited: "no limit of its own",
    low: "below 30 % of its limit",
    middle: "below 65 %",
    high: "below 90 %",
    full: "90 % and above",
  };
  const items = Object.entries(names).map(([shade, name]) =>
    `<li><svg class="icicle sample-cell" width="22" height="12" aria-hidden="true"><rect class="cell ${shade}" width="22" height="12" rx="2"/></svg> ${name}</li>`
  );
  return `<ul class="legend shades">${items.join("")}</ul>`;
}

function largestTable(nodes: readonly Node[]): string {
  const total = nodes[0]?.usage ?? 0;
  const rows = byOwnMemory(nodes).filter(({ own }) => own > 0).slice(0, MAX_ROWS)
    .map(({ node: { path, usage, working, limit, kills }, own }) => {
      const share = usage === null || limit === null
        ? "–"
        : percentText(shareOfLimit(usage, limit));
      return `<tr><td class="wide">${titled(path, cut(withShortIds(path), 96))}</td>` +
        figure(bytesText(own)) +
        figure(total === 0 ? "–" : percentText(100 * own / total)) + figure(bytesText(working)) +
        figure(limit === null ? "none" : bytesText(limit)) + figure(share) +
        figure(kills || "–") + "</tr>";
    });
  const titles = [
    "Cgroup",
    "#Own memory",
    "#% of total",
    "#Working set",
    "#Limit",
    "#% of limit",
    "#Kernel kills",
  ];
  return table(titles, rows);
}
