/** The clock of recordings: it never goes backwards, even when the machine's clock is set. */

import { wallClock } from "../kernel/clock.ts";

let origin: number | undefined;

/**
 * Milliseconds since the epoch, with a fraction, that pass at the pace of `performance.now()`, so that a replay lasts as
 * long as the recorded run. Each thread reads the wall clock once.
 */
export function recordingClock(): number {
  return recordingOrigin() + performance.now();
}

/** What to add to `performance.now()` of this thread. */
export function recordingOrigin(): number {
  return origin ??= wallClock() - performance.now();
}
