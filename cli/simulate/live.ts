/** A simulation on a terminal: a bar while it runs, what happens above it, and the whole of it when it is over. */

import { delay } from "../../core/timing.ts";
import { clock, type SimulationEvent, type Verdict } from "../../core/simulate/event.ts";
import { createBlock } from "../terminal/block.ts";
import { terminalSize } from "../terminal/style.ts";
import { divertOutput, outputError, writeAll } from "../output/output.ts";
import { onSignals } from "../signals.ts";
import { endingLines } from "./show.ts";
import { eventLines, headingLines } from "./show.ts";
import { createRaceLog, endOf, type Started } from "./race.ts";
import { createSequence, PATIENCE_MS } from "./timeline.ts";
import { raceLines, type RaceLook } from "./view.ts";
import type { Style } from "../terminal/style.ts";

export interface LiveRace {
  tell(event: SimulationEvent): void;
  see(at: number, usage: number): void;
  /** Shows how it was, and how it ended. */
  finish(verdict: Verdict, cgroup: string): Promise<void>;
  close(): void;
}

export interface Watcher {
  readonly look: Pick<RaceLook, "unicode" | "palette">;
  /** Those that are told of, as far as they can be known before the start. */
  readonly marksOf: (start: Started | undefined) => RaceLook["marks"];
  readonly style: Style;
  readonly hasPlot: boolean;
  /** Cuts short what is shown again. */
  readonly interrupted: AbortSignal;
  /** Is told what a write throws while nobody waits for it. */
  readonly fail: (error: unknown) => void;
}

/** No more often is anything drawn: an eye sees no more, and the race has the time. */
const FRAME_MS = 100;
/** What is over sooner nobody could have followed: it is shown again, slower. */
const TOO_FAST_MS = 600;
/** So long, at most. */
const REPLAY_MS = 2000;
/** Rates are of so much of the time that is looked at. */
const RATE_SHARE = 8;
const RATE_MS = 1000;
/** What starts sooner needs no word about it. */
const QUICK_START_MS = 500;
/** No frame is so late but after a stop. */
const AWAY_MS = 5 * FRAME_MS;
const USUAL_COLUMNS = 80;

export function createLiveRace(
  { look, marksOf, style, hasPlot, interrupted, fail }: Watcher,
): LiveRace {
  const columns = () => terminalSize()?.columns || USUAL_COLUMNS;
  const block = createBlock(write, columns);
  const log = createRaceLog();
  const sequence = createSequence();
  const madeAt = clock();
  let framedAt = madeAt;
  /** Since it goes on for so long that it is shown as it happens. */
  let isShown = false;

  const lookNow = (): RaceLook => ({
    ...look,
    width: columns(),
    marks: marksOf(log.race().start),
  });
  const printRows = (until?: number) => {
    const { began } = log.race();
    for (const event of sequence.take(until)) {
      for (const line of eventLines(event, began, style, lookNow())) block.print(line);
    }
  };
  const showAt = (at: number, slowness: number, window: number) =>
    block.draw(raceLines(log.race(), { at, window, slowness }, lookNow()));

  const frame = () => {
    const now = clock();
    const race = log.race();
    if (race.start === undefined) {
      if (now - madeAt > QUICK_START_MS) block.draw(["  starting the allocator"]);
      return;
    }
    const { began } = race;
    isShown ||= began !== undefined && now - began > TOO_FAST_MS && !isOver();
    if (!isShown) return showAt(0, 1, RATE_MS);
    printRows(now - PATIENCE_MS);
    showAt(now, 1, RATE_MS);
  };
  const isOver = () => {
    const { start, events } = log.race();
    const ended = events.filter(({ type }) => type === "exit").length;
    return start?.fake === null && ended >= start.pids.length;
  };
  const timer = setInterval(() => {
    try {
      // Whoever was stopped meanwhile is told of it after this: what was drawn stands somewhere above by then.
      const wasAway = clock() - framedAt > AWAY_MS;
      framedAt = clock();
      if (!wasAway) frame();
    } catch (error) {
      clearInterval(timer);
      fail(error);
    }
  }, FRAME_MS);
  const offSignals = onSignals(["SIGCONT"], () => block.restart());
  divertOutput({ print: block.print, printStderr: block.print });

  const replay = async () => {
    const race = log.race();
    if (race.began === undefined) return;
    const lasted = endOf(race) - race.began;
    const slowness = roundBelow(REPLAY_MS / Math.max(lasted, 0.1));
    const shownFrom = performance.now();
    for (;;) {
      const at = race.began + (performance.now() - shownFrom) / slowness;
      if (interrupted.aborted || at > race.began + lasted) return;
      printRows(at);
      showAt(at, slowness, lasted / RATE_SHARE);
      await delay(FRAME_MS, interrupted);
    }
  };
  return {
    see: log.see,
    tell(event) {
      log.tell(event);
      if (event.type === "start") {
        for (const line of headingLines(event, lookNow())) block.print(line);
        frame();
      } else sequence.add(event);
    },
    async finish(verdict, cgroup) {
      clearInterval(timer);
      if (!isShown) await replay();
      printRows();
      block.clear();
      for (const line of endingLines(log.race(), verdict, cgroup, lookNow(), hasPlot)) {
        block.print(line);
      }
    },
    close() {
      clearInterval(timer);
      offSignals();
      divertOutput(undefined);
      try {
        block.clear();
      } catch {
        // The terminal is gone, and what was drawn with it.
      }
    },
  };
}

function write(text: string): void {
  try {
    writeAll(Deno.stdout, text);
  } catch (error) {
    throw outputError(error);
  }
}

/** 1, 2, 5, 10, 20, 50 …: the highest of them that is not above. */
function roundBelow(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [5, 2, 1].map((n) => n * power).find((round) => round <= value) ?? 1;
}
