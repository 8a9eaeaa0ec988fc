/** The race as it stands at one moment: a bar, and what there is to say about it. Pure. */

import { momentOf } from "../../core/simulate/evaluate.ts";
import type { SimulationEvent } from "../../core/simulate/event.ts";
import type { Palette, Role } from "../terminal/palette.ts";
import { fullnessOf, usageBar, type UsageMark } from "../terminal/usage_bar.ts";
import { widthOf } from "../terminal/width.ts";
import { type Race, rateAt, usageAt } from "./race.ts";
import { scaleOf } from "./timeline.ts";
import { formatBytes, formatDuration } from "../options/units.ts";

export interface RaceLook {
  /** Columns. */
  readonly width: number;
  readonly unicode: boolean;
  readonly palette: Palette;
  /** Sizes that are told of when they are crossed. */
  readonly marks: readonly UsageMark[];
}

export interface Showing {
  /** Milliseconds since the epoch: what came later is not shown yet. */
  readonly at: number;
  /** The rate is that of so many milliseconds. */
  readonly window: number;
  /** So many times slower than it was; 1 as it happens. */
  readonly slowness: number;
}

const MARGIN = 2;
const WIDEST_BAR = 72;

export function raceLines(race: Race, showing: Showing, look: RaceLook): string[] {
  const scale = race.start && scaleOf(race.start);
  const usage = usageAt(race, showing.at);
  const share = usage === undefined || scale === undefined
    ? ""
    : ` ${String(Math.floor(100 * Math.min(1, usage / scale))).padStart(3)}%`;
  const room = look.width - 2 * MARGIN;
  const size = `  ${formatBytes(usage ?? 0)}${
    scale === undefined ? "" : ` of ${formatBytes(scale)}`
  }`;
  // Where there is little room the sentence beneath has the size.
  const isWide = room >= 60;
  const beside = isWide ? `${share}${size}` : share;
  const width = Math.min(WIDEST_BAR, room - beside.length);
  const bar = usageBar(
    { usage: usage ?? 0, limit: scale ?? Infinity, marks: look.marks },
    width,
    look,
    look.palette,
  );
  const margin = " ".repeat(MARGIN);
  const { role, text, isGrowing } = stateAt(race, showing.at, usage, look.marks);
  const facts = [
    ...(isWide ? [] : [size.trim()]),
    ...factsOf(race, showing, usage, scale, isGrowing),
  ];
  const said = `${look.palette(role, text)}${joined(facts, room - text.length, look)}`;
  return ["", `${margin}${bar}${beside}`, `${margin}${said}`];
}

/** As many as there is room for; the most telling come first. */
function joined(facts: readonly string[], width: number, { palette, unicode }: RaceLook): string {
  const between = unicode ? " · " : " | ";
  let text = "";
  for (const fact of facts) {
    if (widthOf(text) + between.length + fact.length > width) break;
    text += between + fact;
  }
  return palette("dim", text);
}

function factsOf(
  race: Race,
  { at, window, slowness }: Showing,
  usage: number | undefined,
  scale: number | undefined,
  isGrowing: boolean,
): string[] {
  const rate = isGrowing ? rateAt(race, at, window) : undefined;
  const isRising = rate !== undefined && rate > 0;
  return [
    ...(isRising ? [`${formatBytes(rate)}/s`] : []),
    ...(isRising && usage !== undefined && scale !== undefined && usage < scale
      ? [`full in ${formatDuration((scale - usage) / rate * 1000)}`]
      : []),
    ...(race.began === undefined ? [] : [`after ${formatDuration(Math.max(0, at - race.began))}`]),
    ...(slowness > 1 ? [`shown ${slowness} times slower`] : []),
  ];
}

/** So near to the limit there is no room for what a process takes at once. */
const NEARLY = 0.97;

interface State {
  readonly role: Role;
  readonly text: string;
  readonly isGrowing: boolean;
}

function stateAt(
  { start, began, events }: Race,
  at: number,
  usage: number | undefined,
  marks: readonly UsageMark[],
): State {
  if (start === undefined || began === undefined || at < began) {
    return { role: "plain", text: "about to begin", isGrowing: false };
  }
  const resting = (role: Role, text: string): State => ({ role, text, isGrowing: false });
  const past = events.filter(({ ts }) => momentOf(ts) <= at);
  const count = (type: SimulationEvent["type"]) =>
    past.filter((event) => event.type === type).length;
  const kills = count("oom_kill");
  const gone = Math.max(kills, count("exit"));
  // A made-up process comes back.
  const isOver = start.fake === null ? gone >= start.pids.length : kills > 0 && usage === 0;
  if (isOver && kills > 0) return resting("bad", "killed by the kernel");
  if (isOver) return resting("plain", "ended");
  const scale = scaleOf(start);
  if (usage !== undefined && scale !== undefined && usage >= NEARLY * scale) {
    if (count("oom") > 0) return resting("bad", "out of memory: nothing left to take back");
    if (count("max") > 0) return resting("critical", "at the limit: the kernel takes back");
  }
  if (start.fake === null && count("finished") >= start.pids.length) {
    return resting("good", "has stopped growing");
  }
  return { role: fullnessOf(usage, scale ?? Infinity, marks), text: "growing", isGrowing: true };
}
