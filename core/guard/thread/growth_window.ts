/** How much each cgroup has grown within about a minute. */

/** Milliseconds. A slow leak shows only over a long time; what has grown earlier than that is no longer what fills memory. */
const WINDOW_MS = 60_000;
const MS_BETWEEN_KEPT = 10_000;

interface Reading {
  /** Milliseconds. */
  readonly at: number;
  /** Bytes by path. */
  readonly held: ReadonlyMap<string, number>;
}

export class GrowthWindow {
  /** The oldest first. */
  readonly #kept: Reading[] = [];

  /** Whether {@link add} would keep a reading. */
  isDue(now: number): boolean {
    return now - (this.#kept.at(-1)?.at ?? -Infinity) >= MS_BETWEEN_KEPT;
  }

  add(now: number, held: ReadonlyMap<string, number>): void {
    if (!this.isDue(now)) return;
    this.#kept.push({ at: now, held });
    while (this.#kept.length > 1 && this.#kept[1]!.at <= now - WINDOW_MS) this.#kept.shift();
  }

  /**
   * From the lowest reading that is kept: a cgroup that was removed and made again begins at zero, also where it is smaller than before.
   *
   * @returns bytes; all of a cgroup that one of the readings did not have; `undefined` without a reading to compare with.
   */
  of(path: string, held: number): number | undefined {
    if (this.#kept.length === 0) return undefined;
    const lowest = Math.min(...this.#kept.map((reading) => reading.held.get(path) ?? 0));
    return held - lowest;
  }
}
