/** How soon to look again, where only a poll can tell that usage crossed a threshold. Pure. */

/** A JavaScript timer is about 1.2 ms late on an idle machine, so that a shorter sleep only burns CPU. */
const SHORTEST_MS = 5;
/** How late the first crossing of an idle cgroup may be told: at best, and at worst where there are many. */
const IDLE_MS = { best: 50, worst: 1000 };
/** A look costs some 2 µs (docs/performance.md): so far apart, all looks together stay below half a percent of a core. */
const IDLE_MS_EACH = 0.5;

/** How often a cgroup is read whose notifications were refused, unless told otherwise: see {@link fallbackPoll}. */
export const FALLBACK_POLL_MS = 100;
/** A read of all that a watch tells of takes some 100 µs: so far apart, all of them take a twentieth of a core. */
const FALLBACK_POLL_MS_EACH = 2;

/** Milliseconds between two reads of one of `count` cgroups that are watched without notifications. */
export function fallbackPoll(count: number): number {
  return Math.max(FALLBACK_POLL_MS, FALLBACK_POLL_MS_EACH * count);
}

/** Where nothing tells of cgroups that come and go (milliseconds). */
const SWEEP_MS = 30_000;
/** To read all that a watch tells of, for the sake of doubt alone, takes some 0.2 ms: 0.2 % of a core, all together. */
const SWEEP_MS_EACH = 100;

/** Milliseconds between two sweeps over `count` cgroups, of which notifications tell all that happens. */
export function sweepEvery(count: number, isNotified: boolean): number {
  return isNotified ? Math.max(SWEEP_MS, SWEEP_MS_EACH * count) : SWEEP_MS;
}

/** The longest time between two looks at one of `count` cgroups, in milliseconds. */
export function maxPollInterval(count: number): number {
  return Math.min(IDLE_MS.worst, Math.max(IDLE_MS.best, IDLE_MS_EACH * count));
}

/**
 * Milliseconds until the next look: half of the time that the distance to the next threshold lasts at the present fill
 * rate, so that a steady filler is looked at ever more often as it comes near.
 *
 * @param distance bytes to the next threshold above; `Infinity` when there is none.
 * @param rate bytes per second since the last look; 0 or less when it does not grow.
 * @param longest milliseconds, see {@link longestLook}.
 * @param shortest milliseconds; a thread that waits in epoll_wait(2) instead of on a timer is back after 1.
 */
export function nextPollIn(
  distance: number,
  rate: number,
  longest: number,
  shortest = SHORTEST_MS,
): number {
  if (rate <= 0) return longest;
  return Math.min(longest, Math.max(shortest, 500 * distance / rate));
}
