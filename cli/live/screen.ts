/** Draws the screen: from the view, the terminal's size and its capabilities to lines of text. Pure. */

import type { Capabilities, Size } from "../terminal/capabilities.ts";
import { foldLine } from "../terminal/layout.ts";
import type { Palette } from "../terminal/palette.ts";
import { ascii, cutTo, filled, shortName, steady, visible, widthOf } from "../terminal/width.ts";
import { type Canvas, canvasOf, markOf } from "./canvas.ts";
import { cellsOf, columnsFor, titlesOf } from "./columns.ts";
import { detailsLines, historyTime } from "./details.ts";
import { keysLine, machineLines, titleLine } from "./header.ts";
import { logLines } from "./log.ts";
import { commonParent, nameIn } from "./names.ts";
import { branchesOf } from "./order.ts";
import type { Row } from "./rows.ts";
import { indexOfSelected, listed, partsOf, topOf, type View } from "./view.ts";

const HELP: readonly string[] = [
  "↑ ↓  j k        select the previous or next row",
  "PgUp PgDn  b f  one page up or down",
  "g G  Home End   the first row (follows the sort order), the last row",
  "enter           details of the selected cgroup: victim order, events, usage; esc goes back",
  "/               search for words of the path; n finds the next match",
  "\\               filter by words of the path; enter keeps the filter, esc restores the previous one",
  "t               tree: each cgroup below its parent",
  "M P T K N       sort by usage, pressure, time to limit, kills, name",
  "s  r            next sort order (also headroom, %, rate); reverse the order",
  "space           pause or continue; events during a pause are shown afterwards",
  "in a replay     space plays and pauses, ← → (or , .) step, [ ] move by a minute,",
  "                x X go to the next and the previous kill, + - change the speed",
  "Ctrl-L          redraw the screen",
  "Ctrl-Z          suspend (fg resumes); a suspended guard protects nothing",
  "?               this help",
  "q  Ctrl-C       quit; q asks first in a guard",
  "",
  "kills since     processes killed by the guard and by the kernel since the view was opened",
  "since boot      processes killed by the kernel's OOM killer for any cause (/proc/vmstat)",
  "PSI             percent of the last 10 s in which some or all tasks were stalled on memory",
  "USAGE  LIMIT    memory in use, and the effective limit (of a guard, the limit that it enforces)",
  "%               usage in percent of that limit",
  "bar             █ working set  ▒ inactive page cache, which the kernel reclaims first  ░ free",
  "                ┆ warn level or watch threshold  ┇ critical level  ┃ imminent level",
  "LEFT            headroom to the limit that is hit next; it may be a parent's, shared with others",
  "LIMIT IN        time until that limit is hit at the current rate",
  "HITS/OOMS       limit hits and OOMs since the view was opened",
  "KERNEL  GUARD   processes killed by the kernel and by the guard since the view was opened",
];

/** On a smaller screen only a count is shown. */
const MIN_SIZE = { columns: 20, rows: 4 };

/** Exactly `size.rows` lines, none wider than `size.columns`, for any size. */
export function screenLines(view: View, size: Size, can: Capabilities): string[] {
  const { columns, rows } = size;
  if (!(columns >= 1 && rows >= 1)) return [];
  const isTiny = columns < MIN_SIZE.columns || rows < MIN_SIZE.rows;
  const lines = isTiny ? [`oomkit: ${view.rows.length} cgroups`] : whole(view, canvasOf(size, can));
  return Array.from({ length: rows }, (_, at) => {
    const line = lines[at] ?? "";
    return cutTo((can.unicode ? steady(line) : ascii(line)).trimEnd(), columns, markOf(can));
  });
}

function whole(view: View, canvas: Canvas): string[] {
  const body = canvas.rows - FIXED_LINES;
  const text = textOf(view, canvas);
  const from = scrollIn(text, view, canvas);
  const middle = text?.slice(from, from + body) ?? listLines(view, canvas);
  return [
    titleLine(view, canvas),
    ...middle,
    ...Array<string>(Math.max(0, body - middle.length)).fill(""),
    keysLine(view, canvas),
  ].slice(0, canvas.rows);
}

/** Title line and key line. */
const FIXED_LINES = 2;

function textOf(view: View, canvas: Canvas): string[] | undefined {
  const lines = view.isHelp ? HELP : view.details && detailsLines(view.details, view, canvas);
  return lines?.flatMap((line) => foldLine(line, canvas.columns));
}

/** The scroll position within the bounds of the text. */
function scrollIn(text: readonly string[] | undefined, { scroll }: View, { rows }: Size): number {
  return text === undefined
    ? scroll
    : Math.max(0, Math.min(scroll, text.length - rows + FIXED_LINES));
}

/** The scroll position of the help or the details, limited to their end. */
export function scrollOf(view: View, size: Size, can: Capabilities): number {
  return scrollIn(textOf(view, canvasOf(size, can)), view, size);
}

function listLines(view: View, canvas: Canvas): string[] {
  const { palette } = canvas;
  const rows = listed(view);
  const parts = partsOf(canvas, rows.length);
  const top = topOf(view, rows, canvas);
  const shown = rows.slice(top, top + parts.rows);
  const parent = commonParent(view.rows.map(({ path }) => path));
  const nameOf = view.isTree ? treeNames(rows, parent, canvas) : listNames(parent, canvas);
  const longest = shown.reduce((most, row) => Math.max(most, widthOf(nameOf(row, Infinity))), 0);
  const columns = columnsFor(canvas.columns - 2, {
    hasPressure: view.hasPressure,
    hasGuard: view.command === "guard" || view.replay?.isOfGuard === true ||
      view.totals.actions > 0,
    longest,
  });
  const titles = `${palette("title", "  ")}${
    titlesOf(columns, { sort: view.sort, historyTitle: `LAST ${historyTime(view)}` }, palette)
  }`;
  const selected = indexOfSelected(view, rows) - top;
  const list = shown.map((row, at) => {
    const cells = (palette: Palette) =>
      cellsOf(row, columns, { can: canvas.can, palette, name: (width) => nameOf(row, width) });
    return at === selected ? selectedLine(cells, canvas) : `  ${cells(palette)}`;
  });
  if (rows.length === 0) list.push(`  ${emptyText(view)}`);
  return [
    ...machineLines(view, parts.header, canvas),
    titles + palette("title", " ".repeat(Math.max(0, canvas.columns - widthOf(titles)))),
    ...list,
    ...Array<string>(Math.max(0, parts.rows - list.length)).fill(""),
    ...parts.log === 0 ? [] : logLines(view.log, parts.log, parent, canvas),
  ];
}

/** Reversed as a whole, and so without colours of its own. */
function selectedLine(
  cells: (palette: Palette) => string,
  { can, columns, palette }: Canvas,
): string {
  const line = `${can.unicode ? "▸" : ">"} ${cells((_, text) => text)}`;
  return palette("selected", filled(line, columns, "left", ""));
}

type NameOf = (row: Row, width: number) => string;

const listNames = (parent: string, { can }: Canvas): NameOf => ({ path }, width) =>
  shortName(nameIn(parent, path), width, can.unicode);

function treeNames(rows: readonly Row[], common: string, { can }: Canvas): NameOf {
  const branches = branchesOf(rows, can.unicode);
  return ({ path }, width) => {
    const { lead = "", parent = common } = branches.get(path) ?? {};
    return lead + shortName(nameIn(parent, path), Math.max(1, width - lead.length), can.unicode);
  };
}

const emptyText = ({ rows, filter }: View) =>
  rows.length === 0 ? "no cgroup yet" : `no cgroup matches "${visible(filter)}"`;
