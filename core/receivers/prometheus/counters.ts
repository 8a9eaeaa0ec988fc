/** Counters of bounded size, as samples of a scrape. Pure. */

import type { HistogramSample, Sample } from "./text.ts";

/** Counts by label set. The known ones appear as 0 from the start, so that the first count is an increase. */
export class LabelledCounts {
  readonly #counts: Map<string, bigint>;

  /** @param known each as `labels` of text.ts writes it. */
  constructor(known: readonly string[]) {
    this.#counts = new Map(known.map((labels) => [labels, 0n]));
  }

  add(labels: string): void {
    this.#counts.set(labels, (this.#counts.get(labels) ?? 0n) + 1n);
  }

  samples(): Sample[] {
    return [...this.#counts].map(([labels, value]) => ({ labels, value }));
  }
}

/** Name under which the counts of dropped names are summed up, so that the sum over all names never falls. */
export const OTHER = "other";

/**
 * Counts by name, of which there may be any number. Beyond the bound the name that was counted longest ago is dropped; when it is
 * counted again it starts at zero, like a series that had ended.
 */
export class CappedCounts {
  readonly #counts = new Map<string, bigint>();
  #other = 0n;

  /**
   * @param maxNames besides {@link OTHER}.
   * @param isProtected names that are not dropped; at most `maxNames - 1` of them.
   */
  constructor(
    private readonly maxNames: number,
    private readonly isProtected: (name: string) => boolean = () => false,
  ) {}

  add(name: string): void {
    if (name === OTHER) return void (this.#other += 1n);
    const count = this.#counts.get(name) ?? 0n;
    this.#counts.delete(name);
    if (this.#counts.size >= this.maxNames) this.#dropOldest();
    this.#counts.set(name, count + 1n);
  }

  /** With {@link OTHER}, once a name was dropped. */
  *entries(): Iterable<readonly [name: string, count: bigint]> {
    yield* this.#counts;
    if (this.#other > 0n) yield [OTHER, this.#other];
  }

  #dropOldest(): void {
    for (const [name, count] of this.#counts) {
      if (this.isProtected(name)) continue;
      this.#counts.delete(name);
      this.#other += count;
      return;
    }
  }
}

/**
 * Seconds. A kill starts after 0.05 to 2 ms (docs/performance.md) and ends after 3 to 30 ms, or after seconds with a grace
 * period.
 */
// deno-fmt-ignore
const LATENCY_BUCKETS: readonly number[] = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

export class Histogram {
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds upper bounds of the buckets, ascending, without the infinite one. */
  constructor(private readonly bounds = LATENCY_BUCKETS) {
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  /** Ignores a value that is not finite. */
  observe(value: number): void {
    if (!Number.isFinite(value)) return;
    const at = this.bounds.findIndex((bound) => value <= bound);
    this.#counts[at < 0 ? this.bounds.length : at]! += 1;
    this.#sum += value;
  }

  sample(labels: string): HistogramSample {
    return { labels, bounds: this.bounds, counts: [...this.#counts], sum: this.#sum };
  }
}
