/** Puts the events of a simulation in the order in which they happened, whatever reported them first. */

import { epochMs } from "../../core/simulate/evaluate.ts";
import type { SimulationEvent } from "../../core/simulate/event.ts";
import type { Style } from "../terminal/palette.ts";
import { scaleOf, startsGrowth } from "./run_log.ts";
import { eventRows } from "./text.ts";

/**
 * Steps come through pipes and events from the watch: rows wait this long so that they can be sorted. For a reader the delay
 * does not matter.
 */
export const SORTING_DELAY_MS = 100;

/** Events that wait until earlier ones have arrived. */
export class EventQueue {
  #waiting: SimulationEvent[] = [];
  readonly #isNews = createNewsFilter();

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(event: SimulationEvent): void {
    this.#waiting.push(event);
  }

  /** Removes the events up to `until` (milliseconds since the epoch), and returns those that are news, sorted. */
  take(until = Infinity): SimulationEvent[] {
    const sorted = causesFirst(
      this.#waiting.toSorted((a, b) => epochMs(a.ts) - epochMs(b.ts)),
    );
    const later = sorted.findIndex(({ ts }) => epochMs(ts) > until);
    const taken = later < 0 ? sorted : sorted.slice(0, later);
    this.#waiting = sorted.slice(taken.length);
    return taken.filter(this.#isNews);
  }
}

/** Prints events as lines, sorted. */
export class Timeline {
  readonly #queue = new EventQueue();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #scale: number | undefined;
  #firstPageAt: number | undefined;

  /** @param fail gets what `print` throws in a timer. */
  constructor(
    private readonly print: (line: string) => void,
    private readonly style: Style,
    private readonly fail: (error: unknown) => void,
  ) {}

  add(event: SimulationEvent): void {
    this.#queue.add(event);
    if (event.type === "start") this.flush();
    else this.#schedule();
  }

  /** Prints waiting events up to `until`, milliseconds since the epoch. */
  flush(until?: number): void {
    this.close();
    const events = this.#queue.take(until);
    if (!this.#queue.isEmpty) this.#schedule();
    for (const event of events) {
      if (startsGrowth(event)) this.#firstPageAt ??= epochMs(event.ts);
      if (event.type === "start") this.#scale = scaleOf(event);
      for (const line of eventRows(event, this.#scale, this.#firstPageAt, this.style)) {
        this.print(line);
      }
    }
  }

  /** Drops waiting events. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      try {
        this.flush(Date.now() - SORTING_DELAY_MS);
      } catch (error) {
        this.fail(error);
      }
    }, SORTING_DELAY_MS);
  }
}

/** The kernel notifies of an OOM before it kills, but the kernel log may be read before the notification. */
function causesFirst(events: readonly SimulationEvent[]): SimulationEvent[] {
  const kill = events.findIndex(({ type }) => type === "oom_kill");
  const oom = events.findIndex(({ type }) => type === "oom");
  if (kill < 0 || oom < kill) return [...events];
  const cause = { ...events[oom]!, ts: events[kill]!.ts };
  const others = events.filter((_, index) => index !== oom);
  return [...others.slice(0, kill), cause, ...others.slice(kill)];
}

const PRESSURE_LEVELS = [null, "low", "medium", "critical"];

/**
 * Keeps the output to one screen. Pressure is shown when it rises, because a level is notified again and again, and with every
 * higher one. After a kill, falling usage (its purpose) and limit hits counted before it are not shown.
 */
function createNewsFilter(): (event: SimulationEvent) => boolean {
  let highest = 0;
  let killed = false;
  return (event) => {
    if (event.type === "oom_kill") killed = true;
    if (event.type === "max") return !killed;
    if (event.type === "threshold") return !(killed && event.direction === "below");
    if (event.type !== "pressure" || event.level === null) return true;
    const level = PRESSURE_LEVELS.indexOf(event.level);
    const rises = level > highest;
    if (rises) highest = level;
    return rises;
  };
}
