/** When to poll next. Pure. */

import { MAX_FILLING_CPUS } from "./levels.ts";
import { MAX_FILL_RATE } from "./usage_trend.ts";

/** A JavaScript timer is about 1.2 ms late on an idle machine: a shorter sleep only burns CPU. */
const MIN_TIMER_MS = 5;
/** How late a crossing in an idle cgroup may be found: at best, and at worst among many cgroups. */
const IDLE_MS = { best: 50, worst: 1000 };
/** A sample costs about 2 µs (docs/performance.md): at this interval per cgroup all of them take less than 0.5 % of a core. */
const IDLE_MS_PER_CGROUP = 0.5;

/** How late growth may be seen that begins on an idle machine: at best, and at worst (milliseconds). */
const MACHINE_MS = { best: 10, worst: 5000 };

/**
 * Milliseconds between two reads of the machine's usage: half of the time in which the fastest allocators, on all CPUs, could use
 * `left` bytes up. Nothing notifies of usage, and of pressure only when memory has run short.
 */
export const machinePollInterval = (left: number, cpus: number): number =>
  Math.min(
    MACHINE_MS.worst,
    Math.max(
      MACHINE_MS.best,
      500 * Math.max(0, left) / (MAX_FILL_RATE * Math.min(cpus, MAX_FILLING_CPUS)),
    ),
  );

/** Default interval of a cgroup when its notifications were refused: see {@link fallbackPoll}. */
export const FALLBACK_POLL_MS = 100;
/** To read everything that a watch reports takes about 100 µs: at this interval per cgroup, 5 % of a core. */
const FALLBACK_POLL_MS_PER_CGROUP = 2;

/** Milliseconds between two reads of one of `count` cgroups that are watched without notifications. */
export function fallbackPoll(count: number): number {
  return Math.max(FALLBACK_POLL_MS, FALLBACK_POLL_MS_PER_CGROUP * count);
}

/** When nothing notifies of created and removed cgroups (milliseconds). */
const RESYNC_MS = 30_000;
/** A read of everything, only to find a lost notification, takes about 0.15 ms: 0.1 % of a core for all cgroups together. */
const RESYNC_MS_PER_CGROUP = 150;

/** Milliseconds between two resyncs of `count` cgroups. @param isNotified all changes are notified. */
export function resyncInterval(count: number, isNotified: boolean): number {
  return isNotified ? Math.max(RESYNC_MS, RESYNC_MS_PER_CGROUP * count) : RESYNC_MS;
}

/** The longest time between two samples of one of `count` cgroups, in milliseconds. */
export function maxPollInterval(count: number): number {
  return Math.min(IDLE_MS.worst, Math.max(IDLE_MS.best, IDLE_MS_PER_CGROUP * count));
}

/**
 * Milliseconds until the next poll: half the time until the next threshold at the present rate, so that steady growth is
 * sampled ever more often as it comes near.
 *
 * @param distance bytes to the next threshold above; `Infinity` when there is none.
 * @param rate bytes per second since the last sample; 0 or less when usage does not grow.
 * @param longest milliseconds, see {@link maxPollInterval}.
 * @param shortest milliseconds; epoll_wait(2) returns after 1, unlike a timer.
 */
export function nextPollIn(
  distance: number,
  rate: number,
  longest: number,
  shortest = MIN_TIMER_MS,
): number {
  if (rate <= 0) return longest;
  return Math.min(longest, Math.max(shortest, 500 * distance / rate));
}

/** The next multiple of `every` milliseconds: what is polled equally often shares its wake-ups, whenever it began. */
export const nextRound = (now: number, every: number): number =>
  every * (Math.floor(now / every) + 1);

/** To read so many cgroups in full takes about 5 ms, for which other work of the thread waits. */
const MAX_READS_PER_ROUND = 50;

/**
 * About `interval` milliseconds after `now`: a few cgroups that are read in full equally often are read together, many in several
 * rounds.
 */
export function nextFullReadAt(now: number, interval: number, count: number): number {
  const slot = interval / Math.max(1, Math.ceil(count / MAX_READS_PER_ROUND));
  return nextRound(now + interval - slot, slot);
}
