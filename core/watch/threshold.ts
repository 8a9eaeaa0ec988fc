/** When usage has crossed a threshold of one cgroup, and which crossings are reported. Pure; times are `performance.now()`. */

import type { Source } from "../events/event.ts";

/** Share of the threshold that usage must fall below it: the default of the guard's levels. Usage at the threshold jitters. */
const HYSTERESIS = 0.05;
/**
 * Usage that swings further than that is reported this often, once in each direction. As often as a Kubernetes Event is patched
 * (core/receivers/kubernetes/receiver.ts).
 */
const MIN_MS_BETWEEN_REPORTS = 10_000;

/** A reading of usage, with what an event needs. */
export interface UsageReading {
  readonly usage: number;
  /** The highest usage since the last reading, where it is known to be a new peak. */
  readonly newPeak?: number | undefined;
  /** `null` without a limit. */
  readonly limit: number | null;
  readonly source: Source;
}

interface Crossing {
  readonly direction: "above" | "below";
  readonly threshold: number;
  readonly usage: number;
  readonly limit: number | null;
  readonly source: Source;
}

export interface ReportedCrossing extends Crossing {
  /** Crossings between the last report and this one. */
  readonly suppressed: number;
}

/**
 * A crossing is reported immediately unless one in the same direction was reported in the last ten seconds: then the last one is
 * reported when they are over, with the number of the others. Each threshold has its own state, so that crossings of one never delay
 * those of another.
 */
export class Threshold {
  isAbove = false;
  readonly #reportedAt = { above: -Infinity, below: -Infinity };
  #latest: Crossing | undefined;
  #unreported = 0;

  /** @param bytes changes with the limit for a percentage of it. */
  constructor(public bytes: number) {}

  /** When the crossings that are held back are due; `Infinity` without any. */
  get dueAt(): number {
    return this.#latest
      ? this.#reportedAt[this.#latest.direction] + MIN_MS_BETWEEN_REPORTS
      : Infinity;
  }

  /** Whether usage is below the threshold, but not yet far enough: no notification of the kernel will show that it is. */
  isInHysteresis(usage: number): boolean {
    return this.isAbove && usage < this.bytes;
  }

  /** The crossing upwards that is to be reported now. */
  rise(reading: UsageReading, now: number): ReportedCrossing | undefined {
    const highest = Math.max(reading.usage, reading.newPeak ?? 0);
    if (this.isAbove || highest < this.bytes) return undefined;
    this.isAbove = true;
    const usage = reading.usage >= this.bytes ? reading.usage : highest;
    return this.#crossed("above", { ...reading, usage }, now);
  }

  /** The crossing downwards that is to be reported now. */
  fall(reading: UsageReading, now: number): ReportedCrossing | undefined {
    if (!this.isAbove || reading.usage >= this.bytes * (1 - HYSTERESIS)) return undefined;
    this.isAbove = false;
    return this.#crossed("below", reading, now);
  }

  /** The last of the crossings that were held back, if it is due. @param isLast there is no later report. */
  takeDue(now: number, isLast = false): ReportedCrossing | undefined {
    const latest = this.#latest;
    if (latest === undefined || (!isLast && now < this.dueAt)) return undefined;
    return this.#report(latest, this.#unreported - 1, now);
  }

  #crossed(
    direction: Crossing["direction"],
    { usage, limit, source }: UsageReading,
    now: number,
  ): ReportedCrossing | undefined {
    const crossing = { direction, threshold: this.bytes, usage, limit, source };
    if (now >= this.#reportedAt[direction] + MIN_MS_BETWEEN_REPORTS) {
      return this.#report(crossing, this.#unreported, now);
    }
    this.#latest = crossing;
    this.#unreported += 1;
    return undefined;
  }

  #report(crossing: Crossing, suppressed: number, now: number): ReportedCrossing {
    this.#reportedAt[crossing.direction] = now;
    this.#latest = undefined;
    this.#unreported = 0;
    return { ...crossing, suppressed };
  }
}
