/** A simulation on a terminal: a bar while it runs, events above it, and the plot and verdict at its end. */

import { programName } from "../output/shell.ts";
import {
  clock,
  type SimulationEvent,
  type StartEvent,
  type VerdictEvent,
} from "../../core/simulate/event.ts";
import { delay } from "../../core/timing.ts";
import { divertOutput, writeStdout } from "../output/output.ts";
import { onSignals } from "../signals.ts";
import { Block } from "../terminal/block.ts";
import { hasJobControl, terminalColumns } from "../terminal/capabilities.ts";
import type { Style } from "../terminal/palette.ts";
import {
  barLines,
  type Canvas,
  endingLines,
  eventLines,
  headingLines,
  type Moment,
} from "./live_text.ts";
import { EventQueue, RunLog, SORTING_DELAY_MS } from "./timeline.ts";

interface LiveViewOptions {
  readonly canvas: Pick<Canvas, "unicode" | "palette">;
  /** The thresholds, as far as they are known before the start. */
  readonly marksOf: (start: StartEvent | undefined) => Canvas["marks"];
  readonly style: Style;
  readonly hasPlot: boolean;
  /** Cuts the slow replay short. It is aborted with what a write in a timer throws. */
  readonly interrupt: AbortController;
}

const FRAME_MS = 100;
/** A shorter run is too fast to follow: it is not shown live but replayed slower. */
const MIN_MS_TO_SHOW_LIVE = 600;
const REPLAY_MS = 2000;
/** The rate is measured over this time, in a replay over this fraction of the run. */
const RATE_WINDOW_MS = 1000;
const RATE_FRACTION = 8;
/** A slower start gets a line that says so. */
const MAX_SILENT_START_MS = 500;
/** A frame is this late only when the process was stopped (SIGSTOP). */
const MIN_MS_STOPPED = 5 * FRAME_MS;

export class LiveView {
  readonly #block = new Block(writeStdout, terminalColumns);
  readonly #log = new RunLog();
  readonly #queue = new EventQueue();
  readonly #openedAt = clock();
  readonly #offSignals: () => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #framedAt = this.#openedAt;
  /** Stopped by this view, which has forgotten the block already. */
  #isSuspended = false;
  /** The run takes long enough to be shown live. */
  #isShown = false;

  constructor(private readonly options: LiveViewOptions) {
    this.#timer = setInterval(() => this.#tick(), FRAME_MS);
    this.#offSignals = onSignals(["SIGTSTP", "SIGCONT"], (signal) => this.#onSignal(signal));
    divertOutput({ print: this.#block.print, printStderr: this.#block.print });
  }

  readonly emit = (event: SimulationEvent): void => {
    this.#log.add(event);
    if (event.type === "start") {
      this.#print(headingLines(event, this.#canvas()));
      this.#frame();
    } else this.#queue.add(event);
  };

  readonly onUsage = (at: number, usage: number): void => this.#log.addUsage(at, usage);

  /** Replays a run that was too fast to follow, and shows the ending. */
  async finish(verdict: VerdictEvent): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#isShown) await this.#replay();
    this.#printEvents();
    this.#block.clear();
    const { hasPlot } = this.options;
    this.#print(endingLines(this.#log, verdict, verdict.cgroup, this.#canvas(), hasPlot));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#offSignals();
    divertOutput(undefined);
    try {
      this.#block.clear();
    } catch {
      // The terminal is gone, and the block with it.
    }
  }

  /** After a stop a frame may be due before SIGCONT is handled: the block is forgotten before, if this view stops the process. */
  #onSignal(signal: Deno.Signal): void {
    if (signal === "SIGCONT") {
      if (!this.#isSuspended) this.#block.restart();
      this.#isSuspended = false;
    } else if (hasJobControl()) {
      this.#isSuspended = true;
      this.#block.restart();
      // SIGTSTP would call this handler again. A shell treats SIGSTOP alike (wait(2), WIFSTOPPED).
      Deno.kill(Deno.pid, "SIGSTOP");
    }
  }

  #canvas(): Canvas {
    const { canvas, marksOf } = this.options;
    return {
      ...canvas,
      width: terminalColumns(),
      marks: marksOf(this.#log.start),
      program: programName(),
    };
  }

  #print(lines: readonly string[]): void {
    for (const line of lines) this.#block.print(line);
  }

  /** @param until milliseconds since the epoch. */
  #printEvents(until?: number): void {
    for (const event of this.#queue.take(until)) {
      this.#print(eventLines(event, this.#log.firstPageAt, this.options.style, this.#canvas()));
    }
  }

  #draw(moment: Moment): void {
    this.#block.draw(barLines(this.#log, moment, this.#canvas()));
  }

  #tick(): void {
    try {
      // The pending SIGCONT is handled first: the block was drawn somewhere above.
      const wasStopped = clock() - this.#framedAt > MIN_MS_STOPPED;
      this.#framedAt = clock();
      if (!wasStopped) this.#frame();
    } catch (error) {
      clearInterval(this.#timer);
      this.options.interrupt.abort(error);
    }
  }

  #frame(): void {
    const now = clock();
    const { start, firstPageAt, hasEnded } = this.#log;
    if (start === undefined) {
      if (now - this.#openedAt > MAX_SILENT_START_MS) {
        this.#block.draw(["  starting the allocator"]);
      }
      return;
    }
    this.#isShown ||= firstPageAt !== undefined && now - firstPageAt > MIN_MS_TO_SHOW_LIVE &&
      !hasEnded;
    if (this.#isShown) this.#printEvents(now - SORTING_DELAY_MS);
    this.#draw({ at: this.#isShown ? now : 0, window: RATE_WINDOW_MS, slowness: 1 });
  }

  async #replay(): Promise<void> {
    const { firstPageAt, endAt } = this.#log;
    if (firstPageAt === undefined) return;
    const duration = endAt - firstPageAt;
    const slowness = roundDown(REPLAY_MS / Math.max(duration, 0.1));
    const startedAt = performance.now();
    const interrupted = this.options.interrupt.signal;
    for (;;) {
      const at = firstPageAt + (performance.now() - startedAt) / slowness;
      if (interrupted.aborted || at > endAt) return;
      this.#printEvents(at);
      this.#draw({ at, window: duration / RATE_FRACTION, slowness });
      await delay(FRAME_MS, interrupted);
    }
  }
}

/** The highest of 1, 2, 5, 10, 20, 50 … that is not above the value. */
function roundDown(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [5, 2, 1].map((n) => n * power).find((round) => round <= value) ?? 1;
}
