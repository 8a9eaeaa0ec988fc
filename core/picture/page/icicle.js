// @ts-check
/**
 * An icicle chart of a cgroup tree: a column for each level, and a cell for each cgroup beside its parent, as high as its usage.
 * Names stay horizontal at any depth.
 */

import { bytesText, cut, usageText } from "../../figures.js";

/**
 * @typedef {object} Node
 * @property {string} name the last part of the path
 * @property {string} path
 * @property {number} depth 0 for the root; descendants follow their ancestor in the list
 * @property {number | null} usage bytes
 * @property {number | null} working bytes
 * @property {number | null} limit bytes, its own; `null` for none
 * @property {number | null} kills by the kernel, since the cgroup was created
 * @property {number} leftOut children that were not read
 */

/**
 * @typedef {object} Cell
 * @property {number} node index of the cgroup; of the parent for `own` and `rest`
 * @property {"cgroup" | "own" | "rest"} kind a cgroup; memory of the parent outside its children; children too small to draw
 * @property {number} x
 * @property {number} y
 * @property {number} width
 * @property {number} height
 * @property {number} bytes
 * @property {number} count of cgroups
 */

/** @typedef {{ tag: string, attributes: Record<string, string>, text?: string, cell?: Cell }} Mark */

export const MAX_LEVELS = 5;
/** Smaller cells are joined into one. */
const MIN_CELL_PX = 3;
/** Names need this width. */
const MIN_COLUMN_PX = 130;
const LINE = 16;
/** Digits of the widest usual font (DejaVu Sans) at 12 px. */
const LETTER_PX = 7.7;
const GAP = 1;

/** @type {(nodes: readonly Node[], at: number) => number} */
const depthOf = (nodes, at) => nodes[at]?.depth ?? -1;

/** The indices of all descendants. @type {(nodes: readonly Node[], at: number) => number[]} */
function descendantsOf(nodes, at) {
  const found = [];
  for (let index = at + 1; depthOf(nodes, index) > depthOf(nodes, at); index++) found.push(index);
  return found;
}

/** The indices of the children. @type {(nodes: readonly Node[], at: number) => number[]} */
export const childrenOf = (nodes, at) =>
  descendantsOf(nodes, at).filter((index) => depthOf(nodes, index) === depthOf(nodes, at) + 1);

/** The sum of their usage. @type {(nodes: readonly Node[], indices: readonly number[]) => number} */
const usageOf = (nodes, indices) =>
  indices.reduce((sum, index) => sum + (nodes[index]?.usage ?? 0), 0);

/** The indices from the root to the cgroup. @type {(nodes: readonly Node[], at: number) => number[]} */
export function ancestryOf(nodes, at) {
  const line = [at];
  let depth = nodes[at]?.depth ?? 0;
  for (let index = at - 1; index >= 0 && depth > 0; index--) {
    const node = nodes[index];
    if (node === undefined || node.depth >= depth) continue;
    line.unshift(index);
    depth = node.depth;
  }
  return line;
}

/**
 * Usage of a cgroup without its children; 0 if its usage is unknown.
 * @type {(nodes: readonly Node[], at: number) => number}
 */
export function ownOf(nodes, at) {
  return Math.max(0, usageOf(nodes, [at]) - usageOf(nodes, childrenOf(nodes, at)));
}

/** `root` is an index. @type {(nodes: readonly Node[], root: number, width: number, height: number) => Cell[]} */
export function layout(nodes, root, width, height) {
  const fit = Math.max(2, Math.min(MAX_LEVELS, Math.floor(width / MIN_COLUMN_PX)));
  const depths = [root, ...descendantsOf(nodes, root)].map((at) => depthOf(nodes, at));
  const deepest = depths.reduce((deepest, depth) => Math.max(deepest, depth));
  const levels = Math.min(fit, deepest - depthOf(nodes, root) + 1);
  const column = width / levels;
  /** @type {Cell[]} */
  const cells = [];
  const addCells = (
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
    const inChildren = usageOf(nodes, children);
    // The values are read one after another, so children may add up to more than their parent.
    const scale = tall / Math.max(1, bytes, inChildren);
    let y = top;
    let small = 0;
    let count = 0;
    for (const child of children) {
      const size = nodes[child]?.usage ?? 0;
      if (size * scale < MIN_CELL_PX) {
        small += size;
        count++;
        continue;
      }
      addCells(child, level + 1, y, size * scale);
      y += size * scale;
    }
    const rest = { node: at, x: box.x + column, width: column };
    if (small * scale >= 1) {
      cells.push({ ...rest, kind: "rest", y, height: small * scale, bytes: small, count });
      y += small * scale;
    }
    const own = Math.max(0, bytes - inChildren);
    if (children.length > 0 && own * scale >= 1) {
      cells.push({ ...rest, kind: "own", y, height: own * scale, bytes: own, count: 0 });
    }
  };
  addCells(root, 0, 0, height);
  return cells;
}

/** @type {(text: string, width: number) => string} */
function fitted(text, width) {
  const maxLetters = Math.floor(width / LETTER_PX);
  return maxLetters < 4 && text.length > maxLetters ? "" : cut(text, maxLetters);
}

/** The class of a cell: usage in percent of its own limit. @param {Node} node */
export function fillClass({ usage, limit }) {
  if (usage === null || limit === null || limit <= 0) return "unlimited";
  const share = usage / limit;
  return share >= 0.9 ? "full" : share >= 0.65 ? "high" : share >= 0.3 ? "middle" : "low";
}

/**
 * The SVG elements of the cells, for the browser and for text alike.
 * @type {(nodes: readonly Node[], cells: readonly Cell[]) => Mark[]}
 */
export function marksOf(nodes, cells) {
  return cells.flatMap((cell) => {
    const { node: index, kind, x, y, width, height, bytes, count } = cell;
    const node = nodes[index];
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
    const name = kind === "cgroup" ? node.name : kind === "own" ? "own memory" : `${count} smaller`;
    const figures = kind === "cgroup" ? usageText(node.usage, node.limit) : bytesText(bytes);
    const room = width - 18;
    const text = (
      /** @type {string} */ words,
      /** @type {number} */ line,
      /** @type {string} */ className,
    ) => ({
      tag: "text",
      attributes: {
        x: String(x + 8),
        y: String(Math.round(y + 13 + line * LINE)),
        class: className,
      },
      text: words,
    });
    const isTall = height >= 2 * LINE + 2;
    const short = `${bytesText(bytes)}${killed}`;
    if (isTall) {
      marks.push(text(fitted(name, room), 0, "strong"));
      const long = `${figures}${killed}`;
      marks.push(text(fitted(long.length * LETTER_PX <= room ? long : short, room), 1, "figures"));
    } else {
      const left = room - (short.length + 2) * LETTER_PX;
      const cutName = fitted(name, left);
      if (cutName !== "") marks.push(text(`${cutName}  ${short}`, 0, "strong"));
      else marks.push(text(fitted(name, room), 0, "strong"));
    }
    return marks;
  });
}
