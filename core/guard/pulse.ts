/** Whether the sentry turns. */

import { OomkitError } from "../errors.ts";

export interface Heartbeat {
  /** To be called every now and then. Throws once it has not turned for too long. */
  check(): void;
  /** Milliseconds since it was seen to turn last. */
  msSinceHeartbeat(): number;
  /** Whether it has turned since this was asked last. */
  isAlive(): boolean;
}

/** The sentry turns once a second at least; a machine that swaps may stand still for longer. */
const SILENCE_MS = 30_000;

/** @param beats how often it has turned. */
export function createHeartbeat(beats: () => number): Heartbeat {
  let last = { at: performance.now(), count: 0 };
  let asked = 0;
  const msSinceHeartbeat = () => performance.now() - last.at;
  return {
    check() {
      const count = beats();
      if (count !== last.count) last = { at: performance.now(), count };
      if (msSinceHeartbeat() < SILENCE_MS) return;
      throw new OomkitError(`the sentry has not turned for ${SILENCE_MS / 1000} s`);
    },
    msSinceHeartbeat,
    isAlive() {
      const before = asked;
      asked = beats();
      return asked !== before;
    },
  };
}
