/** The checks that a guard's main thread repeats, on one timer: at rest it wakes up every 10 s. */

export interface PeriodicCheck {
  run(): void;
  /** Milliseconds from one run to the next; asked again after each run of any check, and soon after {@link PeriodicChecks.wake}. */
  interval(): number;
}

/** The shortest interval, and how soon after `wake` the intervals are asked (milliseconds). */
export const MIN_MS_BETWEEN_CHECKS = 200;
/** A timer may be early by less than a millisecond. */
const MAX_MS_EARLY = 2;
/** A check that is due within this share of its interval shares the wake-up of another: one wake-up costs more than most checks. */
const MAX_SHARE_EARLY = 1 / 20;

export class PeriodicChecks {
  readonly #checks: readonly { readonly check: PeriodicCheck; lastAt: number }[];
  #timer: { readonly id: ReturnType<typeof setTimeout>; readonly at: number } | undefined;
  #isStopped = false;

  /** @param onError gets what a check throws: in a timer it would end the process with everything still changed. */
  constructor(
    checks: readonly PeriodicCheck[],
    private readonly onError: (error: unknown) => void,
  ) {
    const lastAt = performance.now();
    this.#checks = checks.map((check) => ({ check, lastAt }));
    this.#schedule(lastAt);
  }

  /** Something has happened, so that intervals may be shorter. Cheap, also when it is called often. */
  readonly wake = (): void => {
    if (!this.#isStopped) this.#setTimer(performance.now() + MIN_MS_BETWEEN_CHECKS);
  };

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer?.id);
  }

  #run(): void {
    this.#timer = undefined;
    const now = performance.now();
    try {
      for (const each of this.#checks) {
        const interval = each.check.interval();
        const early = Math.max(MAX_MS_EARLY, interval * MAX_SHARE_EARLY);
        if (each.lastAt + interval > now + early) continue;
        each.lastAt = now;
        each.check.run();
      }
    } catch (error) {
      this.onError(error);
    }
    if (!this.#isStopped) this.#schedule(now);
  }

  #schedule(now: number): void {
    let next = Infinity;
    for (const { check, lastAt } of this.#checks) next = Math.min(next, lastAt + check.interval());
    this.#setTimer(Math.max(next, now + MIN_MS_BETWEEN_CHECKS));
  }

  #setTimer(at: number): void {
    if (this.#timer && this.#timer.at <= at) return;
    clearTimeout(this.#timer?.id);
    const id = setTimeout(() => this.#run(), at - performance.now());
    this.#timer = { id, at };
  }
}
