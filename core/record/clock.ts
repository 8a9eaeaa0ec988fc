/** The clock of recordings: it does not go backwards, whoever sets the machine's. */

import { wallClock } from "../kernel/clock.ts";

let origin: number | undefined;

/**
 * Milliseconds since the epoch, with a fraction, that pass as `performance.now()` has it: what is recorded is run again, and
 * what lasts must last as long then. Each thread asks the wall clock once.
 */
export function recordingClock(): number {
  return recordingOrigin() + performance.now();
}

/** What to add to `performance.now()` of this thread. */
export function recordingOrigin(): number {
  return origin ??= wallClock() - performance.now();
}
