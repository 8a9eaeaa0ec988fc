/** The screen: a function of the view, of the terminal's size, and of what it can show, to its lines. Pure. */

import { type Capabilities, type Palette, paletteOf, type Size } from "../terminal/palette.ts";
import { ascii, cutTo, ending, filled, steady, visible, widthOf } from "../terminal/width.ts";
import { foldLine } from "../terminal/wrap.ts";
import type { OomkitEvent } from "../../core/events/event.ts";
import { shortName } from "../terminal/name.ts";
import { eventFacts, eventText, eventType } from "../output/event_text.ts";
import { printable } from "../output/output.ts";
import { clockOf } from "./clock.ts";
import { styleOf } from "./style.ts";
import { cellsOf, columnsFor, titlesOf } from "./columns.ts";
import { detailsLines } from "./details.ts";
import { HELP } from "./help.ts";
import { SORT_LABELS } from "./order.ts";
import { indexOfSelected, listed, type LogEntry, partsOf, topOf, type View } from "./view.ts";

/** Below it only a word fits. */
const LEAST = { columns: 20, rows: 4 };

/** Exactly `size.rows` lines, none wider than `size.columns`; whatever the size is. */
export function screenLines(view: View, size: Size, can: Capabilities): string[] {
  const { columns, rows } = size;
  if (!(columns >= 1 && rows >= 1)) return [];
  const isTiny = columns < LEAST.columns || rows < LEAST.rows;
  const lines = isTiny ? [`oomkit: ${view.rows.length} cgroups`] : whole(view, size, can);
  return Array.from({ length: rows }, (_, at) => fitted(lines[at] ?? "", columns, can));
}

function fitted(line: string, columns: number, { unicode }: Capabilities): string {
  const shown = unicode ? steady(line) : ascii(line);
  return cutTo(shown.trimEnd(), columns, unicode ? "…" : "~");
}

function whole(view: View, size: Size, can: Capabilities): string[] {
  const palette = paletteOf(can);
  const body = size.rows - AROUND;
  const text = textOf(view, size, can, palette);
  const from = scrollIn(text, view, size);
  const middle = text?.slice(from, from + body) ?? listLines(view, size, can, palette);
  return [
    headLine(view, size.columns, can, palette),
    ...middle,
    ...Array<string>(Math.max(0, body - middle.length)).fill(""),
    footLine(view, size.columns, can, palette),
  ].slice(0, size.rows);
}

/** Title and footer. */
const AROUND = 2;

/** The help or the details, whichever is open. */
function textOf(
  view: View,
  { columns }: Size,
  can: Capabilities,
  palette: Palette,
): string[] | undefined {
  const lines = view.isHelp ? HELP : view.details &&
    detailsLines(view.details, view, { style: styleOf(palette), width: columns }, can);
  return lines?.flatMap((line) => foldLine(line, columns));
}

/** As far as there is anything. */
function scrollIn(text: readonly string[] | undefined, { scroll }: View, { rows }: Size): number {
  return text === undefined ? scroll : Math.max(0, Math.min(scroll, text.length - rows + AROUND));
}

/** How far the help or the details are scrolled in truth, where somebody went on beyond their end. */
export function scrollOf(view: View, size: Size, can: Capabilities): number {
  return scrollIn(textOf(view, size, can, paletteOf(can)), view, size);
}

function headLine(view: View, columns: number, can: Capabilities, palette: Palette): string {
  const rows = listed(view);
  const count = rows.length === view.rows.length
    ? `${rows.length}`
    : `${rows.length} of ${view.rows.length}`;
  const dot = can.unicode ? " · " : " | ";
  const parts = [
    `oomkit ${view.command}`,
    `${count} ${view.rows.length === 1 ? "cgroup" : "cgroups"}`,
    ...view.isPaused ? ["PAUSED"] : [],
    ...view.filter === "" || view.previousFilter !== undefined
      ? []
      : [`filter "${visible(view.filter, can.unicode)}"`],
    ...view.details || view.isHelp ? [] : [SORT_LABELS[view.sort]],
  ];
  const room = columns - widthOf(view.clock) - 1;
  const left = filled(parts.join(dot), Math.max(0, room), "left", can.unicode ? "…" : "~");
  return palette("bold", `${left} ${view.clock}`);
}

const KEYS = {
  list: [
    ["?", "help"],
    ["q", "quit"],
    ["enter", "details"],
    ["/", "filter"],
    ["s", "sort"],
    ["space", "pause"],
    ["↑↓", "select"],
  ],
  details: [["esc", "back"], ["↑↓", "scroll"], ["space", "pause"], ["?", "help"], ["q", "quit"]],
  help: [["esc", "back"], ["↑↓", "scroll"]],
} as const;

function footLine(view: View, columns: number, can: Capabilities, palette: Palette): string {
  if (view.previousFilter !== undefined) {
    const typed = visible(view.filter, can.unicode);
    // The end of it is where one types.
    const seen = ending(typed, columns - 3);
    return `/${seen}${palette("selected", can.colours === 0 ? "_" : " ")}`;
  }
  const keys = KEYS[view.isHelp ? "help" : view.details ? "details" : "list"];
  let line = "";
  let width = 0;
  for (const [key, what] of keys) {
    const name = can.unicode ? key : key.replace("↑↓", "up/down");
    width += name.length + what.length + 3;
    if (width - 2 > columns) break;
    line += `${line === "" ? "" : "  "}${palette("bold", name)} ${palette("dim", what)}`;
  }
  return line;
}

function listLines(view: View, size: Size, can: Capabilities, palette: Palette): string[] {
  const rows = listed(view);
  const parts = partsOf(size);
  const top = topOf(view, rows, size);
  const shown = rows.slice(top, top + parts.rows);
  const longest = shown.reduce((most, { path }) => Math.max(most, widthOf(printable(path))), 0);
  const columns = columnsFor(size.columns - 2, { hasPressure: view.hasPressure, longest });
  const selected = indexOfSelected(view, rows) - top;
  const sign = can.unicode ? "▸" : ">";
  const list = shown.map((row, at) =>
    `${at === selected ? palette("bold", sign) : " "} ${cellsOf(row, columns, can, palette)}`
  );
  if (rows.length === 0) list.push(`  ${nothing(view)}`);
  const titles = `  ${titlesOf(columns)}`;
  return [
    palette("title", filled(titles, size.columns)),
    ...list,
    ...Array<string>(Math.max(0, parts.rows - list.length)).fill(""),
    ...parts.log === 0 ? [] : toldLines(view.log, parts.log, size.columns, can, palette),
  ];
}

const nothing = ({ rows, filter }: View) =>
  rows.length === 0 ? "no cgroup yet" : `no cgroup of the name "${visible(filter)}"`;

/** A rule, and the newest, the newest last. */
function toldLines(
  told: readonly LogEntry[],
  room: number,
  columns: number,
  can: Capabilities,
  palette: Palette,
): string[] {
  const line = can.unicode ? "─" : "-";
  const title = `${line}${line} events `;
  const rule = title + line.repeat(Math.max(0, columns - widthOf(title)));
  const style = styleOf(palette);
  const lines = told.slice(-room).map((one) =>
    "event" in one
      ? columns < ROOMY ? briefly(one.event, columns, can, palette) : eventText(one.event, style)
      : palette("dim", `oomkit says: ${one.message}`)
  );
  return [palette("dim", rule), ...lines];
}

/** From here on there is room for what happened behind when and where. */
const ROOMY = 110;

/** `10:02:19 oom_kill …/a: pid 4242 …` */
function briefly(event: OomkitEvent, columns: number, can: Capabilities, palette: Palette): string {
  const where = event.type === "summary"
    ? ""
    : ` ${shortName(event.cgroup, Math.max(6, Math.floor(columns / 4)), can.unicode)}:`;
  return `${palette("dim", clockOf(new Date(event.ts)))} ${
    eventType(event, styleOf(palette)).trimEnd()
  }${where} ${eventFacts(event)}`;
}
