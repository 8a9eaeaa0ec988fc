/** Whether processes have waited for memory for a share of the last seconds, by the totals of PSI. Pure. */

/** `--psi full:10%/10s`. */
export interface PressureCondition {
  readonly kind: "some" | "full";
  /** Of the window, 0 to 1. */
  readonly share: number;
  /** Milliseconds. */
  readonly window: number;
}

interface Sample {
  /** Milliseconds of a monotonic clock. */
  readonly at: number;
  /** Microseconds of stall since boot (kernel, Documentation/accounting/psi.rst). */
  readonly total: number;
}

/** A window has at most this many samples, and is that much longer than asked for at most. */
const SAMPLES_PER_WINDOW = 20;

/** Milliseconds between two samples at most. */
export const pressureInterval = ({ window }: PressureCondition): number =>
  window / SAMPLES_PER_WINDOW;

export class PressureWindow {
  /** Oldest first. */
  #samples: Sample[] = [];

  constructor(private readonly condition: PressureCondition) {}

  /** Keeps one sample of each interval, and one that is as old as the window. */
  add(at: number, total: number): void {
    const last = this.#samples.at(-1);
    if (last && at - last.at < pressureInterval(this.condition)) return;
    this.#samples.push({ at, total });
    const start = this.#samples.findLastIndex((sample) => this.#isBefore(sample, at));
    if (start > 0) this.#samples.splice(0, start);
  }

  /** Whether the share was reached over a whole window. Not before there is one. */
  isReached(at: number, total: number): boolean {
    const start = this.#samples.findLast((sample) => this.#isBefore(sample, at));
    if (start === undefined) return false;
    return (total - start.total) / 1000 >= this.condition.share * (at - start.at);
  }

  /** After a kill another whole window is needed. */
  restart(): void {
    this.#samples = [];
  }

  #isBefore(sample: Sample, at: number): boolean {
    return sample.at <= at - this.condition.window;
  }
}
