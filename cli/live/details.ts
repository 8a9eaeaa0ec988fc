/** The details of one cgroup: victim order, its events, its usage over time, and the rest of what `inspect` shows. Pure. */

import { headingLines, memoryLines, victimLines } from "../inspect/text.ts";
import { shortBytes, shortRate, shortTime } from "../options/units.ts";
import { areaLines } from "../terminal/bars.ts";
import { visible } from "../terminal/width.ts";
import type { Canvas } from "./canvas.ts";
import { ownEventLines } from "./log.ts";
import type { Row } from "./rows.ts";
import type { Details, View } from "./view.ts";

const MAX_EVENTS = 10;

export function detailsLines(
  { path, found, error, victims = [] }: Details,
  view: View,
  canvas: Canvas,
): string[] {
  const { rows, log, replay } = view;
  const { style, columns: width, can: { unicode } } = canvas;
  const layout = { style, width };
  const events = log.flatMap((entry) =>
    "event" in entry && entry.event.cgroup === path ? [entry] : []
  );
  const row = rows.find((each) => each.path === path);
  const title = (text: string) => style("dim", text);
  return [
    ...error === undefined ? [] : [style("yellow", error)],
    ...found === undefined
      ? [visible(path, unicode), ...error === undefined && !replay ? ["reading …"] : []]
      : headingLines(found.inspection, layout),
    ...victims.length === 0 ? [] : ["", title("VICTIM ORDER OF THE GUARD"), ...victims],
    ...found === undefined ? [] : [
      "",
      title("VICTIM ORDER OF THE KERNEL"),
      ...victimLines(found.inspection, layout).slice(1),
    ],
    ...events.length === 0 ? [] : ["", title("EVENTS")],
    ...ownEventLines(events.slice(-MAX_EVENTS), canvas),
    ...row === undefined ? [] : ["", title("USAGE"), ...historyLines(row, view, canvas)],
    ...found === undefined ? [] : memoryLines(found.inspection, found.machine, layout),
  ];
}

/** Of the last minutes: one column for each interval of a few seconds. */
const CHART_COLUMNS = 60;
const CHART_ROWS = 4;

/** How far back the usage goes: `3 MIN`. */
export const historyTime = ({ replay }: View): string =>
  replay === undefined ? "3 MIN" : shortTime(replay.historySeconds);

function historyLines(
  row: Row,
  view: View,
  { columns, can: { unicode }, palette }: Canvas,
): string[] {
  const { hits, ooms, kills, actions } = row.counts;
  const isLimited = Number.isFinite(row.limit);
  const top = isLimited ? row.limit : Math.max(0, ...row.history.map((value) => value ?? 0));
  const label = `${shortBytes(top)}${isLimited ? " limit" : " peak"}`;
  const chart = areaLines(row.history, {
    width: Math.max(1, Math.min(CHART_COLUMNS, columns - label.length - 3)),
    height: CHART_ROWS,
    top: { value: top, label },
    times: [`${historyTime(view).toLowerCase()} ago`, "now"],
    unicode,
  });
  return [
    ...chart.map((line) => palette("cold", line)),
    `${shortRate(row.rate)}, limit in ${shortTime(row.timeLeft)}; ${
      view.replay ? "until now" : "since the view was opened"
    }: ` +
    `limit hits ${hits}, OOMs ${ooms}, kernel kills ${kills}, guard kills ${actions}` +
    (row.mode === undefined ? "" : `; guard mode ${row.mode}`),
  ];
}
