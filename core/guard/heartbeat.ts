/** Whether the monitor thread responds: it counts its turns, and makes one at least every 5 s. */

import { OomkitError } from "../errors.ts";
import { MAX_MS_BETWEEN_HEARTBEATS } from "./thread/protocol.ts";

/** On a machine that swaps the monitor thread may pause for long. */
const MAX_MS_WITHOUT_HEARTBEAT = 30_000;
/** A heartbeat may be so late without a sign that the thread hangs (milliseconds, an estimate). */
const MAX_MS_LATE = 1000;

/** How often {@link Heartbeat.check} is to be called (milliseconds). */
export const MS_BETWEEN_HEARTBEAT_CHECKS = 10_000;

export class Heartbeat {
  #last = { at: performance.now(), count: 0 };
  #countWhenAsked = 0;

  /** @param beats the number of beats so far. */
  constructor(readonly beats: () => number) {}

  /** To be called regularly. Throws {@link OomkitError} when there was no beat for too long. */
  check(): void {
    if (this.msSinceHeartbeat() < MAX_MS_WITHOUT_HEARTBEAT) return;
    throw new OomkitError(
      `the monitor thread has not responded for ${MAX_MS_WITHOUT_HEARTBEAT / 1000} s`,
    );
  }

  /** Since a call of any method found a new beat. */
  msSinceHeartbeat(): number {
    const now = performance.now();
    const count = this.beats();
    if (count !== this.#last.count) this.#last = { at: now, count };
    return now - this.#last.at;
  }

  /** Whether there was a beat since the last call, or the next one is not late. */
  isAlive(): boolean {
    const since = this.msSinceHeartbeat();
    const before = this.#countWhenAsked;
    this.#countWhenAsked = this.#last.count;
    return this.#countWhenAsked !== before || since < MAX_MS_BETWEEN_HEARTBEATS + MAX_MS_LATE;
  }
}
