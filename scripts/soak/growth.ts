/** Whether the costs of a program grow. Each sample is taken when idle, with the same cgroups. */

import type { Costs } from "../bench/process_costs.ts";

const MIB = 1024 ** 2;

/** Descriptors in use for a moment: a read, a pinned process. */
const SPARE_DESCRIPTORS = 6;
/** Epoll entries and inotify watches are rarely short-lived. */
const SPARE_WAITS = 4;
/** Garbage that V8 has not collected: within 20 MiB between two idle checks (docs/performance.md, footprint). */
const SPARE_ANONYMOUS = 32 * MIB;

/** @param base the sample after the warm-up. @returns a line for each cost that has grown. */
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

/** The minimum of several samples, each figure by itself, since garbage comes and goes. */
export function minimum(looks: readonly Costs[]): Costs {
  const min = (name: keyof Costs) => Math.min(...looks.map((look) => look[name]));
  return {
    anonymous: min("anonymous"),
    resident: min("resident"),
    descriptors: min("descriptors"),
    epollEntries: min("epollEntries"),
    inotifyWatches: min("inotifyWatches"),
  };
}
