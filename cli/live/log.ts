/** The events below the rows of the live view, and in the details of a cgroup. Pure. */

import type { OomkitEvent } from "../../core/events/event.ts";
import { clockTime, eventFacts, shortEventType } from "../output/event_text.ts";
import { wrapTo } from "../terminal/layout.ts";
import { cutTo, filled, shortName, widthOf } from "../terminal/width.ts";
import { type Canvas, markOf } from "./canvas.ts";
import { nameIn } from "./names.ts";
import type { LogEntry } from "./view.ts";

/** The rest of a longer sentence is cut: the log of one event must not fill the part of the screen for all of them. */
const MAX_LINES = 2;
const TIME_WIDTH = 8;
const TYPE_WIDTH = 10;
/** Of the names; a longer one is shortened. */
const MAX_NAME_SHARE = 1 / 5;
const MAX_NAME_WIDTH = 32;

/** A size stays on one line: `62.4 MiB/s`. */
const BEFORE_UNIT = /(?<=\d) (?=(?:[KMGT]i)?B\b|ms\b|s\b|%)/g;
const NO_BREAK = "\u00a0";

type EventEntry = Extract<LogEntry, { readonly event: OomkitEvent }>;

interface EventLayout {
  /** What the names on the screen are relative to. */
  readonly parent: string;
  /** Without the names, where all events are of one cgroup. */
  readonly isUnnamed?: boolean;
}

/** The newest entries in `room` lines, the newest last. */
export function logLines(
  log: readonly LogEntry[],
  room: number,
  parent: string,
  canvas: Canvas,
): string[] {
  const newest = log.slice(-room);
  const first = lastLines(newest, room, parent, canvas);
  // Names of events that have no room do not widen the column.
  const { lines } = lastLines(newest.slice(-first.entries), room, parent, canvas);
  const title = "── events ";
  const rule = "─".repeat(Math.max(0, canvas.columns - title.length));
  return [canvas.palette("dim", title + rule), ...lines];
}

/** The last entries that have room, as lines, and how many they are. */
function lastLines(log: readonly LogEntry[], room: number, parent: string, canvas: Canvas) {
  const { palette, columns, can } = canvas;
  const names = log.flatMap((entry) => "event" in entry ? [entry.event.cgroup] : []);
  const width = nameWidth(names, parent, canvas);
  const lines: string[] = [];
  let entries = 0;
  for (const entry of log.toReversed()) {
    const shown = "event" in entry
      ? eventLines(entry, width, { parent }, canvas)
      : [palette("dim", cutTo(entry.message, columns, markOf(can)))];
    // The oldest one is left out rather than shown in part.
    if (shown.length > room - lines.length && entries > 0) break;
    lines.unshift(...shown.slice(0, room));
    entries++;
  }
  return { lines, entries };
}

function nameWidth(paths: readonly string[], parent: string, { columns, can }: Canvas): number {
  const max = Math.min(MAX_NAME_WIDTH, Math.max(6, Math.floor(columns * MAX_NAME_SHARE)));
  return paths.reduce(
    (most, path) => Math.max(most, widthOf(shortName(nameIn(parent, path), max, can.unicode))),
    0,
  );
}

/** The events of one cgroup. */
export function ownEventLines(events: readonly EventEntry[], canvas: Canvas): string[] {
  return events.flatMap((event) => eventLines(event, 0, { parent: "/", isUnnamed: true }, canvas));
}

/** `10:02:19 oom_kill   api  pid 4242 …`, with the rest of the sentence on a second line. */
function eventLines(
  { event, facts: recorded }: EventEntry,
  width: number,
  { parent, isUnnamed = false }: EventLayout,
  { columns, can, palette, style }: Canvas,
): string[] {
  const hasName = !isUnnamed && event.type !== "summary" && width > 0;
  const name = hasName
    ? `${filled(shortName(nameIn(parent, event.cgroup), width, can.unicode), width)} `
    : "";
  const head = `${palette("dim", clockTime(new Date(event.ts)))} ${
    shortEventType(event.type, style)
  } ${name}`;
  const indent = TIME_WIDTH + 1 + TYPE_WIDTH + 1 + (hasName ? width + 1 : 0);
  const facts = recorded ??
    eventFacts(event, (path) => shortName(nameIn(parent, path), 40, can.unicode));
  // A narrow screen has no room beside the head.
  const room = columns - indent;
  if (room < 20) return [head + facts].map((line) => cutTo(line, columns, markOf(can)));
  const [first = "", ...rest] = wrapTo(facts.replace(BEFORE_UNIT, NO_BREAK), room)
    .map((line) => line.replaceAll(NO_BREAK, " "));
  const second = rest.join(" ");
  return [
    head + first,
    ...second === "" ? [] : [" ".repeat(indent) + cutTo(second, room, markOf(can))],
  ].slice(0, MAX_LINES);
}
