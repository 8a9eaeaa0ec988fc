/** A simulation that is over, as a plot with its limit, its thresholds, and what happened when. Pure. */

import { momentOf } from "../../core/simulate/evaluate.ts";
import type { SimulationEvent } from "../../core/simulate/event.ts";
import { type Level, type Mark, plotLines } from "../terminal/plot.ts";
import { fullnessOf } from "../terminal/usage_bar.ts";
import { endOf, type Race } from "./race.ts";
import { scaleOf } from "./timeline.ts";
import type { RaceLook } from "./view.ts";
import { formatBytes } from "../options/units.ts";

/** Rows of the area. */
const HEIGHT = 8;
/** Wider says no more. */
const WIDEST = 120;

/** @returns no line where usage was never read. */
export function racePlot(race: Race, look: RaceLook): string[] {
  const { began, samples, start } = race;
  if (began === undefined || start === undefined) return [];
  const scale = scaleOf(start);
  const span = endOf(race) - began;
  const points = samples.map(({ at, usage }) => ({ at: Math.max(0, at - began), value: usage }))
    .filter(({ at }) => at <= span);
  const peak = points.reduce((most, { value }) => Math.max(most, value), 0);
  const limit: Level = {
    value: scale ?? peak,
    label: formatBytes(scale ?? peak),
    role: "bold",
    isLimit: start.limit !== null,
  };
  const thresholds = look.marks.filter(({ bytes }) => bytes < limit.value).map((
    { bytes, name },
  ): Level => ({
    value: bytes,
    label: shareOf(bytes, scale),
    role: name === "critical" ? "critical" : "warn",
    isLimit: false,
  }));
  return plotLines({
    points,
    levels: [...thresholds, limit],
    marks: marksOf(race, began, scale),
    span,
    width: Math.min(WIDEST, look.width),
    height: HEIGHT,
    unicode: look.unicode,
    palette: look.palette,
    fullness: (value) => fullnessOf(value, scale ?? Infinity, look.marks),
  });
}

/** `65%`, or the size where there is nothing to take a share of. */
function shareOf(bytes: number, scale: number | undefined): string {
  return scale === undefined ? formatBytes(bytes) : `${Math.round(1000 * bytes / scale) / 10}%`;
}

/** The first of each kind: a picture is no log. */
function marksOf({ events }: Race, began: number, scale: number | undefined): Mark[] {
  const marks = new Map<string, Mark>();
  for (const event of events) {
    const mark = markOf(event, scale);
    if (mark === undefined) continue;
    const at = Math.max(0, momentOf(event.ts) - began);
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
        ? { label: `${shareOf(event.threshold, scale)} told`, role: "warn" }
        : undefined;
    case "high":
      return { label: "slowed down", role: "warn" };
    case "max":
      return { label: "limit hit", role: "critical" };
    case "oom":
      return { label: "out of memory", role: "bad" };
    case "oom_kill":
      return { label: "killed", role: "bad", isEnd: true };
    case "signal":
      return { label: event.signal, role: "cold" };
    case "finished":
      return { label: "stopped growing", role: "good" };
    case "exit":
      return { label: "ended", role: "dim" };
    default:
      return undefined;
  }
}
