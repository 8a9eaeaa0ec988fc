/** How a simulation is shown: as JSON, as lines, or live on a terminal. */

import { toJson } from "../../core/events/json.ts";
import type { EmitEvent, OnUsage, simulationEvent, Verdict } from "../../core/simulate/event.ts";
import { wantsJson } from "../options/subcommand.ts";
import { print, printStderr } from "../output/output.ts";
import { chooseStyle, paletteOf } from "../terminal/palette.ts";
import { capabilitiesOf, shouldDrawLive, terminalWidth } from "../terminal/capabilities.ts";
import type { UsageMark } from "../terminal/bars.ts";
import type { SimulateFlags } from "./options.ts";
import { thresholdsOf } from "./plan.ts";
import type { StartEvent } from "./run_log.ts";
import { Timeline } from "./timeline.ts";
import { verdictText } from "./verdict.ts";

export type VerdictEvent = ReturnType<typeof simulationEvent<Verdict>>;

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
  return plot === true ? await plotShow(flags, interrupt) : linesShow(flags, interrupt);
}

function jsonShow(): Show {
  return {
    emit: (event) => print(toJson(event)),
    onUsage() {},
    finish: (verdict) => Promise.resolve(print(toJson(verdict))),
    close() {},
  };
}

function linesShow({ color }: SimulateFlags, interrupt: AbortController): Show {
  const style = chooseStyle(color);
  const timeline = new Timeline(print, style, (error) => interrupt.abort(error));
  return {
    emit: (event) => timeline.add(event),
    onUsage() {},
    finish(verdict) {
      timeline.flush();
      for (const line of verdictText(verdict, verdict.cgroup, style)) print(line);
      return Promise.resolve();
    },
    close: () => timeline.close(),
  };
}

async function plotShow(flags: SimulateFlags, interrupt: AbortController): Promise<Show> {
  const { RunLog } = await import("./run_log.ts");
  const { runPlot } = await import("./plot.ts");
  const log = new RunLog();
  const lines = linesShow(flags, interrupt);
  const color = flags.color === "auto" && !Deno.stdout.isTerminal() ? "never" : flags.color;
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
    close: lines.close,
  };
}

async function liveShow(flags: SimulateFlags, interrupt: AbortController): Promise<Show> {
  const { LiveView } = await import("./live.ts");
  const capabilities = capabilitiesOf(flags);
  const view = new LiveView({
    canvas: { unicode: capabilities.unicode, palette: paletteOf(capabilities) },
    marksOf: (start) => marksOf(flags, start),
    style: capabilities.colours === 0 ? (_, text) => text : chooseStyle("always"),
    hasPlot: flags.plot !== false,
    interrupted: interrupt.signal,
    fail: (error) => interrupt.abort(error),
  });
  return {
    emit: (event) => view.emit(event),
    onUsage: (at, usage) => view.onUsage(at, usage),
    finish: (verdict) => view.finish(verdict, verdict.cgroup),
    close: () => view.close(),
  };
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
