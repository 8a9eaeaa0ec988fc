/** Looks at everything for the sake of doubt alone, a few at a time: what notifications tell must not wait for it. */

import type { LinksAbove } from "../cgroup/ancestry.ts";
import type { Member } from "./member.ts";

export interface Sweeps {
  begin(members: Iterable<Member>): void;
  /** Looks at the next few. */
  goOn(): void;
  /** Milliseconds until that is due; `Infinity` when none are left. */
  pause(): number;
}

/** Some 10 ms, and as long again for everything else. */
const AT_ONCE = 50;
const PAUSE_MS = 10;

/** @param look is also called for members that have gone since. */
export function createSweeps(look: (member: Member, known: LinksAbove) => void): Sweeps {
  let left: Member[] = [];
  let known: LinksAbove = new Map();
  return {
    begin(members) {
      left = [...members].reverse();
      known = new Map();
    },
    goOn() {
      for (const member of left.splice(-AT_ONCE).reverse()) look(member, known);
    },
    pause: () => left.length > 0 ? PAUSE_MS : Infinity,
  };
}
