/** How much each cgroup has grown since a reading of about a minute ago. */

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

  /** @returns bytes, negative where it has shrunk; all of a new cgroup; `undefined` without a reading to compare with. */
  of(path: string, held: number): number | undefined {
    const [oldest] = this.#kept;
    return oldest && held - (oldest.held.get(path) ?? 0);
  }
}
