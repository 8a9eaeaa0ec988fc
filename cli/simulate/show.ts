/** How a simulation is shown: as JSON, as lines, or live on a terminal. */

import { toJson } from "../../core/events/json.ts";
import { epochMs } from "../../core/simulate/evaluate.ts";
import type {
  EmitEvent,
  OnUsage,
  SimulationEvent,
  StartEvent,
  VerdictEvent,
} from "../../core/simulate/event.ts";
import { wantsJson } from "../options/subcommand.ts";
import { withMessage } from "../output/event_text.ts";
import { print, printStderr } from "../output/output.ts";
import { asCalled } from "../output/shell.ts";
import type { UsageMark } from "../terminal/bars.ts";
import {
  capabilitiesOf,
  decidedColor,
  shouldDrawLive,
  terminalWidth,
} from "../terminal/capabilities.ts";
import { chooseStyle, paletteOf, type Style } from "../terminal/palette.ts";
import type { SimulateFlags } from "./options.ts";
import { thresholdsOf } from "./plan.ts";
import { eventRows } from "./text.ts";
import { EventQueue, scaleOf, SORTING_DELAY_MS, startsGrowth } from "./timeline.ts";
import { verdictText } from "./verdict.ts";

export interface Show {
  readonly emit: EmitEvent;
  readonly onUsage: OnUsage;
  /** Shows events that still wait, then the verdict. */
  finish(verdict: VerdictEvent): Promise<void>;
  /** To be called in any case, also after `finish`. */
  close(): void;
}

/** @param interrupt is aborted with the error when an event could not be shown; it also cuts a replay short. */
export async function openShow(flags: SimulateFlags, interrupt: AbortController): Promise<Show> {
  const { plot } = flags;
  const json = wantsJson(flags);
  if (json && plot === true) printStderr("oomkit: no plot: the output is JSON");
  const isLive = shouldDrawLive(flags, json ? "the output is JSON" : undefined);
  if (json) return jsonShow();
  if (isLive) return await liveShow(flags, interrupt);
  return plot === true ? await plotShow(flags, interrupt) : new LinesShow(flags, interrupt);
}

function jsonShow(): Show {
  return {
    emit: (event) => print(toJson("source" in event ? withMessage(event) : event)),
    onUsage() {},
    finish: (verdict) => Promise.resolve(print(toJson(verdict))),
    close() {},
  };
}

/** Prints events as lines, sorted. */
class LinesShow implements Show {
  readonly #queue = new EventQueue();
  readonly #style: Style;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #scale: number | undefined;
  #firstPageAt: number | undefined;

  constructor({ color }: SimulateFlags, private readonly interrupt: AbortController) {
    this.#style = chooseStyle(color);
  }

  readonly emit = (event: SimulationEvent): void => {
    this.#queue.add(event);
    if (event.type === "start") this.#flush();
    else this.#schedule();
  };

  onUsage() {}

  finish(verdict: VerdictEvent): Promise<void> {
    this.#flush();
    for (const line of verdictText(verdict, verdict.cgroup, this.#style)) print(line);
    return Promise.resolve();
  }

  /** Drops waiting events. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Prints waiting events up to `until`, milliseconds since the epoch. */
  #flush(until?: number): void {
    this.close();
    const events = this.#queue.take(until);
    if (!this.#queue.isEmpty) this.#schedule();
    for (const event of events) {
      if (startsGrowth(event)) this.#firstPageAt ??= epochMs(event.ts);
      if (event.type === "start") this.#scale = scaleOf(event);
      for (const line of eventRows(event, this.#scale, this.#firstPageAt, this.#style)) {
        print(event.type === "start" ? asCalled(line) : line);
      }
    }
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      try {
        this.#flush(Date.now() - SORTING_DELAY_MS);
      } catch (error) {
        this.interrupt.abort(error);
      }
    }, SORTING_DELAY_MS);
  }
}

async function plotShow(flags: SimulateFlags, interrupt: AbortController): Promise<Show> {
  const { RunLog } = await import("./timeline.ts");
  const { runPlot } = await import("./live_text.ts");
  const log = new RunLog();
  const lines = new LinesShow(flags, interrupt);
  const decided = decidedColor(flags.color);
  const color = decided === "auto" && !Deno.stdout.isTerminal() ? "never" : decided;
  const capabilities = capabilitiesOf({ ...flags, color });
  return {
    onUsage: (at, usage) => log.addUsage(at, usage),
    emit(event) {
      log.add(event);
      lines.emit(event);
    },
    async finish(verdict) {
      await lines.finish(verdict);
      const plot = runPlot(log, {
        width: terminalWidth(),
        unicode: capabilities.unicode,
        palette: paletteOf(capabilities),
        marks: marksOf(flags, log.start),
      });
      for (const line of plot.length === 0 ? [] : ["", ...plot]) print(line);
    },
    close: () => lines.close(),
  };
}

async function liveShow(flags: SimulateFlags, interrupt: AbortController): Promise<Show> {
  const { LiveView } = await import("./live.ts");
  const capabilities = capabilitiesOf(flags);
  return new LiveView({
    canvas: { unicode: capabilities.unicode, palette: paletteOf(capabilities) },
    marksOf: (start) => marksOf(flags, start),
    style: capabilities.colours === 0 ? (_, text) => text : chooseStyle("always"),
    hasPlot: flags.plot !== false,
    interrupt,
  });
}

/** The highest of several thresholds is drawn as the critical one. */
function marksOf(flags: SimulateFlags, start: StartEvent | undefined): UsageMark[] {
  if (start === undefined) return [];
  const limit = start.limit ?? undefined;
  const sizes = thresholdsOf(flags, limit).map((each) =>
    "bytes" in each ? each.bytes : Math.floor((limit ?? 0) * each.percent / 100)
  ).toSorted((one, other) => one - other);
  return sizes.map((bytes, at) => ({
    bytes,
    name: at > 0 && at === sizes.length - 1 ? "critical" : "warn",
  }));
}
