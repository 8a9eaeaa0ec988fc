/** The script of the tree page: a click enters a cgroup, the path above leads back. */

import { bytesText, usageText } from "../../figures.js";
import { byId, element, placeTip, svgElement } from "./hover.js";
import { ancestryOf, layout, marksOf, ownOf } from "./icicle.js";
/** @import { Cell, Node } from "./icicle.js" */

/** @type {Node[]} */
const nodes = JSON.parse(byId("run").textContent ?? "").nodes;
const holder = byId("map");
const line = byId("line");
const tooltip = byId("tip");
const HEIGHT = 620;
let root = 0;

/** @param {Cell} cell */
function fillTreeTip(cell) {
  const node = nodes[cell.node];
  if (node === undefined) return;
  const rows = cell.kind === "own"
    ? [`${node.path}: own memory`, bytesText(cell.bytes), "not in any child cgroup"]
    : cell.kind === "rest"
    ? [`${cell.count} cgroups in ${node.path}`, bytesText(cell.bytes), "each too small to draw"]
    : [
      node.path,
      usageText(node.usage, node.limit),
      ...(node.working === null ? [] : [`working set ${bytesText(node.working)}`]),
      `own memory, in no child cgroup: ${bytesText(ownOf(nodes, cell.node))}`,
      ...(node.kills ? [`killed by the kernel: ${node.kills}`] : []),
    ];
  tooltip.replaceChildren(
    ...rows.map((text, at) => element("div", text, at === 0 ? "" : at === 1 ? "what" : "more")),
  );
}

function draw() {
  const width = Math.max(280, holder.clientWidth);
  const svg = svgElement("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, class: "still icicle" });
  for (
    const { tag, attributes, text, cell } of marksOf(nodes, layout(nodes, root, width, HEIGHT))
  ) {
    const button = cell?.kind === "cgroup" && {
      tabindex: "0",
      role: "button",
      "aria-label": `${nodes[cell.node]?.path}, ${bytesText(cell.bytes)}`,
      "data-node": String(cell.node),
    };
    const made = svgElement(tag, { ...attributes, ...button });
    if (text !== undefined) made.textContent = text;
    if (cell && button) {
      made.addEventListener("click", () => enter(cell.node));
      made.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") enter(cell.node);
        else return;
        event.preventDefault();
      });
    }
    if (cell) {
      made.addEventListener("mousemove", (event) => {
        fillTreeTip(cell);
        placeTip(tooltip, event.clientX, event.clientY);
      });
    }
    svg.append(made);
  }
  svg.addEventListener("mouseleave", () => tooltip.hidden = true);
  holder.replaceChildren(svg);
  line.replaceChildren(
    ...ancestryOf(nodes, root).flatMap((at, index) => {
      const node = nodes[at];
      const button = element("button", index === 0 ? node?.path : node?.name);
      button.type = "button";
      button.addEventListener("click", () => enter(at));
      return index === 0 ? [button] : [element("span", "›"), button];
    }),
  );
  document.body.dataset.root = nodes[root]?.path ?? "";
}

/** @param {number} at */
function enter(at) {
  // A click on the current root goes up.
  const parent = ancestryOf(nodes, at).at(-2);
  root = at === root && parent !== undefined ? parent : at;
  tooltip.hidden = true;
  draw();
}

addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || root === 0) return;
  enter(root);
});
document.body.classList.add("live");
draw();
let drawnWidth = holder.clientWidth;
new ResizeObserver(() => {
  if (holder.clientWidth === drawnWidth || holder.clientWidth === 0) return;
  drawnWidth = holder.clientWidth;
  draw();
}).observe(holder);
