/** The bar of a running simulation and the sentence below it, at one moment. Pure. */

import { epochMs } from "../../core/simulate/evaluate.ts";
import type { SimulationEvent } from "../../core/simulate/event.ts";
import { formatBytes, formatDuration } from "../options/units.ts";
import type { Palette, Role } from "../terminal/palette.ts";
import { fullnessOf, usageBar, type UsageMark } from "../terminal/bars.ts";
import { widthOf } from "../terminal/width.ts";
import { type RunLog, scaleOf } from "./run_log.ts";

/** What a simulation is drawn on. */
export interface Canvas {
  /** Columns. */
  readonly width: number;
  readonly unicode: boolean;
  readonly palette: Palette;
  /** Thresholds that are alerted when usage crosses them. */
  readonly marks: readonly UsageMark[];
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
  const size = `${formatBytes(usage ?? 0)}${
    scale === undefined ? "" : ` of ${formatBytes(scale)}`
  }`;
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

interface State {
  readonly role: Role;
  readonly text: string;
  readonly isGrowing: boolean;
}

function stateAt(
  { start, firstPageAt, events }: RunLog,
  at: number,
  usage: number | undefined,
  marks: readonly UsageMark[],
): State {
  const still = (role: Role, text: string): State => ({ role, text, isGrowing: false });
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
