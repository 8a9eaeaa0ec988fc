/** A FIFO queue with a bound. An item that does not fit is dropped and counted, never waited for. Pure. */

export interface BoundedQueueOptions<T> {
  /** Items. */
  readonly capacity: number;
  /** Which item makes room in a full queue: the one at the head, or the one that arrives. */
  readonly drop: "oldest" | "newest";
  /** With `drop: "oldest"`: items that are dropped before the head. */
  dropFirst?(item: T): boolean;
  /** Items with a bound of their own: they make room for each other, never for the others. */
  readonly reserved?: { readonly capacity: number; has(item: T): boolean };
  /** Called for each item that is dropped. */
  onDrop?(item: T): void;
}

export class BoundedQueue<T> {
  readonly #items: T[] = [];
  #reserved = 0;
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
    const { drop, capacity, reserved, dropFirst } = this.options;
    const isReserved = this.#isReserved(item);
    const isFull = isReserved
      ? this.#reserved >= reserved!.capacity
      : this.#items.length - this.#reserved >= capacity;
    if (isFull) {
      if (drop === "newest") {
        this.countDropped(item);
        return false;
      }
      const isCandidate = (each: T) => this.#isReserved(each) === isReserved;
      const first = dropFirst ? this.#items.findIndex((e) => isCandidate(e) && dropFirst(e)) : -1;
      this.countDropped(this.#removeAt(first >= 0 ? first : this.#items.findIndex(isCandidate))!);
    }
    this.#add(item);
    return !isFull;
  }

  shift(): T | undefined {
    return this.#removeAt(0);
  }

  /** The item with the lowest rank, of several the oldest. */
  takeLowest(rank: (item: T) => number): T | undefined {
    let lowest = 0;
    const ranks = this.#items.map(rank);
    ranks.forEach((each, at) => lowest = each < ranks[lowest]! ? at : lowest);
    return this.#removeAt(lowest);
  }

  /** Appends an item that {@link shift} returned. It always fits, so the queue may exceed its capacity by the items in flight. */
  putBack(item: T): void {
    this.#add(item);
  }

  /** The same, at the head. */
  putFirst(item: T): void {
    this.#items.unshift(item);
    if (this.#isReserved(item)) this.#reserved += 1;
  }

  /** Takes an item out; false when it is not in the queue any more. */
  remove(item: T): boolean {
    const at = this.#items.indexOf(item);
    if (at >= 0) this.#removeAt(at);
    return at >= 0;
  }

  /** Counts an item that is not in the queue, and that nothing received. */
  countDropped(item: T): void {
    this.#dropped += 1;
    this.options.onDrop?.(item);
  }

  /** Empties the queue and counts its items as dropped. */
  dropAll(): void {
    for (let item; (item = this.shift()) !== undefined;) this.countDropped(item);
  }

  #isReserved(item: T): boolean {
    return this.options.reserved?.has(item) ?? false;
  }

  #add(item: T): void {
    this.#items.push(item);
    if (this.#isReserved(item)) this.#reserved += 1;
  }

  #removeAt(at: number): T | undefined {
    if (at >= this.#items.length) return undefined;
    // Not splice(0, 1), which is slower on a long array.
    const item = at === 0 ? this.#items.shift()! : this.#items.splice(at, 1)[0]!;
    if (this.#isReserved(item)) this.#reserved -= 1;
    return item;
  }
}
