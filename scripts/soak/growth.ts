/** Whether a program takes more and more. Each look is at rest, with the same cgroups there. */

import type { Costs } from "../bench/process_costs.ts";

const MIB = 1024 ** 2;

/** A read, a process that is held: in use for a moment. */
const SPARE_DESCRIPTORS = 6;
/** Nothing is waited for or watched for a moment only. */
const SPARE_WAITS = 4;
/** Garbage that V8 has not collected: between two rests it was within 20 MiB (docs/performance.md, footprint). */
const SPARE_ANONYMOUS = 32 * MIB;

/** @param base the look after the warm-up. @returns a line for each that has grown. */
export function growth(base: Costs, now: Costs): string[] {
  const grown = (name: keyof Costs, spare: number, unit = 1) => {
    const more = now[name] - base[name];
    return more > spare
      ? [`${name}: ${Math.round(base[name] / unit)} at first, ${Math.round(now[name] / unit)} now`]
      : [];
  };
  return [
    ...grown("descriptors", SPARE_DESCRIPTORS),
    ...grown("epollEntries", SPARE_WAITS),
    ...grown("inotifyWatches", SPARE_WAITS),
    ...grown("anonymous", SPARE_ANONYMOUS, MIB),
  ];
}

/** The least of several looks, each figure by itself: garbage comes and goes. */
export function least(looks: readonly Costs[]): Costs {
  const min = (name: keyof Costs) => Math.min(...looks.map((look) => look[name]));
  return {
    anonymous: min("anonymous"),
    resident: min("resident"),
    descriptors: min("descriptors"),
    epollEntries: min("epollEntries"),
    inotifyWatches: min("inotifyWatches"),
  };
}
