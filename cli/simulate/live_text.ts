/** What the live view prints around its bar: the heading, a row for each event, and the ending. Pure. */

import type { SimulationEvent, Verdict } from "../../core/simulate/event.ts";
import { formatBytes } from "../options/units.ts";
import type { Style } from "../terminal/palette.ts";
import { ascii, visible, widthOf } from "../terminal/width.ts";
import { wrapBehind, wrapTo } from "../terminal/layout.ts";
import { runPlot } from "./plot.ts";
import type { RunLog, StartEvent } from "./run_log.ts";
import { explanation, suggestionsFor } from "./suggestions.ts";
import { describeEvent, staleText, timeOf } from "./text.ts";
import { headline, verdictFacts } from "./verdict.ts";
import type { Canvas } from "./view.ts";

const MAX_TEXT_WIDTH = 100;
const TIME_WIDTH = 10;
const NAME_WIDTH = 11;
const LABEL_WIDTH = 11;
/** With fewer columns the facts of an event stand below its name. */
const MIN_WIDTH_FOR_ONE_LINE = 70;

export function headingLines(start: StartEvent, canvas: Canvas): string[] {
  const { palette, unicode } = canvas;
  const width = Math.min(MAX_TEXT_WIDTH, canvas.width);
  const { fake_reason: fakeReason, fake_root: root } = start;
  const title = fakeReason === null ? "a real OOM, on purpose" : "a fake OOM, nothing is killed";
  const cgroup = visible(start.cgroup, unicode);
  return inCharset(unicode, [
    ...wrapTo(`oomkit simulate ${unicode ? "·" : "-"} ${title}`, width)
      .map((line) => palette("bold", line)),
    "",
    ...wrapTo(visible(describe(start), unicode), width - 2).map((line) => `  ${line}`),
    "",
    ...wrapBehind("  ", cgroup, width).map((line) => palette("dim", line)),
    ...(root === null
      ? []
      : wrapBehind("  ", `oomkit inspect --root ${visible(root, unicode)} ${cgroup}`, width)),
    "",
  ]);
}

function describe(start: StartEvent): string {
  const { limit, kind, step, rate, pids, stop_at: stop, hierarchy, swap_off: swapOff } = start;
  const size = limit === null ? "no limit" : `a limit of ${formatBytes(limit)}`;
  if (start.fake_reason !== null) {
    return `Nothing is allocated or killed: oomkit only updates the files of a fake ` +
      `cgroup v${hierarchy} with ${size}. Reason: ${start.fake_reason}.`;
  }
  const isOne = pids.length === 1;
  const allocators = isOne
    ? `Process ${pids[0]} allocates`
    : `Processes ${pids.join(", ")} allocate`;
  const memory = { anon: "memory", file: "page cache of a file", shmem: "shared memory" }[kind];
  const place = swapOff === null
    ? `in oomkit's own cgroup (v${hierarchy}, ${size})`
    : `in a cgroup of ${isOne ? "its" : "their"} own (v${hierarchy}) with ${size} and ${
      swapOff ? "no swap" : "swap, which could not be disabled"
    }`;
  const pace = rate === null ? "as fast as possible" : `${formatBytes(rate)} per second`;
  const end = stop === null ? "until the kernel stops it" : `until usage is ${formatBytes(stop)}`;
  const until = isOne || stop !== null ? end : "until the kernel stops them";
  return `${allocators} ${memory} ${place}: ${formatBytes(step)} at a time, ${pace}, ${until}.` +
    (start.group_kill ? " The kernel kills them as a group." : "") +
    (swapOff === null ? "" : " Nothing outside of this cgroup is affected.");
}

/**
 * A row for each event besides steps, which the bar shows.
 * @param firstPageAt milliseconds since the epoch.
 */
export function eventLines(
  event: SimulationEvent,
  firstPageAt: number | undefined,
  style: Style,
  { palette, unicode, width }: Canvas,
): string[] {
  if (event.type === "stale_cgroup") return wrapTo(visible(staleText(event), unicode), width);
  if (event.type === "start" || event.type === "step" || event.type === "verdict") return [];
  const { name, facts, source } = describeEvent(event, style);
  const head = `${palette("dim", timeOf(event, firstPageAt).padStart(TIME_WIDTH))}  ${name}`;
  const text = `${visible(facts, unicode)}${source === "" ? "" : ` [${source}]`}`;
  if (width < MIN_WIDTH_FOR_ONE_LINE) {
    return inCharset(unicode, [head, ...wrapTo(text, width - 4).map((line) => `    ${line}`)]);
  }
  const indent = TIME_WIDTH + 2 + NAME_WIDTH + 1;
  const [first, ...more] = wrapTo(text, width - indent);
  return inCharset(unicode, [
    `${head}${" ".repeat(Math.max(1, indent - widthOf(head)))}${first}`,
    ...more.map((line) => `${" ".repeat(indent)}${line}`),
  ]);
}

/** The plot, the verdict with its facts, and what to try next. */
export function endingLines(
  log: RunLog,
  verdict: Verdict,
  cgroup: string,
  canvas: Canvas,
  hasPlot: boolean,
): string[] {
  const { palette, unicode } = canvas;
  const width = Math.min(MAX_TEXT_WIDTH, canvas.width);
  const plot = hasPlot ? runPlot(log, canvas) : [];
  const [good, bad] = unicode ? ["✔", "✘"] : ["+", "!"];
  const sign = verdict.as_expected ? palette("good", good!) : palette("bad", bad!);
  const [first = "", ...more] = wrapTo(headline(verdict), width - 2);
  const reason = log.start && explanation(log.start, verdict);
  const facts = verdictFacts(verdict, cgroup);
  if (reason !== undefined) facts.unshift(["why", reason]);
  return inCharset(unicode, [
    ...(plot.length === 0 ? [] : ["", ...plot]),
    "",
    `${sign} ${palette("bold", first)}`,
    ...more.map((line) => `  ${palette("bold", line)}`),
    "",
    ...facts.flatMap(([name, text]) => labelled(name, visible(text, unicode), width, canvas)),
    ...suggestionLines(log, verdict, width, canvas),
  ]);
}

function labelled(name: string, text: string, width: number, { palette }: Canvas): string[] {
  const label = `  ${name}`.padEnd(LABEL_WIDTH + 2);
  return wrapBehind(label, text, width).map((line, at) =>
    at === 0 ? palette("dim", label) + line.slice(label.length) : line
  );
}

function suggestionLines(
  { start }: RunLog,
  verdict: Verdict,
  width: number,
  { palette, unicode }: Canvas,
): string[] {
  if (start === undefined) return [];
  return [
    "",
    palette("dim", "  try next"),
    ...suggestionsFor(start, verdict).flatMap(({ command, shows }) => [
      ...wrapBehind("  ", visible(command, unicode), width).map((line) => palette("bold", line)),
      ...wrapBehind("    ", shows, width),
    ]),
    "",
  ];
}

const inCharset = (unicode: boolean, lines: readonly string[]): string[] =>
  unicode ? [...lines] : lines.map(ascii);
