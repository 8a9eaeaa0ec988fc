/** The details of one cgroup: what `inspect` shows, moving. Pure. */

import type { Capabilities } from "../terminal/palette.ts";
import { visible } from "../terminal/width.ts";
import { inspectionLines } from "../inspect/text.ts";
import type { TextLayout } from "../terminal/layout.ts";
import { shortRate, shortTime } from "../terminal/amounts.ts";
import { sparkline } from "../terminal/sparkline.ts";
import type { Row } from "./rows.ts";
import type { Details, View } from "./view.ts";
import { eventText } from "../output/event_text.ts";

/** The newest of its own. */
const MAX_EVENTS = 10;

export function detailsLines(
  { path, found, error: trouble }: Details,
  { rows, log: told }: Pick<View, "rows" | "log">,
  look: TextLayout,
  can: Capabilities,
): string[] {
  const events = told.filter((one) => "event" in one && one.event.cgroup === path).slice(
    -MAX_EVENTS,
  );
  const row = rows.find((each) => each.path === path);
  return [
    ...trouble === undefined ? [] : [look.style("yellow", trouble)],
    ...row === undefined ? [] : courseLines(row, look, can),
    ...found === undefined
      ? [visible(path, can.unicode), ...trouble === undefined ? ["reading …"] : []]
      : inspectionLines(found.inspection, found.machine, look),
    ...events.length === 0 ? [] : [""],
    ...events.flatMap((one) => "event" in one ? [eventText(one.event, look.style)] : []),
  ];
}

/** What `inspect` cannot know, as it looks but once. */
function courseLines(row: Row, look: TextLayout, { unicode }: Capabilities): string[] {
  const { hits, ooms, kills, actions: deeds } = row.counts;
  const course = sparkline(row.history, Math.max(1, look.width), { most: row.limit, unicode });
  return [
    look.style("cyan", course),
    `${shortRate(row.rate)}, limit in ${shortTime(row.timeLeft)}; since the start: ` +
    `limit hit ${hits}, oom ${ooms}, killed ${kills}, acted ${deeds}` +
    (row.mode === undefined ? "" : `; guarded by ${row.mode}`),
    "",
  ];
}
