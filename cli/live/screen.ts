/** Draws the screen: from the view, the terminal's size and its capabilities to lines of text. Pure. */

import type { OomkitEvent } from "../../core/events/event.ts";
import { inspectionLines } from "../inspect/text.ts";
import { formatCount, shortRate, shortTime } from "../options/units.ts";
import { clockTime, eventFacts, eventText, eventType } from "../output/event_text.ts";
import { printable } from "../output/output.ts";
import { sparkline } from "../terminal/bars.ts";
import type { Capabilities, Size } from "../terminal/capabilities.ts";
import { foldLine } from "../terminal/layout.ts";
import { type Palette, paletteOf, type Role, type Style } from "../terminal/palette.ts";
import {
  ascii,
  cutTo,
  ending,
  filled,
  shortName,
  steady,
  visible,
  widthOf,
} from "../terminal/width.ts";
import { cellsOf, columnsFor, titlesOf } from "./columns.ts";
import { type Row, SORT_LABELS } from "./rows.ts";
import {
  type Details,
  indexOfSelected,
  listed,
  type LogEntry,
  partsOf,
  topOf,
  type View,
} from "./view.ts";

const HELP: readonly string[] = [
  "↑ ↓  j k        select the previous or next row",
  "PgUp PgDn  b f  one page up or down",
  "g G  Home End   the first row (follows the sort order), the last row",
  "enter           details of the selected cgroup; esc goes back",
  "/               filter by words of the path; enter keeps the filter, esc restores the previous one",
  "s               next sort order: time, left, %, usage, rate, counts, name",
  "space           pause or continue; events during a pause are shown afterwards",
  "Ctrl-L          redraw the screen",
  "Ctrl-Z          suspend (fg resumes); a suspended guard protects nothing",
  "?               this help",
  "q  esc  Ctrl-C  quit",
  "",
  "USAGE     █ working set  ▒ inactive page cache, which the kernel reclaims first  ░ free",
  "          ┆ warn level or watch threshold  ┇ critical level  ┃ imminent level",
  "%         usage in percent of the effective limit; the size if there is no limit",
  "LEFT      headroom to the limit that is hit next; it may be a parent's, shared with others",
  "LIMIT IN  time until that limit is hit at the current rate",
  "PSI       percent of the last 10 s in which some or all tasks were stalled on memory (v2)",
  "HIT/OOM/KILL/ACT  limit hits, OOMs, kernel kills, guard kills since the view was opened",
];

const ROLES: Readonly<Record<string, Role>> = {
  bold: "bold",
  dim: "dim",
  red: "critical",
  green: "good",
  yellow: "warn",
  cyan: "cold",
  magenta: "hot",
};

/** Lets the formatters of line output draw in the palette of the screen. */
function styleOf(palette: Palette): Style {
  return (format, text) => {
    const formats = [format].flat().map(String);
    const colour = formats.find((each) => each !== "bold" && ROLES[each] !== undefined);
    if (colour === "red" && formats.includes("bold")) return palette("bad", text);
    return palette(ROLES[colour ?? formats[0] ?? ""] ?? "plain", text);
  };
}

interface Canvas extends Size {
  readonly can: Capabilities;
  readonly palette: Palette;
  readonly style: Style;
}

function canvasOf(size: Size, can: Capabilities): Canvas {
  const palette = paletteOf(can);
  return { ...size, can, palette, style: styleOf(palette) };
}

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

const markOf = ({ unicode }: Capabilities) => unicode ? "…" : "~";

function whole(view: View, canvas: Canvas): string[] {
  const body = canvas.rows - FIXED_LINES;
  const text = textOf(view, canvas);
  const from = scrollIn(text, view, canvas);
  const middle = text?.slice(from, from + body) ?? listLines(view, canvas);
  return [
    headLine(view, canvas),
    ...middle,
    ...Array<string>(Math.max(0, body - middle.length)).fill(""),
    footLine(view, canvas),
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

function headLine(view: View, { columns, can, palette }: Canvas): string {
  const rows = listed(view);
  const total = view.rows.length;
  const parts = [
    `oomkit ${view.command}`,
    `${rows.length === total ? "" : `${rows.length} of `}${formatCount(total, "cgroup")}`,
    ...killsText(view),
    ...view.isPaused ? ["PAUSED"] : [],
    ...view.filter === "" || view.previousFilter !== undefined
      ? []
      : [`filter "${visible(view.filter, can.unicode)}"`],
    ...view.details || view.isHelp ? [] : [`by ${SORT_LABELS[view.sort]}`],
  ];
  const room = Math.max(0, columns - widthOf(view.clock) - 1);
  const left = filled(parts.join(can.unicode ? " · " : " | "), room, "left", markOf(can));
  return palette("bold", `${left} ${view.clock}`);
}

/** A removed cgroup takes its counts with it, so the title has the sum of all. */
function killsText({ command, totals: { kills, actions } }: View): string[] {
  if (kills + actions === 0) return [];
  return [...command === "guard" ? [`guard killed ${actions}`] : [], `kernel killed ${kills}`];
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

function footLine(view: View, { columns, can, palette }: Canvas): string {
  if (view.previousFilter !== undefined) {
    const typed = visible(view.filter, can.unicode);
    return `/${ending(typed, columns - 3)}${palette("selected", can.colours === 0 ? "_" : " ")}`;
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

function listLines(view: View, canvas: Canvas): string[] {
  const { can, palette } = canvas;
  const rows = listed(view);
  const parts = partsOf(canvas);
  const top = topOf(view, rows, canvas);
  const shown = rows.slice(top, top + parts.rows);
  const longest = shown.reduce((most, { path }) => Math.max(most, widthOf(printable(path))), 0);
  const columns = columnsFor(canvas.columns - 2, { hasPressure: view.hasPressure, longest });
  const selected = indexOfSelected(view, rows) - top;
  const sign = can.unicode ? "▸" : ">";
  const list = shown.map((row, at) =>
    `${at === selected ? palette("bold", sign) : " "} ${cellsOf(row, columns, can, palette)}`
  );
  if (rows.length === 0) list.push(`  ${emptyText(view)}`);
  return [
    palette("title", filled(`  ${titlesOf(columns)}`, canvas.columns)),
    ...list,
    ...Array<string>(Math.max(0, parts.rows - list.length)).fill(""),
    ...parts.log === 0 ? [] : logLines(view.log, parts.log, canvas),
  ];
}

const emptyText = ({ rows, filter }: View) =>
  rows.length === 0 ? "no cgroup yet" : `no cgroup matches "${visible(filter)}"`;

function logLines(log: readonly LogEntry[], room: number, canvas: Canvas): string[] {
  const { columns, can, palette, style } = canvas;
  const line = can.unicode ? "─" : "-";
  const title = `${line}${line} events `;
  const lines = log.slice(-room).map((one) => {
    if (!("event" in one)) return palette("dim", one.message);
    return columns < MIN_COLUMNS_FOR_EVENT_TEXT
      ? briefEventText(one.event, canvas)
      : eventText(one.event, style);
  });
  return [palette("dim", title + line.repeat(Math.max(0, columns - widthOf(title)))), ...lines];
}

/** From this width on, events are drawn as line output prints them. */
const MIN_COLUMNS_FOR_EVENT_TEXT = 110;

/** `10:02:19 oom_kill …/a: pid 4242 …` */
function briefEventText(event: OomkitEvent, { columns, can, palette, style }: Canvas): string {
  const where = event.type === "summary"
    ? ""
    : ` ${shortName(event.cgroup, Math.max(6, Math.floor(columns / 4)), can.unicode)}:`;
  const at = palette("dim", clockTime(new Date(event.ts)));
  return `${at} ${eventType(event, style).trimEnd()}${where} ${eventFacts(event)}`;
}

const MAX_EVENTS = 10;

/** The details of one cgroup: the report of `inspect`, with history, counts and events. */
function detailsLines(
  { path, found, error }: Details,
  { rows, log }: View,
  canvas: Canvas,
): string[] {
  const { style } = canvas;
  const events = log.flatMap((entry) =>
    "event" in entry && entry.event.cgroup === path ? [entry.event] : []
  );
  const row = rows.find((each) => each.path === path);
  return [
    ...error === undefined ? [] : [style("yellow", error)],
    ...row === undefined ? [] : historyLines(row, canvas),
    ...found === undefined
      ? [visible(path, canvas.can.unicode), ...error === undefined ? ["reading …"] : []]
      : inspectionLines(found.inspection, found.machine, { style, width: canvas.columns }),
    ...events.length === 0 ? [] : [""],
    ...events.slice(-MAX_EVENTS).map((event) => eventText(event, style)),
  ];
}

function historyLines(row: Row, { columns, can: { unicode }, style }: Canvas): string[] {
  const { hits, ooms, kills, actions } = row.counts;
  return [
    style("cyan", sparkline(row.history, Math.max(1, columns), { max: row.limit, unicode })),
    `${shortRate(row.rate)}, limit in ${shortTime(row.timeLeft)}; since the view was opened: ` +
    `limit hits ${hits}, OOMs ${ooms}, kernel kills ${kills}, guard kills ${actions}` +
    (row.mode === undefined ? "" : `; guard mode ${row.mode}`),
    "",
  ];
}
