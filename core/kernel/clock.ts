/** The wall clock in microseconds, read without allocating; `Date.now()` has whole milliseconds. */

import { libc } from "./libc.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const timespec = new Uint8Array(16);
const view = new DataView(timespec.buffer);

/** Whole microseconds since the epoch: exact until 2255. */
export const microseconds = (): number => microsecondsOf(CLOCK_REALTIME);

/** Whole microseconds since boot, without the time that the machine was suspended: the clock of the kernel log. */
export const uptimeMicroseconds = (): number => microsecondsOf(CLOCK_MONOTONIC);

function microsecondsOf(clock: number): number {
  libc().clock_gettime(clock, timespec);
  // struct timespec: i64 seconds, i64 nanoseconds. Two numbers instead of a BigInt, which would be allocated.
  const seconds = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  return seconds * 1e6 + Math.floor(view.getUint32(8, true) / 1000);
}

/**
 * Milliseconds since the epoch, with a fraction. Follows changes of the clock, as on a node that gets the time only with its
 * network; `performance.timeOrigin` is the clock at the start of the program.
 */
export const wallClock = (): number => microseconds() / 1000;
