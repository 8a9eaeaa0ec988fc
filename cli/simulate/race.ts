/** What a simulation has come to at any moment, for those who look at it. Pure. */

import { momentOf } from "../../core/simulate/evaluate.ts";
import type { SimulationEvent, Start } from "../../core/simulate/event.ts";
import { begins } from "./timeline.ts";

/** One look at the usage of the cgroup. */
export interface Sample {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Bytes. */
  readonly usage: number;
}

export type Started = Start & { readonly ts: string; readonly cgroup: string };

export interface Race {
  readonly start: Started | undefined;
  /** Milliseconds since the epoch: the first page. */
  readonly began: number | undefined;
  /** In the order of time. */
  readonly samples: readonly Sample[];
  /** In the order in which they came. */
  readonly events: readonly SimulationEvent[];
}

export interface RaceLog {
  tell(event: SimulationEvent): void;
  see(at: number, usage: number): void;
  race(): Race;
}

/** A terminal is a few hundred columns wide: more of them would not be seen. */
const MAX_SAMPLES = 4096;

export function createRaceLog(): RaceLog {
  let start: Started | undefined;
  let began: number | undefined;
  let samples: Sample[] = [];
  const events: SimulationEvent[] = [];
  const see = (at: number, usage: number) => {
    // Each allocator has a pipe of its own, and the watch tells late: nearly all of them belong to the end.
    let place = samples.length;
    while (place > 0 && samples[place - 1]!.at > at) place--;
    samples.splice(place, 0, { at, usage });
    if (samples.length > MAX_SAMPLES) samples = thinned(samples);
  };
  return {
    see,
    tell(event) {
      events.push(event);
      if (event.type === "start") start = event;
      if (begins(event)) began = Math.min(began ?? Infinity, momentOf(event.ts));
      const usage = usageIn(event);
      if (usage !== undefined) see(momentOf(event.ts), usage);
    },
    race: () => ({ start, began, samples, events }),
  };
}

/** The watch has read it at that moment; but a kill is told by the kernel's clock. */
function usageIn(event: SimulationEvent): number | undefined {
  switch (event.type) {
    case "threshold":
    case "pressure":
    case "high":
    case "max":
      return event.usage ?? undefined;
    default:
      return undefined;
  }
}

/** Of each two neighbours the higher one; the newest stays. */
function thinned(samples: readonly Sample[]): Sample[] {
  const last = samples.at(-1)!;
  const pairs = samples.slice(0, -1).flatMap((one, at, all) => {
    const other = all[at + 1];
    if (at % 2 === 1) return [];
    return [other !== undefined && other.usage > one.usage ? other : one];
  });
  return [...pairs, last];
}

/** Bytes; `undefined` before the first look. @param at milliseconds since the epoch. */
export function usageAt({ samples }: Race, at: number): number | undefined {
  return samples.findLast((sample) => sample.at <= at)?.usage;
}

/**
 * Bytes a second over the last `window` milliseconds, or between the last two looks where those are further apart; 0 where a
 * further look is overdue, since what stands still is not told of. `undefined` where there were too few looks to tell.
 */
export function rateAt({ samples }: Race, at: number, window: number): number | undefined {
  const last = samples.findLastIndex((sample) => sample.at <= at);
  if (last < 1) return undefined;
  const newest = samples[last]!;
  const before = samples[last - 1]!;
  if (at - newest.at > Math.max(window, OVERDUE * (newest.at - before.at))) return 0;
  const early = samples.findLastIndex((sample) => sample.at <= at - window);
  const from = samples[Math.min(Math.max(0, early), last - 1)]!;
  const seconds = (newest.at - from.at) / 1000;
  return seconds > 0 ? (newest.usage - from.usage) / seconds : undefined;
}

/** So many times as long as the looks before it were apart. */
const OVERDUE = 3;

/** Milliseconds since the epoch: when the last process ended, or else the last thing that is known to have happened. */
export function endOf({ start, samples, events, began }: Race): number {
  const ends = events.filter(({ type }) => type === "exit" || type === "oom_kill");
  const exits = ends.filter(({ type }) => type === "exit").length;
  const isOver = start?.fake === null && exits >= start.pids.length;
  // What is counted afterwards is told late, and no part of the race.
  const last = isOver ? ends : events.slice(-LATE);
  const moments = last.map(({ ts }) => momentOf(ts));
  return Math.max(began ?? 0, isOver ? 0 : samples.at(-1)?.at ?? 0, ...moments);
}

/** Events come nearly in order; no more than so many are told out of it. */
const LATE = 64;
