/** The title of the live view, the lines about the machine, and the line of keys. Pure. */

import { formatCount, formatDuration, shortBytes } from "../options/units.ts";
import { clockTime } from "../output/event_text.ts";
import { type Cell, paint, type Role } from "../terminal/palette.ts";
import { beginning, ending, shortName, visible, widthOf } from "../terminal/width.ts";
import { type Canvas, markOf } from "./canvas.ts";
import { commonParent } from "./names.ts";
import { searched, sortLabel } from "./order.ts";
import { listed, type ReplayFacts, type View } from "./view.ts";

/** A part of a line, and its colour. */
type Part = readonly [Role, string];

const SEPARATOR = " · ";

/** As many parts as fit, side by side; the first one is cut if it is too long. */
function joined(parts: readonly Part[], width: number, { palette, can }: Canvas): string {
  let line = "";
  let left = width;
  for (const [role, text] of parts) {
    const before = line === "" ? "" : SEPARATOR;
    if (before.length + widthOf(text) > left) {
      if (line === "" && left > 0) return palette(role, beginning(text, left - 1) + markOf(can));
      break;
    }
    line += before + palette(role, text);
    left -= before.length + widthOf(text);
  }
  return line;
}

/** `oomkit guard · DRY RUN · policy process · notify · 3 cgroups in /kubepods · by time to limit   10:02:19` */
export function titleLine(view: View, canvas: Canvas): string {
  const { columns, palette } = canvas;
  const room = Math.max(0, columns - widthOf(view.clock) - 1);
  const line = joined(titleParts(view, room, canvas), room, canvas);
  const space = " ".repeat(Math.max(1, columns - widthOf(line) - widthOf(view.clock)));
  return `${line}${space}${palette("bold", view.clock)}`;
}

function titleParts(view: View, room: number, { can: { unicode } }: Canvas): Part[] {
  const { guard, filter, typing } = view;
  const rows = listed(view);
  const total = view.rows.length;
  const { replay } = view;
  const parts: Part[] = [["bold", `oomkit ${view.command}`]];
  if (replay) {
    parts.push(["alert", "REPLAY"], ["bold", visible(replay.source, unicode)]);
  }
  if (guard?.isDryRun) parts.push(["dryRun", "DRY RUN"]);
  if (view.isPaused) parts.push(["alert", "PAUSED"]);
  if (guard) {
    parts.push(["bold", guard.policy]);
    if (guard.modes.length > 0) parts.push(["bold", guard.modes.join(", ")]);
  }
  if (filter !== "" && typing?.field !== "filter") {
    parts.push(["bold", `filter "${visible(filter, unicode)}"`]);
  }
  const count = `${rows.length === total ? "" : `${rows.length} of `}${
    formatCount(total, "cgroup")
  }`;
  const used = parts.reduce((sum, [, text]) => sum + widthOf(text) + SEPARATOR.length, 0);
  const order = view.details || view.isHelp ? "" : orderText(view);
  const free = room - used - count.length;
  const besideOrder = free - order.length - SEPARATOR.length;
  const parent = parentText(view, besideOrder < ENOUGH_FOR_PARENT ? free : besideOrder, unicode);
  parts.push(["plain", count + parent]);
  if (order !== "") parts.push(["plain", order]);
  return parts;
}

/** With less beside it, the order is left out: the column that it sorts by is marked as well. */
const ENOUGH_FOR_PARENT = 20;
/** Below it a shortened path says nothing. */
const MIN_PARENT_WIDTH = 6;

/** ` in /kubepods`: what the names of all rows have in common. */
function parentText({ rows }: View, room: number, unicode: boolean): string {
  const parent = commonParent(rows.map(({ path }) => path));
  const left = room - " in ".length;
  return parent === "/" || left < MIN_PARENT_WIDTH ? "" : ` in ${shortName(parent, left, unicode)}`;
}

const orderText = (view: View) =>
  [
    `by ${sortLabel(view.sort, view.rows)}`,
    ...view.isReversed ? ["reversed"] : [],
    ...view.isTree ? ["tree"] : [],
  ].join(", ");

/** Shares of the machine's memory and of the time. */
const LOW_AVAILABLE = 0.1;
const HIGH_STALL_PERCENT = 10;

/** @param lines as many as {@link partsOf} has for them */
export function machineLines(view: View, lines: number, canvas: Canvas): string[] {
  if (view.replay) return replayLines(view, view.replay, lines, canvas);
  const killed: Part[] = killParts(view);
  const memory: Part[] = memoryParts(view);
  const { columns } = canvas;
  return lines < 2
    ? Array.from({ length: lines }, () => joined([...killed, ...memory], columns, canvas))
    : [joined(killed, columns, canvas), joined(memory, columns, canvas)];
}

function killParts({ command, since, machine, totals: { kills, actions } }: View): Part[] {
  const guard = command === "guard" || actions > 0 ? `guard ${actions}, ` : "";
  const oomKill = machine?.oomKill;
  return [
    [kills + actions > 0 ? "bad" : "plain", `kills since ${since}: ${guard}kernel ${kills}`],
    ...oomKill === undefined
      ? []
      : [["plain", `since boot: kernel ${oomKill}, whole machine`] as const],
  ];
}

function memoryParts({ machine }: View): Part[] {
  const { total, available } = machine?.memory ?? {};
  const parts: Part[] = [];
  if (total !== undefined && available !== undefined) {
    const role = available < LOW_AVAILABLE * total ? "critical" : "plain";
    parts.push([role, `memory available ${shortBytes(available)} of ${shortBytes(total)}`]);
  }
  const { some, full } = machine?.pressure ?? {};
  if (some !== undefined) {
    const role = some.avg10 >= HIGH_STALL_PERCENT ? "critical" : "plain";
    const all = full === undefined ? "" : `, all ${full.avg10.toFixed(1)} %`;
    parts.push([role, `PSI 10s: some tasks stalled ${some.avg10.toFixed(1)} %${all}`]);
  }
  return parts;
}

/** Where the replay is, in words and as a line with the kills on it. */
function replayLines(
  { totals: { kills, actions } }: View,
  { from, to, at, isPlaying, speed, kills: all, isWhole }: ReplayFacts,
  lines: number,
  canvas: Canvas,
): string[] {
  const words: Part[] = [
    [isPlaying ? "bold" : "alert", isPlaying ? `PLAYING ${speed}x` : "PAUSED"],
    ["plain", `${formatDuration(at - from)} of ${formatDuration(to - from)}`],
    [kills + actions > 0 ? "bad" : "plain", `kills so far: guard ${actions}, kernel ${kills}`],
    ["plain", `${all.length} in all`],
    ...isWhole ? [] : [["alert", "incomplete"] as const],
    ...speed === 1 || isPlaying ? [] : [["plain", `speed ${speed}x`] as const],
  ];
  const text = joined(words, canvas.columns, canvas);
  return lines < 2 ? [text].slice(0, lines) : [text, positionLine({ from, to, at, all }, canvas)];
}

/** `10:02:19 ├───x──█─────┤ 10:05:00` */
function positionLine(
  { from, to, at, all }: Pick<ReplayFacts, "from" | "to" | "at"> & {
    readonly all: readonly number[];
  },
  { columns, can: { unicode }, palette }: Canvas,
): string {
  const [start, end] = [from, to].map((time) => clockTime(new Date(time)));
  const width = Math.max(1, columns - 2 * 10 - 2);
  const placeOf = (time: number) =>
    to > from ? Math.min(width - 1, Math.floor(width * (time - from) / (to - from))) : 0;
  const cells: Cell[] = Array.from({ length: width }, () => ["free", "─"]);
  for (const kill of all) cells[placeOf(kill)] = ["bad", "x"];
  const isAtKill = all.includes(at);
  cells[placeOf(at)] = [isAtKill ? "bad" : "bold", unicode ? "█" : "#"];
  return `${start} ├${paint(cells, palette)}┤ ${end}`;
}

const KEYS = {
  list: [
    ["?", "help"],
    ["q", "quit"],
    ["enter", "details"],
    ["/", "search"],
    ["\\", "filter"],
    ["t", "tree"],
    ["s", "sort"],
    ["r", "reverse"],
    ["space", "pause"],
    ["↑↓", "select"],
  ],
  replay: [
    ["?", "help"],
    ["q", "quit"],
    ["space", "play"],
    ["← →", "step"],
    ["x X", "next, previous kill"],
    ["[ ]", "minute"],
    ["enter", "details"],
    ["+ -", "speed"],
    ["↑↓", "select"],
  ],
  details: [["esc", "back"], ["↑↓", "scroll"], ["space", "pause"], ["?", "help"]],
  replayDetails: [
    ["esc", "back"],
    ["↑↓", "scroll"],
    ["space", "play"],
    ["← →", "step"],
    ["x X", "next, previous kill"],
    ["?", "help"],
  ],
  help: [["esc", "back"], ["↑↓", "scroll"]],
} as const;

function keysOf({ isHelp, details, replay }: View): keyof typeof KEYS {
  if (isHelp) return "help";
  if (details) return replay ? "replayDetails" : "details";
  return replay ? "replay" : "list";
}

export function keysLine(view: View, canvas: Canvas): string {
  const { columns, can, palette } = canvas;
  if (view.isAsking) {
    const question =
      "End the guard? y: end it, any other key: go on. Its cgroups are unguarded then.";
    return joined([["alert", question]], columns, canvas);
  }
  if (view.typing) return typedLine(view, view.typing.field, canvas);
  const keys = KEYS[keysOf(view)];
  let line = "";
  let width = 0;
  for (const [key, what] of keys) {
    const name = can.unicode ? key : key.replace("↑↓", "up/down").replace("← →", "left/right");
    width += name.length + what.length + 3;
    if (width - 2 > columns) break;
    line += `${line === "" ? "" : "  "}${palette("bold", name)} ${palette("dim", what)}`;
  }
  return line;
}

function typedLine(view: View, field: "filter" | "search", { columns, can, palette }: Canvas) {
  const text = view[field];
  const isMissing = field === "search" && text !== "" && searched(listed(view), text, 0) < 0;
  const note = isMissing ? "  not found" : "";
  const lead = field === "filter" ? "\\" : "/";
  const typed = ending(visible(text, can.unicode), columns - 3 - note.length);
  return `${lead}${typed}${palette("selected", can.colours === 0 ? "_" : " ")}${note}`;
}
