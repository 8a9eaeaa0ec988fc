/** The last round of reads, and a new one no sooner than it is worth its cost. */

import { type Followed, type Sweep, takeSweep } from "./sweep.ts";

export interface SweeperOptions {
  /** Who is followed now. */
  cgroups(): Iterable<Followed>;
  readonly most: number;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
}

/** How old a round may be, however many ask (milliseconds). */
const FRESH_SELECTION_MS = 1000;
/** Rounds take at most this part of the time, from some thousand cgroups on. */
const SHARE = 1 / 20;

/** Resolves to a round that is fresh; all that ask meanwhile get the same one. */
export function createSweeper({ cgroups, most, now }: SweeperOptions): () => Promise<Sweep> {
  let last: Sweep | undefined;
  let dueAt = -Infinity;
  let underway: Promise<Sweep> | undefined;

  const sweep = async () => {
    const begun = now();
    last = await takeSweep(cgroups(), most);
    dueAt = Math.max(begun + FRESH_SELECTION_MS, now() + last.took / SHARE);
    return last;
  };

  return () => {
    if (last !== undefined && now() < dueAt) return Promise.resolve(last);
    underway ??= sweep().finally(() => underway = undefined);
    return underway;
  };
}
