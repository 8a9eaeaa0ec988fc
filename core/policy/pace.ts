/** How soon to look again, where only a poll can tell that usage crossed a threshold. Pure. */

/** A JavaScript timer is about 1.2 ms late on an idle machine, so that a shorter sleep only burns CPU. */
const SHORTEST_MS = 5;
/** An idle cgroup: how late the first crossing may be told at most. */
const LONGEST_MS = 1000;

/**
 * Milliseconds until the next look: half of the time that the distance to the next threshold lasts at the present fill
 * rate, so that a steady filler is looked at ever more often as it comes near.
 *
 * @param distance bytes to the next threshold above; `Infinity` when there is none.
 * @param rate bytes per second since the last look; 0 or less when it does not grow.
 */
export function nextLook(distance: number, rate: number): number {
  if (rate <= 0) return LONGEST_MS;
  return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, 500 * distance / rate));
}
