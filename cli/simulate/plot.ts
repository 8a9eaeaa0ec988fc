/** A finished simulation as a plot of usage over time, with its limit, thresholds and events. Pure. */

import { epochMs } from "../../core/simulate/evaluate.ts";
import type { SimulationEvent } from "../../core/simulate/event.ts";
import { formatBytes } from "../options/units.ts";
import { type Level, type Mark, plotLines } from "../terminal/plot.ts";
import { fullnessOf } from "../terminal/bars.ts";
import { type RunLog, scaleOf } from "./run_log.ts";
import type { Canvas } from "./view.ts";

/** Rows of the area. */
const HEIGHT = 8;
/** A wider plot shows no more. */
const MAX_WIDTH = 120;

/** No lines where usage was never read. */
export function runPlot(log: RunLog, canvas: Canvas): string[] {
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
    marks: marksOf(log.events, firstPageAt, scale),
    span,
    width: Math.min(MAX_WIDTH, canvas.width),
    height: HEIGHT,
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
function marksOf(
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

function markOf(
  event: SimulationEvent,
  scale: number | undefined,
): Omit<Mark, "at"> | undefined {
  switch (event.type) {
    case "threshold":
      return event.direction === "above"
        ? { label: `${shareOf(event.threshold, scale)} alert`, role: "warn" }
        : undefined;
    case "high":
      return { label: "throttled", role: "warn" };
    case "max":
      return { label: "limit hit", role: "critical" };
    case "oom":
      return { label: "out of memory", role: "bad" };
    case "oom_kill":
      return { label: "OOM kill", role: "bad", isEnd: true };
    case "signal":
      return { label: event.signal, role: "cold" };
    case "finished":
      return { label: "stopped growing", role: "good" };
    case "exit":
      return { label: "exited", role: "dim" };
    default:
      return undefined;
  }
}
