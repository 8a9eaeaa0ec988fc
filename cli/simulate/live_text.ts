/** What the live view draws: its bar, and around it the heading, a row for each event, and the ending with its plot. Pure. */

import { epochMs } from "../../core/simulate/evaluate.ts";
import type { SimulationEvent, StartEvent, Verdict } from "../../core/simulate/event.ts";
import { formatBytes, formatDuration } from "../options/units.ts";
import { fullnessOf, usageBar, type UsageMark } from "../terminal/bars.ts";
import { shellWord } from "../output/shell.ts";
import { wrapBehind, wrapCommand, wrapTo } from "../terminal/layout.ts";
import type { Palette, Role, Style } from "../terminal/palette.ts";
import { type Level, type Mark, plotLines } from "../terminal/plot.ts";
import { ascii, visible, widthOf } from "../terminal/width.ts";
import { describeEvent, realRun, staleText, timeOf } from "./text.ts";
import { type RunLog, scaleOf } from "./timeline.ts";
import { explanation, headline, suggestionsFor, verdictFacts } from "./verdict.ts";

const MAX_TEXT_WIDTH = 100;
const TIME_WIDTH = 10;
const NAME_WIDTH = 11;
const LABEL_WIDTH = 11;
/** With fewer columns the facts of an event stand below its name. */
const MIN_WIDTH_FOR_ONE_LINE = 70;

export function headingLines(start: StartEvent, canvas: Canvas): string[] {
  const { palette, unicode, program } = canvas;
  const width = Math.min(MAX_TEXT_WIDTH, canvas.width);
  const { fake_reason: fakeReason, fake_root: root } = start;
  const title = fakeReason === null
    ? `${realRun(start)}, on purpose`
    : "a fake OOM, nothing is killed";
  const cgroup = visible(start.cgroup, unicode);
  return inCharset(unicode, [
    ...wrapTo(`oomkit simulate ${unicode ? "·" : "-"} ${title}`, width)
      .map((line) => palette("bold", line)),
    "",
    ...wrapTo(visible(describe(start), unicode), width - 2).map((line) => `  ${line}`),
    "",
    ...wrapBehind("  ", cgroup, width).map((line) => palette("dim", line)),
    ...(root === null ? [] : wrapCommand(
      `${program} inspect --root ${visible(shellWord(root), unicode)} ${
        visible(shellWord(start.cgroup), unicode)
      }`,
      "  ",
      width,
    )),
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
    : `in a cgroup of ${isOne ? "its" : "their"} own (v${hierarchy}) with ${size} and ` +
      (swapOff ? "no swap" : "swap, which could not be disabled");
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
  const { palette, unicode, program } = canvas;
  const width = Math.min(MAX_TEXT_WIDTH, canvas.width);
  const plot = hasPlot ? runPlot(log, canvas) : [];
  const [good, bad] = unicode ? ["✔", "✘"] : ["+", "!"];
  const sign = verdict.as_expected ? palette("good", good!) : palette("bad", bad!);
  const [first = "", ...more] = wrapTo(headline(verdict), width - 2);
  const reason = log.start && explanation(log.start, verdict);
  const facts = verdictFacts(verdict, cgroup);
  if (reason !== undefined) facts.unshift(["why", reason]);
  const suggestions = (log.start ? suggestionsFor(log.start, verdict, program) : []).flatMap((
    each,
  ) => [
    ...wrapCommand(visible(each.command, unicode), "  ", width).map((line) =>
      palette("bold", line)
    ),
    ...wrapBehind("    ", each.shows, width),
  ]);
  return inCharset(unicode, [
    ...(plot.length === 0 ? [] : ["", ...plot]),
    "",
    `${sign} ${palette("bold", first)}`,
    ...more.map((line) => `  ${palette("bold", line)}`),
    "",
    ...facts.flatMap(([name, text]) => labelled(name, visible(text, unicode), width, canvas)),
    ...suggestions.length === 0 ? [] : ["", palette("dim", "  try next"), ...suggestions, ""],
  ]);
}

function labelled(name: string, text: string, width: number, { palette }: Canvas): string[] {
  const label = `  ${name}`.padEnd(LABEL_WIDTH + 2);
  return wrapBehind(label, text, width).map((line, at) =>
    at === 0 ? palette("dim", label) + line.slice(label.length) : line
  );
}

const inCharset = (unicode: boolean, lines: readonly string[]): string[] =>
  unicode ? [...lines] : lines.map(ascii);

/** What a simulation is drawn on. */
export interface Canvas {
  /** Columns. */
  readonly width: number;
  readonly unicode: boolean;
  readonly palette: Palette;
  /** Thresholds that are reported when usage crosses them. */
  readonly marks: readonly UsageMark[];
  /** The name of the program in commands to paste. */
  readonly program: string;
}

export interface Moment {
  /** Milliseconds since the epoch: what came later is not shown yet. */
  readonly at: number;
  /** The rate is measured over this many milliseconds. */
  readonly window: number;
  /** How many times slower than it happened; 1 for live. */
  readonly slowness: number;
}

const MARGIN = 2;
const MAX_BAR_WIDTH = 72;
/** With fewer columns the size moves from the bar to the sentence. */
const MIN_WIDTH_FOR_SIZE = 60;

export function barLines(log: RunLog, moment: Moment, canvas: Canvas): string[] {
  const scale = log.start && scaleOf(log.start);
  const usage = log.usageAt(moment.at);
  const width = canvas.width - 2 * MARGIN;
  const isWide = width >= MIN_WIDTH_FOR_SIZE;
  const percent = usage === undefined || scale === undefined
    ? ""
    : ` ${String(Math.floor(100 * Math.min(1, usage / scale))).padStart(3)}%`;
  const total = scale === undefined ? "" : ` of ${formatBytes(scale)}`;
  const size = formatBytes(usage ?? 0) + total;
  const suffix = isWide ? `${percent}  ${size}` : percent;
  const bar = usageBar(
    { usage: usage ?? 0, limit: scale ?? Infinity, marks: canvas.marks },
    Math.min(MAX_BAR_WIDTH, width - suffix.length),
    canvas,
    canvas.palette,
  );
  const margin = " ".repeat(MARGIN);
  const { role, text, isGrowing } = stateAt(log, moment.at, usage, canvas.marks);
  const facts = [...(isWide ? [] : [size]), ...factsAt(log, moment, usage, scale, isGrowing)];
  const sentence = canvas.palette(role, text) + joined(facts, width - text.length, canvas);
  return ["", `${margin}${bar}${suffix}`, `${margin}${sentence}`];
}

/** As many facts as fit; the most important come first. */
function joined(facts: readonly string[], width: number, { palette, unicode }: Canvas): string {
  const separator = unicode ? " · " : " | ";
  let text = "";
  for (const fact of facts) {
    if (widthOf(text) + separator.length + fact.length > width) break;
    text += separator + fact;
  }
  return palette("dim", text);
}

function factsAt(
  log: RunLog,
  { at, window, slowness }: Moment,
  usage: number | undefined,
  scale: number | undefined,
  isGrowing: boolean,
): string[] {
  const rate = isGrowing ? log.rateAt(at, window) ?? 0 : 0;
  const facts: string[] = [];
  if (rate > 0) facts.push(`${formatBytes(rate)}/s`);
  if (rate > 0 && usage !== undefined && scale !== undefined && usage < scale) {
    facts.push(`full in ${formatDuration((scale - usage) / rate * 1000)}`);
  }
  if (log.firstPageAt !== undefined) {
    facts.push(`after ${formatDuration(Math.max(0, at - log.firstPageAt))}`);
  }
  if (slowness > 1) facts.push(`shown ${slowness} times slower`);
  return facts;
}

/** This close to the limit there is no room for what a process allocates at a time. */
const NEARLY_FULL = 0.97;

function stateAt(
  { start, firstPageAt, events }: RunLog,
  at: number,
  usage: number | undefined,
  marks: readonly UsageMark[],
): { readonly role: Role; readonly text: string; readonly isGrowing: boolean } {
  const still = (role: Role, text: string) => ({ role, text, isGrowing: false });
  if (start === undefined || firstPageAt === undefined || at < firstPageAt) {
    return still("plain", "starting");
  }
  const past = events.filter(({ ts }) => epochMs(ts) <= at);
  const count = (type: SimulationEvent["type"]) =>
    past.filter((event) => event.type === type).length;
  const kills = count("oom_kill");
  const isFake = start.fake_reason !== null;
  // A fake process restarts after a kill.
  const hasEnded = isFake
    ? kills > 0 && usage === 0
    : Math.max(kills, count("exit")) >= start.pids.length;
  if (hasEnded && kills > 0) return still("bad", "killed by the kernel");
  if (hasEnded) return still("plain", "exited");
  const scale = scaleOf(start);
  if (usage !== undefined && scale !== undefined && usage >= NEARLY_FULL * scale) {
    if (count("oom") > 0) return still("bad", "out of memory: nothing left to reclaim");
    if (count("max") > 0) return still("critical", "at the limit: the kernel reclaims");
  }
  if (!isFake && count("finished") >= start.pids.length) return still("good", "stopped growing");
  return { role: fullnessOf(usage, scale ?? Infinity, marks), text: "growing", isGrowing: true };
}

/** Rows of the area. */
const PLOT_HEIGHT = 8;
/** A wider plot shows no more. */
const MAX_PLOT_WIDTH = 120;

/** No lines where usage was never read. */
export function runPlot(log: RunLog, canvas: Omit<Canvas, "program">): string[] {
  const { firstPageAt, samples, start } = log;
  if (firstPageAt === undefined || start === undefined) return [];
  const scale = scaleOf(start);
  const span = log.endAt - firstPageAt;
  const points = samples
    .map(({ at, usage }) => ({ at: Math.max(0, at - firstPageAt), value: usage }))
    .filter(({ at }) => at <= span);
  const top = scale ?? points.reduce((peak, { value }) => Math.max(peak, value), 0);
  const limit: Level = {
    value: top,
    label: formatBytes(top),
    role: "bold",
    isLimit: start.limit !== null,
  };
  const thresholds = canvas.marks.filter(({ bytes }) => bytes < top).map(
    ({ bytes, name }): Level => ({
      value: bytes,
      label: shareOf(bytes, scale),
      role: name === "critical" ? "critical" : "warn",
      isLimit: false,
    }),
  );
  return plotLines({
    points,
    levels: [...thresholds, limit],
    marks: plotMarks(log.events, firstPageAt, scale),
    span,
    width: Math.min(MAX_PLOT_WIDTH, canvas.width),
    height: PLOT_HEIGHT,
    unicode: canvas.unicode,
    palette: canvas.palette,
    fullness: (value) => fullnessOf(value, scale ?? Infinity, canvas.marks),
  });
}

/** `65%`, or the size where there is no limit. */
function shareOf(bytes: number, scale: number | undefined): string {
  return scale === undefined ? formatBytes(bytes) : `${Math.round(1000 * bytes / scale) / 10}%`;
}

/** The first event of each kind. */
function plotMarks(
  events: readonly SimulationEvent[],
  firstPageAt: number,
  scale: number | undefined,
): Mark[] {
  const marks = new Map<string, Mark>();
  for (const event of events) {
    const mark = markOf(event, scale);
    if (mark === undefined) continue;
    const at = Math.max(0, epochMs(event.ts) - firstPageAt);
    if (at < (marks.get(mark.label)?.at ?? Infinity)) marks.set(mark.label, { ...mark, at });
  }
  return [...marks.values()];
}

const MARKS: Partial<Record<SimulationEvent["type"], Omit<Mark, "at">>> = {
  high: { label: "throttled", role: "warn" },
  max: { label: "limit hit", role: "critical" },
  oom: { label: "out of memory", role: "bad" },
  oom_kill: { label: "OOM kill", role: "bad", isEnd: true },
  finished: { label: "stopped growing", role: "good" },
  exit: { label: "exited", role: "dim" },
};

function markOf(event: SimulationEvent, scale: number | undefined): Omit<Mark, "at"> | undefined {
  if (event.type === "signal") return { label: event.signal, role: "cold" };
  if (event.type !== "threshold") return MARKS[event.type];
  if (event.direction === "below") return undefined;
  return { label: `${shareOf(event.threshold, scale)} alert`, role: "warn" };
}
