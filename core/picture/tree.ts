/** Where a node's memory is, as a page and as a still picture. */

import { bytesText } from "./page/figures.js";
import { layout, marksOf, type Node, nodeText, ownOf } from "./page/icicle.js";
import style from "./page/map.css" with { type: "text" };
import look from "./page/page.css" with { type: "text" };
import palette from "./page/palette.css" with { type: "text" };
import still from "./page/still.css" with { type: "text" };
import { sheet } from "./page.ts";
import { mapScript } from "./page_script.ts";
import { cut, escaped, withShortIds, wrapped } from "./text.ts";

export interface TreePicture {
  /** Which machine, when: one line. */
  readonly about: string;
  /** Each is followed by those beneath it; the first is above all others. Their names can be shown as they are. */
  readonly nodes: readonly Node[];
}

const WIDTH = 1116;
const HEIGHT = 620;
/** So many cgroups stand in the table: those that hold most themselves. */
const LISTED = 25;

export async function treePage(picture: TreePicture): Promise<string> {
  const { about, nodes } = picture;
  const verdict = treeVerdict(nodes);
  return await sheet({
    title: `oomkit inspect: ${verdict}`,
    style: `${palette}${still}${look}${style}`,
    data: { nodes },
    script: mapScript(),
    body: `<main>
<header><p class="about">${escaped(about)}</p><h1 class="plain"><bdi>${
      escaped(verdict)
    }</bdi></h1></header>
<section><p id="line"></p><div id="map"></div><figure>${icicle(nodes, "still icicle", 0)}</figure>
${shades()}
<p class="hint">Each column is a level of the tree, each cell as high as what it holds. A click goes into a cgroup, the line above leads out again, and so does Esc.</p></section>
<section><h2>Who holds most</h2>
<p class="more">Without what stands in cgroups beneath.</p>
${holders(nodes)}</section>
<footer>Made by oomkit. Memory moved on while it was read, so that parts may come to a little more than the whole.</footer>
</main>
<div id="tip" hidden></div>`,
  });
}

/** A file of its own. */
export function treeStill({ about, nodes }: TreePicture): string {
  const lines = wrapped(treeVerdict(nodes), 92, 3);
  const top = 44 + 26 * lines.length;
  const height = top + HEIGHT + 24;
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" class="still icicle" role="img" width="${
    WIDTH + 40
  }" height="${height}" viewBox="-20 0 ${WIDTH + 40} ${height}">
<title>${escaped(treeVerdict(nodes))}</title>
<style>${palette}${still}${style}</style>
<rect class="sheet" x="-20" width="${WIDTH + 40}" height="${height}"/>
<text x="0" y="28">${escaped(about)}</text>
${
    lines.map((line, at) =>
      `<text class="verdict" x="0" y="${56 + 26 * at}">${escaped(line)}</text>`
    ).join("")
  }
<g transform="translate(0 ${top})">${marks(nodes)}</g>
</svg>
`;
}

function marks(nodes: readonly Node[]): string {
  return marksOf(nodes, layout(nodes, 0, WIDTH, HEIGHT)).map(({ tag, attributes, text, cell }) => {
    const list = Object.entries(attributes).map(([name, value]) => `${name}="${escaped(value)}"`);
    const node = cell && nodes[cell.node];
    const title = cell?.kind === "cgroup" && node
      ? `<title>${escaped(`${node.path}: ${nodeText(node)}`)}</title>`
      : "";
    return `<${tag} ${list.join(" ")}>${title}${escaped(text ?? "")}</${tag}>`;
  }).join("");
}

const icicle = (nodes: readonly Node[], style: string, top: number) =>
  `<svg class="${style}" role="img" viewBox="0 ${top} ${WIDTH} ${HEIGHT}">${marks(nodes)}</svg>`;

/** What is in use, and where most of it is. */
export function treeVerdict(nodes: readonly Node[]): string {
  const [root] = nodes;
  if (root === undefined || root.usage === null) return "What is in use here cannot be told.";
  const own = nodes.map((node, at) => ({ node, own: ownOf(nodes, at) }))
    .toSorted((a, b) => b.own - a.own)[0]!;
  const share = root.usage === 0 ? 0 : 100 * own.own / root.usage;
  const where = nodes.length === 1 || own.own === 0
    ? ""
    : `; the largest part, ${share.toFixed(0)} %, is ${
      own.node === root ? "its own" : `in ${cut(withShortIds(own.node.path), 60)}`
    }`;
  return `${bytesText(root.usage)} in use in ${cut(root.path, 60)}${where}.`;
}

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

function holders(nodes: readonly Node[]): string {
  const all = nodes[0]?.usage ?? 0;
  const rows = nodes.map((node, at) => ({ node, own: ownOf(nodes, at) }))
    .filter(({ own }) => own > 0).toSorted((a, b) => b.own - a.own).slice(0, LISTED)
    .map(({ node, own }) => {
      const share = node.usage === null || !node.limit
        ? "–"
        : `${(100 * node.usage / node.limit).toFixed(1)} %`;
      return `<tr><td class="wide"><bdi title="${escaped(node.path)}">${
        escaped(cut(withShortIds(node.path), 96))
      }</bdi></td><td class="figure">${bytesText(own)}</td><td class="figure">${
        all === 0 ? "–" : `${(100 * own / all).toFixed(1)} %`
      }</td><td class="figure">${bytesText(node.working)}</td><td class="figure">${
        node.limit === null ? "none" : bytesText(node.limit)
      }</td><td class="figure">${share}</td><td class="figure">${node.kills || "–"}</td></tr>`;
    });
  return `<div class="scroll"><table><thead><tr><th>Cgroup</th><th class="figure">Its own</th><th class="figure">Of all</th><th class="figure">Working set</th><th class="figure">Limit</th><th class="figure">Used</th><th class="figure">Killed</th></tr></thead><tbody>\n${
    rows.join("\n")
  }\n</tbody></table></div>`;
}
