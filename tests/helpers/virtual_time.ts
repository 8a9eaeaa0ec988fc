/** Time that passes only when a test lets it: `performance.now()` and the timers of the code under test. */

interface Timer {
  readonly at: number;
  run(): void;
}

/** Ids of real timers are smaller. */
const FIRST_ID = 1_000_000_000;

/** From its construction on until it is disposed of. Timers that were started before stay real. */
export class VirtualTime implements Disposable {
  readonly #real = { setTimeout, clearTimeout, now: performance.now };
  readonly #timers = new Map<number, Timer>();
  #now = 0;
  #lastId = FIRST_ID;

  /**
   * @param settle resolves when the code under test only waits for timers.
   *   `turn` is one of the real event loop, in which I/O happens.
   */
  constructor(private readonly settle: (turn: () => Promise<void>) => Promise<void>) {
    performance.now = () => this.#now;
    const start = (run: () => void, ms = 0) => {
      this.#timers.set(++this.#lastId, { at: this.#now + Math.max(0, ms), run });
      return this.#lastId;
    };
    globalThis.setTimeout = start as typeof setTimeout;
    globalThis.clearTimeout = (id) => {
      if (!this.#timers.delete(Number(id))) this.#real.clearTimeout.call(globalThis, id);
    };
  }

  /** Runs all timers that are due until `ms`, each at its time. */
  async advanceTo(ms: number): Promise<void> {
    await this.#settle();
    for (let next; (next = this.#nextDue(ms)) !== undefined;) {
      const [id, { at, run }] = next;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, at);
      run();
      await this.#settle();
    }
    this.#now = ms;
  }

  #settle(): Promise<void> {
    return this.settle(() =>
      new Promise((resolve) => this.#real.setTimeout.call(globalThis, resolve, 0))
    );
  }

  #nextDue(ms: number): [number, Timer] | undefined {
    return [...this.#timers].filter(([, { at }]) => at <= ms).sort(([, a], [, b]) =>
      a.at - b.at
    )[0];
  }

  [Symbol.dispose](): void {
    performance.now = this.#real.now;
    globalThis.setTimeout = this.#real.setTimeout;
    globalThis.clearTimeout = this.#real.clearTimeout;
  }
}
