/** What a simulation on a terminal is about, ahead of it, and what happens in it, row by row. Pure. */

import { toJson } from "../../core/events/json.ts";
import { momentOf } from "../../core/simulate/evaluate.ts";
import type {
  EmitEvent,
  OnUsage,
  SimulationEvent,
  simulationEvent,
  Verdict,
} from "../../core/simulate/event.ts";
import { wantsJson } from "../options/option.ts";
import { formatBytes, formatDuration } from "../options/units.ts";
import { print, printStderr } from "../output/output.ts";
import { shouldDrawLive } from "../terminal/live_choice.ts";
import { capabilitiesOf, paletteOf } from "../terminal/palette.ts";
import { chooseStyle, type Style, terminalWidth } from "../terminal/style.ts";
import type { UsageMark } from "../terminal/usage_bar.ts";
import { ascii, visible, widthOf } from "../terminal/width.ts";
import { wrapBehind, wrapTo } from "../terminal/wrap.ts";
import { suggestionsFor, whyText } from "./next.ts";
import type { SimulateFlags } from "./options.ts";
import { thresholdsOf } from "./plan.ts";
import { racePlot } from "./plot.ts";
import type { Race, Started } from "./race.ts";
import { leftover, wordsOf } from "./text.ts";
import { createTimeline } from "./timeline.ts";
import { headline, verdictFacts, verdictText } from "./verdict.ts";
import type { RaceLook } from "./view.ts";

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
    ...wrapTo(visible(describeText(start), unicode), width - 2).map((line) => `  ${line}`),
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

function describeText(start: Started): string {
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

/* How a simulation ends on a terminal: the plot, the verdict, and what is worth trying next. Pure. */

const LABEL_WIDTH = 11;

export function endingLines(
  race: Race,
  verdict: Verdict,
  cgroup: string,
  look: RaceLook,
  hasPlot: boolean,
): string[] {
  const { palette, unicode } = look;
  const width = Math.min(WIDEST_TEXT, look.width);
  const plot = hasPlot ? racePlot(race, look) : [];
  const sign = unicode ? (verdict.as_expected ? "✔" : "✘") : verdict.as_expected ? "+" : "!";
  const role = verdict.as_expected ? "good" : "bad";
  const [first = "", ...more] = wrapTo(headline(verdict), width - 2);
  const why = race.start && whyText(race.start, verdict);
  const facts: [string, string][] = [
    ...(why === undefined ? [] : [["why", why] satisfies [string, string]]),
    ...verdictFacts(verdict, cgroup),
  ];
  const lines = [
    ...(plot.length === 0 ? [] : ["", ...plot]),
    "",
    `${palette(role, sign)} ${palette("bold", first)}`,
    ...more.map((line) => `  ${palette("bold", line)}`),
    "",
    ...facts.flatMap(([name, text]) => labelled(name, visible(text, unicode), width, look)),
    ...nextLines(race, verdict, width, look),
  ];
  return unicode ? lines : lines.map(ascii);
}

function labelled(name: string, text: string, width: number, { palette }: RaceLook): string[] {
  const label = `  ${name}`.padEnd(LABEL_WIDTH + 2);
  return wrapBehind(label, text, width).map((line, at) =>
    at === 0 ? palette("dim", label) + line.slice(label.length) : line
  );
}

function nextLines(
  race: Race,
  verdict: Verdict,
  width: number,
  { palette, unicode }: RaceLook,
): string[] {
  if (race.start === undefined) return [];
  const suggestions = suggestionsFor(race.start, verdict);
  return [
    "",
    palette("dim", "  try next"),
    ...suggestions.flatMap(({ command, why }) => [
      ...wrapBehind("  ", visible(command, unicode), width).map((line) => palette("bold", line)),
      ...wrapBehind("    ", why, width),
    ]),
    "",
  ];
}

/* How a simulation is shown: as JSON, in lines, or live on a terminal. */

export type Evaluated = ReturnType<typeof simulationEvent<Verdict>>;

export interface Show {
  readonly tell: EmitEvent;
  readonly see: OnUsage;
  /** What still waits, then the verdict. */
  finish(verdict: Evaluated): Promise<void>;
  /** On every way out, also after `finish`. */
  close(): void;
}

/** @param interrupt by what was given to its signal, where something could not be shown; it also cuts a show short. */
export async function showOf(flags: SimulateFlags, interrupt: AbortController): Promise<Show> {
  const { plot } = flags;
  const json = wantsJson(flags);
  if (json && plot === true) printStderr("oomkit: no plot: JSON is printed");
  const isLive = shouldDrawLive(flags, json ? "JSON is printed" : undefined);
  if (json) return jsonShow();
  return isLive
    ? await liveShow(flags, interrupt)
    : plot === true
    ? await plotShow(flags, interrupt)
    : linesShow(flags, interrupt);
}

function jsonShow(): Show {
  return {
    tell: (event) => print(toJson(event)),
    see() {},
    finish: (verdict) => Promise.resolve(print(toJson(verdict))),
    close() {},
  };
}

function linesShow({ color }: SimulateFlags, interrupt: AbortController): Show {
  const style = chooseStyle(color);
  const timeline = createTimeline(print, style, (error) => interrupt.abort(error));
  return {
    tell: timeline.add,
    see() {},
    finish(verdict) {
      timeline.flush();
      for (const line of verdictText(verdict, verdict.cgroup, style)) print(line);
      return Promise.resolve();
    },
    close: timeline.close,
  };
}

async function plotShow(flags: SimulateFlags, interrupt: AbortController): Promise<Show> {
  const { createRaceLog } = await import("./race.ts");
  const { racePlot } = await import("./plot.ts");
  const log = createRaceLog();
  const lines = linesShow(flags, interrupt);
  const color = flags.color === "auto" && !Deno.stdout.isTerminal() ? "never" : flags.color;
  const { unicode, colours } = capabilitiesOf({ ...flags, color });
  const palette = paletteOf({ unicode, colours });
  return {
    see: log.see,
    tell(event) {
      log.tell(event);
      lines.tell(event);
    },
    async finish(verdict) {
      await lines.finish(verdict);
      const race = log.race();
      const look = { width: terminalWidth(), unicode, palette, marks: marksOf(flags, race.start) };
      const drawn = racePlot(race, look);
      for (const line of drawn.length === 0 ? [] : ["", ...drawn]) print(line);
    },
    close: lines.close,
  };
}

async function liveShow(flags: SimulateFlags, interrupt: AbortController): Promise<Show> {
  const { createLiveRace } = await import("./live.ts");
  const capabilities = capabilitiesOf(flags);
  const live = createLiveRace({
    look: { unicode: capabilities.unicode, palette: paletteOf(capabilities) },
    marksOf: (start) => marksOf(flags, start),
    style: capabilities.colours === 0 ? (_, text) => text : chooseStyle("always"),
    hasPlot: flags.plot !== false,
    interrupted: interrupt.signal,
    fail: (error) => interrupt.abort(error),
  });
  return { ...live, finish: (verdict) => live.finish(verdict, verdict.cgroup) };
}

/** The highest of several is the critical one. */
function marksOf(flags: SimulateFlags, start: Started | undefined): UsageMark[] {
  const limit = start?.limit ?? undefined;
  if (start === undefined) return [];
  const sizes = thresholdsOf(flags, limit).map((each) =>
    "bytes" in each ? each.bytes : Math.floor((limit ?? 0) * each.percent / 100)
  ).toSorted((one, other) => one - other);
  return sizes.map((bytes, at) => ({
    bytes,
    name: at > 0 && at === sizes.length - 1 ? "critical" : "warn",
  }));
}
