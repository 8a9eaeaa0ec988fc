/** What a simulation on a terminal is about, ahead of it, and what happens in it, row by row. Pure. */

import { momentOf } from "../core/simulate/judge.ts";
import type { SimulationEvent } from "../core/simulate/simulation_event.ts";
import { ascii, visible, widthOf } from "./draw/width.ts";
import { wrapBehind, wrapTo } from "./draw/wrap.ts";
import type { Started } from "./simulate_race.ts";
import { leftover, wordsOf } from "./simulate_text.ts";
import type { RaceLook } from "./simulate_view.ts";
import type { Style } from "./style.ts";
import { formatBytes, formatDuration } from "./units.ts";

const WIDEST_TEXT = 100;

export function headingLines(start: Started, look: RaceLook): string[] {
  const { palette, unicode } = look;
  const width = Math.min(WIDEST_TEXT, look.width);
  const title = start.fake === null
    ? "a real out of memory, on purpose"
    : "an out of memory, played";
  const lines = [
    ...wrapTo(`oomkit simulate ${unicode ? "·" : "-"} ${title}`, width)
      .map((line) => palette("bold", line)),
    "",
    ...wrapTo(visible(aboutText(start), unicode), width - 2).map((line) => `  ${line}`),
    "",
    ...wrapBehind("  ", visible(start.cgroup, unicode), width).map((line) => palette("dim", line)),
    ...(start.fake === null || start.root === null ? [] : wrapBehind(
      "  ",
      `oomkit inspect --root ${visible(start.root, unicode)} ${visible(start.cgroup, unicode)}`,
      width,
    )),
    "",
  ];
  return unicode ? lines : lines.map(ascii);
}

function aboutText(start: Started): string {
  const { limit, kind, step, rate, pids, stop_at: stop } = start;
  const size = limit === null ? "no limit" : `a limit of ${formatBytes(limit)}`;
  const until = stop === null
    ? "until the kernel steps in"
    : `until usage comes up to ${formatBytes(stop)}`;
  if (start.fake !== null) {
    return `Nothing is allocated and nobody is killed: a made-up cgroup v${start.hierarchy} with ${size} ` +
      `is played with, since ${start.fake}`;
  }
  const where = start.swap_off === null
    ? `in this very cgroup (v${start.hierarchy}, ${size})`
    : `in a cgroup of ${
      pids.length === 1 ? "its" : "their"
    } own (v${start.hierarchy}) with ${size}` +
      (start.swap_off ? ", without swap" : ", swap could not be switched off");
  const who = pids.length === 1
    ? `Process ${pids[0]} begins`
    : `Processes ${pids.join(", ")} begin`;
  const what = { anon: "memory", file: "page cache of a file", shmem: "shared memory" }[kind];
  const pace = rate === null ? "as fast as it goes" : `${formatBytes(rate)} a second`;
  const group = start.group_kill ? " They are to be killed as a group." : "";
  const outside = start.swap_off === null ? "" : " Nothing outside of it is touched.";
  return `${who} to take ${what} ${where}: ${
    formatBytes(step)
  } at a time, ${pace}, ${until}.${group}${outside}`;
}

const TIME_WIDTH = 10;
const NAME_WIDTH = 11;
/** With fewer columns the facts stand beneath what they are about. */
const BESIDE = 70;

/**
 * What happened besides steps, which the bar shows; none for what is told elsewhere.
 * @param began milliseconds since the epoch.
 */
export function eventLines(
  event: SimulationEvent,
  began: number | undefined,
  style: Style,
  { palette, unicode, width }: RaceLook,
): string[] {
  if (event.type === "leftover") return wrapTo(visible(leftover(event), unicode), width);
  if (event.type === "start" || event.type === "step" || event.type === "verdict") return [];
  const { name, facts, source } = wordsOf(event, style);
  const at = began === undefined ? "" : formatDuration(Math.max(0, momentOf(event.ts) - began));
  const head = `${palette("dim", at.padStart(TIME_WIDTH))}  ${name}`;
  const words = `${visible(facts, unicode)}${source === "" ? "" : ` [${source}]`}`;
  const indent = TIME_WIDTH + 2 + NAME_WIDTH + 1;
  const lines = width >= BESIDE
    ? wrapTo(words, width - indent).map((line, index) =>
      index === 0
        ? `${head}${" ".repeat(Math.max(1, indent - widthOf(head)))}${line}`
        : `${" ".repeat(indent)}${line}`
    )
    : [head, ...wrapTo(words, width - 4).map((line) => `    ${line}`)];
  return unicode ? lines : lines.map(ascii);
}
