/** The wall clock, with more digits than `Date.now()` has, and without anything allocated. */

import { libc } from "./libc.ts";

const CLOCK_REALTIME = 0;
const timespec = new Uint8Array(16);
const view = new DataView(timespec.buffer);

/** Microseconds since the epoch, whole: exact until 2255. */
export function microseconds(): number {
  libc().clock_gettime(CLOCK_REALTIME, timespec);
  // struct timespec: i64 seconds, i64 nanoseconds. Seconds take 33 bits, read as two numbers rather than as a BigInt.
  const seconds = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  return seconds * 1e6 + Math.floor(view.getUint32(8, true) / 1000);
}

/**
 * Milliseconds since the epoch, with a fraction. Follows the clock when somebody sets it, as on a node that has the time only
 * once it has a network; `performance.timeOrigin` is what the clock said when the program began.
 */
export function wallClock(): number {
  return microseconds() / 1000;
}
