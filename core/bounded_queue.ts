/** A FIFO queue with a bound. An item that does not fit is dropped and counted, never waited for. Pure. */

export interface BoundedQueueOptions<T> {
  /** Items. */
  readonly capacity: number;
  /** Which item makes room in a full queue: the one at the head, or the one that arrives. */
  readonly drop: "oldest" | "newest";
  /** With `drop: "oldest"`: items that are dropped before the head. */
  dropFirst?(item: T): boolean;
}

export class BoundedQueue<T> {
  readonly #items: T[] = [];
  #dropped = 0;

  constructor(private readonly options: BoundedQueueOptions<T>) {}

  get size(): number {
    return this.#items.length;
  }

  get head(): T | undefined {
    return this.#items[0];
  }

  /** Items dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Returns false when an item was dropped: this one or an older one, see {@link BoundedQueueOptions}. */
  push(item: T): boolean {
    const isFull = this.#items.length >= this.options.capacity;
    if (isFull) {
      this.#dropped += 1;
      if (this.options.drop === "newest") return false;
      const first = this.options.dropFirst ? this.#items.findIndex(this.options.dropFirst) : 0;
      this.#items.splice(Math.max(first, 0), 1);
    }
    this.#items.push(item);
    return !isFull;
  }

  shift(): T | undefined {
    return this.#items.shift();
  }

  /** Appends an item that {@link shift} returned. It always fits, so the queue may exceed its capacity by the items in flight. */
  putBack(item: T): void {
    this.#items.push(item);
  }

  /** Counts an item that {@link shift} returned and that nothing received. */
  countDropped(): void {
    this.#dropped += 1;
  }

  /** Empties the queue and counts its items as dropped. */
  dropAll(): void {
    this.#dropped += this.#items.length;
    this.#items.length = 0;
  }
}
