/** How often the same is reported of one cgroup. Pure; times are `performance.now()`. */

/** An OOM loop and a thrashing cgroup raise counters tens to hundreds of times a second. */
const MIN_MS_BETWEEN_REPORTS = 1000;

/**
 * A count that is reported at most once a second: the first rise immediately, those that follow in the next report. The counts of
 * all reports add up to everything that was added.
 */
export class RateLimitedCount {
  #unreported = 0n;
  #unreportedSince = Infinity;
  #reportedAt = -Infinity;

  /** When the first of the unreported ones was added; `Infinity` without one. */
  get unreportedSince(): number {
    return this.#unreportedSince;
  }

  /** When the next report is due; `Infinity` when there is nothing to report. */
  get dueAt(): number {
    return this.#unreported > 0n ? this.#reportedAt + MIN_MS_BETWEEN_REPORTS : Infinity;
  }

  /** A counter that was reset has not risen: 0 or less is ignored. */
  add(count: bigint, now: number): void {
    if (count <= 0n) return;
    if (this.#unreported === 0n) this.#unreportedSince = now;
    this.#unreported += count;
  }

  /** The count to report now, 0 when none is due. @param isLast there is no later report: whatever is left is due. */
  take(now: number, isLast = false): bigint {
    if (!isLast && now < this.dueAt) return 0n;
    const count = this.#unreported;
    if (count > 0n) this.#reportedAt = now;
    this.#unreported = 0n;
    this.#unreportedSince = Infinity;
    return count;
  }
}
