/** The order in which a simulation is told: as things happened, whatever told of them first. */

import { momentOf } from "../../core/simulate/evaluate.ts";
import type { SimulationEvent, Start } from "../../core/simulate/event.ts";
import { textOf } from "./text.ts";
import type { Style } from "../terminal/style.ts";

/** Events that wait until those before them have come. */
export interface Sequence {
  add(event: SimulationEvent): void;
  /**
   * Those until then (milliseconds since the epoch) that are news, in their order; they are in it no longer.
   */
  take(until?: number): SimulationEvent[];
  readonly isEmpty: boolean;
}

export function createSequence(): Sequence {
  let waiting: SimulationEvent[] = [];
  const isNews = createNewsSense();
  return {
    add: (event) => void waiting.push(event),
    take(until = Infinity) {
      const sorted = causesFirst(waiting.toSorted((a, b) => momentOf(a.ts) - momentOf(b.ts)));
      const ripe = sorted.findIndex(({ ts }) => momentOf(ts) > until);
      const taken = ripe < 0 ? sorted : sorted.slice(0, ripe);
      waiting = sorted.slice(taken.length);
      return taken.filter(isNews);
    },
    get isEmpty() {
      return waiting.length === 0;
    },
  };
}

/** Whether the first page is about to be touched. */
export const begins = (event: SimulationEvent): boolean =>
  event.type === "allocator_started" || (event.type === "start" && event.fake !== null);

/** Bytes that are the whole, where there is a whole. */
export const scaleOf = (start: Pick<Start, "limit" | "stop_at">): number | undefined =>
  start.limit ?? start.stop_at ?? undefined;

export interface Timeline {
  add(event: SimulationEvent): void;
  /** Prints what still waits. */
  flush(): void;
  /** Forgets what still waits. */
  close(): void;
}

/**
 * Steps come by a pipe and events by the watch: rows wait until they are so old (milliseconds), so that they can be put in
 * order. Nobody minds the delay.
 */
export const PATIENCE_MS = 100;

/** @param fail is told what `print` throws while nobody waits for it. */
export function createTimeline(
  print: (line: string) => void,
  style: Style,
  fail: (error: unknown) => void,
): Timeline {
  const sequence = createSequence();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let scale: number | undefined;
  let began: number | undefined;

  const flush = (until?: number) => {
    clearTimeout(timer);
    timer = undefined;
    const rows = sequence.take(until);
    if (!sequence.isEmpty) schedule();
    for (const event of rows) {
      if (begins(event)) began ??= momentOf(event.ts);
      if (event.type === "start") scale = scaleOf(event);
      for (const line of textOf(event, scale, began, style)) print(line);
    }
  };
  const schedule = () => {
    timer ??= setTimeout(() => {
      try {
        flush(Date.now() - PATIENCE_MS);
      } catch (error) {
        fail(error);
      }
    }, PATIENCE_MS);
  };
  return {
    add(event) {
      sequence.add(event);
      if (event.type === "start") flush();
      else schedule();
    },
    flush,
    close: () => clearTimeout(timer),
  };
}

/** An OOM is notified before its kill, but the kernel log may be read before the notification. */
function causesFirst(events: readonly SimulationEvent[]): SimulationEvent[] {
  const kill = events.findIndex(({ type }) => type === "oom_kill");
  const oom = events.findIndex(({ type }) => type === "oom");
  if (kill < 0 || oom < kill) return [...events];
  const cause = { ...events[oom]!, ts: events[kill]!.ts };
  const others = events.filter((_, index) => index !== oom);
  return [...others.slice(0, kill), cause, ...others.slice(kill)];
}

const LEVELS = [null, "low", "medium", "critical"];

/**
 * One screen shows what is new: pressure when it rises, since a level tells of all those beneath it too, over and over; after a
 * kill neither falling usage, which is what a kill is for, nor what was counted on the way to it.
 */
function createNewsSense(): (event: SimulationEvent) => boolean {
  let highest = 0;
  let killed = false;
  return (event) => {
    if (event.type === "oom_kill") killed = true;
    if (event.type === "max") return !killed;
    if (event.type === "threshold") return !(killed && event.direction === "below");
    if (event.type !== "pressure" || event.level === null) return true;
    const level = LEVELS.indexOf(event.level);
    const rises = level > highest;
    if (rises) highest = level;
    return rises;
  };
}
