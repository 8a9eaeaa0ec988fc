/** What is known of a simulation so far, and its events in the order in which they happened, whatever reported them first. Pure. */

import { epochMs } from "../../core/simulate/evaluate.ts";
import type { SimulationEvent, StartEvent } from "../../core/simulate/event.ts";

/**
 * Steps come through pipes and events from the watch: rows wait this long so that they can be sorted. For a reader the delay
 * does not matter.
 */
export const SORTING_DELAY_MS = 100;

const PRESSURE_LEVELS = [null, "low", "medium", "critical"];

/** Events that wait until earlier ones have arrived. */
export class EventQueue {
  #waiting: SimulationEvent[] = [];
  #highestPressure = 0;
  #hasKilled = false;

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(event: SimulationEvent): void {
    this.#waiting.push(event);
  }

  /** Removes the events up to `until` (milliseconds since the epoch), and returns those that are news, sorted. */
  take(until = Infinity): SimulationEvent[] {
    const sorted = causesFirst(this.#waiting.toSorted((a, b) => epochMs(a.ts) - epochMs(b.ts)));
    const later = sorted.findIndex(({ ts }) => epochMs(ts) > until);
    const taken = later < 0 ? sorted : sorted.slice(0, later);
    this.#waiting = sorted.slice(taken.length);
    return taken.filter((event) => this.#isNews(event));
  }

  /**
   * Keeps the output to one screen. Pressure is shown when it rises, because a level is notified again and again, and with every
   * higher one. After a kill, falling usage (its purpose) and limit hits counted before it are not shown.
   */
  #isNews(event: SimulationEvent): boolean {
    if (event.type === "oom_kill") this.#hasKilled = true;
    if (event.type === "max") return !this.#hasKilled;
    if (event.type === "threshold") return !(this.#hasKilled && event.direction === "below");
    if (event.type !== "pressure" || event.level === null) return true;
    const level = PRESSURE_LEVELS.indexOf(event.level);
    const rises = level > this.#highestPressure;
    if (rises) this.#highestPressure = level;
    return rises;
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

interface UsageSample {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Bytes. */
  readonly usage: number;
}

/** A terminal is a few hundred columns wide: it cannot show more. */
const MAX_SAMPLES = 4096;
/** Growth has stopped when the next sample is late by this many sample intervals. */
const MAX_MISSED_INTERVALS = 3;
/** Events arrive nearly in order; at most this many arrive late. */
const MAX_LATE_EVENTS = 64;

export class RunLog {
  start: StartEvent | undefined;
  /** Milliseconds since the epoch. */
  firstPageAt: number | undefined;
  /** By time. */
  samples: UsageSample[] = [];
  /** By arrival. */
  readonly events: SimulationEvent[] = [];

  add(event: SimulationEvent): void {
    this.events.push(event);
    if (event.type === "start") this.start = event;
    if (startsGrowth(event)) {
      this.firstPageAt = Math.min(this.firstPageAt ?? Infinity, epochMs(event.ts));
    }
    // Usage that the watch has read at the time of the event; a kill has the kernel's time instead.
    const { type } = event;
    if (type === "threshold" || type === "pressure" || type === "high" || type === "max") {
      if (event.usage !== null) this.addUsage(epochMs(event.ts), event.usage);
    }
  }

  /** @param at milliseconds since the epoch. */
  addUsage(at: number, usage: number): void {
    // Each allocator has its own pipe, and the watch reports late; most samples still belong at the end.
    let place = this.samples.length;
    while (place > 0 && this.samples[place - 1]!.at > at) place--;
    this.samples.splice(place, 0, { at, usage });
    if (this.samples.length > MAX_SAMPLES) this.samples = thinned(this.samples);
  }

  /** Whether all allocators have exited; a fake simulation has none. */
  get hasEnded(): boolean {
    if (this.start === undefined || this.start.fake_reason !== null) return false;
    return this.events.filter(({ type }) => type === "exit").length >= this.start.pids.length;
  }

  /** Bytes; `undefined` before the first sample. @param at milliseconds since the epoch. */
  usageAt(at: number): number | undefined {
    return this.samples.findLast((sample) => sample.at <= at)?.usage;
  }

  /**
   * Bytes per second over the last `window` milliseconds, or between the last two samples where those are further apart; 0 where
   * the next sample is overdue, because constant usage is not reported. `undefined` where there are too few samples.
   */
  rateAt(at: number, window: number): number | undefined {
    const samples = this.samples;
    const last = samples.findLastIndex((sample) => sample.at <= at);
    if (last < 1) return undefined;
    const newest = samples[last]!;
    const interval = newest.at - samples[last - 1]!.at;
    if (at - newest.at > Math.max(window, MAX_MISSED_INTERVALS * interval)) return 0;
    const early = samples.findLastIndex((sample) => sample.at <= at - window);
    const from = samples[Math.min(Math.max(0, early), last - 1)]!;
    const seconds = (newest.at - from.at) / 1000;
    return seconds > 0 ? (newest.usage - from.usage) / seconds : undefined;
  }

  /** Milliseconds since the epoch: when the last process ended, or else the last moment that something is known of. */
  get endAt(): number {
    const firstPageAt = this.firstPageAt ?? 0;
    if (this.hasEnded) {
      // Counters that are read after the exits are not part of the run.
      const ends = this.events.filter(({ type }) => type === "exit" || type === "oom_kill");
      return Math.max(firstPageAt, ...ends.map(({ ts }) => epochMs(ts)));
    }
    const late = this.events.slice(-MAX_LATE_EVENTS).map(({ ts }) => epochMs(ts));
    return Math.max(firstPageAt, this.samples.at(-1)?.at ?? 0, ...late);
  }
}

/** Whether the first page is about to be touched. */
export const startsGrowth = (event: SimulationEvent): boolean =>
  event.type === "allocator_started" || (event.type === "start" && event.fake_reason !== null);

/** The bytes that count as full; `undefined` when there is no bound. */
export const scaleOf = (start: Pick<StartEvent, "limit" | "stop_at">): number | undefined =>
  start.limit ?? start.stop_at ?? undefined;

/** Of each two neighbours the higher one; the newest stays. */
function thinned(samples: readonly UsageSample[]): UsageSample[] {
  const kept: UsageSample[] = [];
  for (let at = 0; at < samples.length - 1; at += 2) {
    const [one, other] = [samples[at]!, samples[at + 1]];
    const isPair = at + 1 < samples.length - 1;
    kept.push(isPair && other!.usage > one.usage ? other! : one);
  }
  return [...kept, samples.at(-1)!];
}
