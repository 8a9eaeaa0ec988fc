// @ts-check
/**
 * Where a tree's memory is: a column to each level, a cell to each cgroup, as high as it is large, and beside the parent
 * whose part it is. Names stand upright, however deep the tree.
 */

import { bytesText } from "./figures.js";

/**
 * @typedef {object} Node
 * @property {string} name its last part
 * @property {string} path
 * @property {number} depth 0 for the first of all; those beneath one follow it
 * @property {number | null} usage bytes
 * @property {number | null} working bytes
 * @property {number | null} limit bytes, its own; `null` for none
 * @property {number | null} kills by the kernel, since it was made
 * @property {number} leftOut children that were not looked at
 */

/**
 * @typedef {object} Cell
 * @property {number} node its place; that of the parent for `own` and `rest`
 * @property {"cgroup" | "own" | "rest"} kind itself; what the parent holds besides; children too small to be drawn
 * @property {number} x
 * @property {number} y
 * @property {number} width
 * @property {number} height
 * @property {number} bytes
 * @property {number} count of cgroups in it
 */

/** @typedef {{ tag: string, attributes: Record<string, string>, text?: string, cell?: Cell }} Mark */

export const LEVELS = 5;
/** Less high a cell is not drawn, but told of. */
const LOWEST = 3;
/** Less wide a name says nothing. */
const NARROWEST = 130;
const LINE = 16;
const LETTER = 6.9;
const GAP = 1;

/**
 * @param {readonly Node[]} nodes
 * @param {number} at
 * @returns {number[]} the places of those right beneath it
 */
export function childrenOf(nodes, at) {
  const depth = nodes[at]?.depth ?? 0;
  const children = [];
  for (let place = at + 1; place < nodes.length; place++) {
    const node = nodes[place];
    if (node === undefined || node.depth <= depth) break;
    if (node.depth === depth + 1) children.push(place);
  }
  return children;
}

/**
 * @param {readonly Node[]} nodes
 * @param {number} at
 * @returns {number[]} from the first of all down to it
 */
export function ancestryOf(nodes, at) {
  const line = [at];
  let depth = nodes[at]?.depth ?? 0;
  for (let place = at - 1; place >= 0 && depth > 0; place--) {
    const node = nodes[place];
    if (node === undefined || node.depth >= depth) continue;
    line.unshift(place);
    depth = node.depth;
  }
  return line;
}

/**
 * What a cgroup holds besides its children; none where its usage is not known.
 * @param {readonly Node[]} nodes
 * @param {number} at
 */
export function ownOf(nodes, at) {
  const beneath = childrenOf(nodes, at)
    .reduce((sum, child) => sum + (nodes[child]?.usage ?? 0), 0);
  return Math.max(0, (nodes[at]?.usage ?? 0) - beneath);
}

/**
 * @param {readonly Node[]} nodes
 * @param {number} root its place
 * @param {number} width
 * @param {number} height
 * @returns {Cell[]}
 */
export function layout(nodes, root, width, height) {
  const fit = Math.max(2, Math.min(LEVELS, Math.floor(width / NARROWEST)));
  const levels = Math.min(fit, levelsOf(nodes, root));
  const column = width / levels;
  /** @type {Cell[]} */
  const cells = [];
  const place = (
    /** @type {number} */ at,
    /** @type {number} */ level,
    /** @type {number} */ top,
    /** @type {number} */ tall,
  ) => {
    const bytes = nodes[at]?.usage ?? 0;
    const box = { x: level * column, width: column, y: top };
    cells.push({ node: at, kind: "cgroup", ...box, height: tall, bytes, count: 1 });
    if (level + 1 >= levels) return;
    const children = childrenOf(nodes, at);
    const beneath = children.reduce((sum, child) => sum + (nodes[child]?.usage ?? 0), 0);
    // Read one after the other, they may come to more than their parent.
    const scale = tall / Math.max(1, bytes, beneath);
    let y = top;
    let small = 0;
    let count = 0;
    for (const child of children) {
      const size = nodes[child]?.usage ?? 0;
      if (size * scale < LOWEST) {
        small += size;
        count++;
        continue;
      }
      place(child, level + 1, y, size * scale);
      y += size * scale;
    }
    const rest = { node: at, x: box.x + column, width: column };
    if (small * scale >= 1) {
      cells.push({ ...rest, kind: "rest", y, height: small * scale, bytes: small, count });
      y += small * scale;
    }
    const own = Math.max(0, bytes - beneath);
    if (children.length > 0 && own * scale >= 1) {
      cells.push({ ...rest, kind: "own", y, height: own * scale, bytes: own, count: 0 });
    }
  };
  place(root, 0, 0, height);
  return cells;
}

/**
 * @param {readonly Node[]} nodes
 * @param {number} at
 */
function levelsOf(nodes, at) {
  const depth = nodes[at]?.depth ?? 0;
  let deepest = depth;
  for (let place = at + 1; place < nodes.length; place++) {
    const node = nodes[place];
    if (node === undefined || node.depth <= depth) break;
    deepest = Math.max(deepest, node.depth);
  }
  return deepest - depth + 1;
}

/**
 * @param {string} text
 * @param {number} width
 */
function fitted(text, width) {
  const most = Math.floor(width / LETTER);
  const letters = [...text];
  if (letters.length <= most) return text;
  if (most < 4) return "";
  const half = (most - 1) / 2;
  return `${letters.slice(0, Math.ceil(half)).join("")}…${
    letters.slice(-Math.floor(half)).join("")
  }`;
}

/**
 * How near to its own limit: what the shade of a cell says.
 * @param {Node} node
 */
export function fillClass({ usage, limit }) {
  if (usage === null || limit === null || limit <= 0) return "unlimited";
  const share = usage / limit;
  return share >= 0.9 ? "full" : share >= 0.65 ? "high" : share >= 0.3 ? "middle" : "low";
}

/**
 * @param {Node} node
 * @returns {string} `512.0 MiB, 85.1 % of 600.0 MiB`
 */
export function nodeText({ usage, limit }) {
  if (usage === null || limit === null || limit <= 0) return bytesText(usage);
  return `${bytesText(usage)}, ${(100 * usage / limit).toFixed(1)} % of ${bytesText(limit)}`;
}

/**
 * What to draw of these cells; by whom, in a browser or as text, is another's business.
 * @param {readonly Node[]} nodes
 * @param {readonly Cell[]} cells
 * @returns {Mark[]}
 */
export function marksOf(nodes, cells) {
  return cells.flatMap((cell) => {
    const { node: place, kind, x, y, width, height, bytes, count } = cell;
    const node = nodes[place];
    if (node === undefined) return [];
    const style = kind === "cgroup" ? fillClass(node) : kind;
    const box = {
      x: String(Math.round(x * 10) / 10 + GAP),
      y: String(Math.round(y * 10) / 10 + GAP / 2),
      width: String(Math.max(1, Math.round(width * 10) / 10 - 2 * GAP)),
      height: String(Math.max(1, Math.round((height - GAP) * 10) / 10)),
    };
    /** @type {Mark[]} */
    const marks = [{ tag: "rect", attributes: { ...box, rx: "2", class: `cell ${style}` }, cell }];
    if (height < LINE) return marks;
    const killed = kind === "cgroup" && node.kills ? ` ✕${node.kills}` : "";
    const name = kind === "cgroup" ? node.name : kind === "own" ? "its own" : `${count} smaller`;
    const figures = kind === "cgroup" ? nodeText(node) : bytesText(bytes);
    const room = width - 18;
    const text = (
      /** @type {string} */ words,
      /** @type {number} */ line,
      /** @type {string} */ look,
    ) => ({
      tag: "text",
      attributes: { x: String(x + 8), y: String(Math.round(y + 13 + line * LINE)), class: look },
      text: words,
    });
    const isTall = height >= 2 * LINE + 2;
    const short = `${bytesText(bytes)}${killed}`;
    if (isTall) {
      marks.push(text(fitted(name, room), 0, "strong"));
      const long = `${figures}${killed}`;
      marks.push(text(fitted(long.length * LETTER <= room ? long : short, room), 1, "figures"));
    } else {
      const left = room - (short.length + 2) * LETTER;
      const cutName = fitted(name, left);
      if (cutName !== "") marks.push(text(`${cutName}  ${short}`, 0, "strong"));
      else marks.push(text(fitted(name, room), 0, "strong"));
    }
    return marks;
  });
}
