/** The details of one cgroup: the report of `inspect`, with history, counts and events. Pure. */

import type { Capabilities } from "../terminal/capabilities.ts";
import { visible } from "../terminal/width.ts";
import { inspectionLines } from "../inspect/text.ts";
import type { TextLayout } from "../terminal/layout.ts";
import { shortRate, shortTime } from "../options/units.ts";
import { sparkline } from "../terminal/bars.ts";
import type { Row } from "./rows.ts";
import type { Details, View } from "./view.ts";
import { eventText } from "../output/event_text.ts";

const MAX_EVENTS = 10;

export function detailsLines(
  { path, found, error }: Details,
  { rows, log }: Pick<View, "rows" | "log">,
  layout: TextLayout,
  can: Capabilities,
): string[] {
  const events = log.flatMap((entry) =>
    "event" in entry && entry.event.cgroup === path ? [entry.event] : []
  );
  const row = rows.find((each) => each.path === path);
  return [
    ...error === undefined ? [] : [layout.style("yellow", error)],
    ...row === undefined ? [] : historyLines(row, layout, can),
    ...found === undefined
      ? [visible(path, can.unicode), ...error === undefined ? ["reading …"] : []]
      : inspectionLines(found.inspection, found.machine, layout),
    ...events.length === 0 ? [] : [""],
    ...events.slice(-MAX_EVENTS).map((event) => eventText(event, layout.style)),
  ];
}

function historyLines(row: Row, layout: TextLayout, { unicode }: Capabilities): string[] {
  const { hits, ooms, kills, actions } = row.counts;
  const history = sparkline(row.history, Math.max(1, layout.width), { max: row.limit, unicode });
  return [
    layout.style("cyan", history),
    `${shortRate(row.rate)}, limit in ${shortTime(row.timeLeft)}; since the view was opened: ` +
    `limit hits ${hits}, OOMs ${ooms}, kernel kills ${kills}, guard kills ${actions}` +
    (row.mode === undefined ? "" : `; guard mode ${row.mode}`),
    "",
  ];
}
