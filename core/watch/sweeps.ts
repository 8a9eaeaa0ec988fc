/** Looks at everything for the sake of doubt alone, a few at a time: what notifications tell must not wait for it. */

import type { AncestorLimits } from "../cgroup/ancestry.ts";
import type { WatchedCgroup } from "./member.ts";

export interface Sweeps {
  begin(watchedCgroups: Iterable<WatchedCgroup>): void;
  /** Looks at the next few. */
  goOn(): void;
  /** Milliseconds until that is due; `Infinity` when none are left. */
  pause(): number;
}

/** Some 10 ms, and as long again for everything else. */
const AT_ONCE = 50;
const PAUSE_MS = 10;

/** @param look is also called for members that have gone since. */
export function createSweeps(
  look: (watched: WatchedCgroup, known: AncestorLimits) => void,
): Sweeps {
  let left: WatchedCgroup[] = [];
  let known: AncestorLimits = new Map();
  return {
    begin(watchedCgroups) {
      left = [...watchedCgroups].reverse();
      known = new Map();
    },
    goOn() {
      for (const watched of left.splice(-AT_ONCE).reverse()) look(watched, known);
    },
    pause: () => left.length > 0 ? PAUSE_MS : Infinity,
  };
}
