/** How a simulation is shown: as JSON, in lines, or live on a terminal. */

import { toJson } from "../core/report/json.ts";
import type {
  EmitEvent,
  OnUsage,
  simulationEvent,
  Verdict,
} from "../core/simulate/simulation_event.ts";
import { capabilitiesOf, inkOf } from "./draw/ink.ts";
import type { UsageMark } from "./draw/usage_bar.ts";
import { choosesLive } from "./live_choice.ts";
import { wantsJson } from "./options.ts";
import { print, say } from "./output.ts";
import type { SimulateFlags } from "./simulate_options.ts";
import { thresholdsOf } from "./simulate_plan.ts";
import type { Started } from "./simulate_race.ts";
import { createTimeline } from "./simulate_timeline.ts";
import { chooseStyle, terminalWidth } from "./style.ts";
import { verdictText } from "./verdict_text.ts";

export type Judged = ReturnType<typeof simulationEvent<Verdict>>;

export interface Show {
  readonly tell: EmitEvent;
  readonly see: OnUsage;
  /** What still waits, then the verdict. */
  finish(verdict: Judged): Promise<void>;
  /** On every way out, also after `finish`. */
  close(): void;
}

/** @param interrupt by what was given to its signal, where something could not be shown; it also cuts a show short. */
export async function showOf(flags: SimulateFlags, interrupt: AbortController): Promise<Show> {
  const { plot } = flags;
  const json = wantsJson(flags);
  if (json && plot === true) say("oomkit: no plot: JSON is printed");
  const isLive = choosesLive(flags, json ? "JSON is printed" : undefined);
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
  const { createRaceLog } = await import("./simulate_race.ts");
  const { racePlot } = await import("./simulate_plot.ts");
  const log = createRaceLog();
  const lines = linesShow(flags, interrupt);
  const color = flags.color === "auto" && !Deno.stdout.isTerminal() ? "never" : flags.color;
  const { unicode, colours } = capabilitiesOf({ ...flags, color });
  const palette = inkOf({ unicode, colours });
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
  const { createLiveRace } = await import("./simulate_live.ts");
  const capabilities = capabilitiesOf(flags);
  const live = createLiveRace({
    look: { unicode: capabilities.unicode, palette: inkOf(capabilities) },
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
