/** A FIFO queue with a bound. An item that does not fit is dropped and counted, never waited for. Pure. */

export interface BoundedQueueOptions<T> {
  /** Items. */
  readonly capacity: number;
  /** Which item makes room in a full queue: the one at the head, or the one that arrives. */
  readonly drop: "oldest" | "newest";
  /** With `drop: "oldest"`: items that are dropped before the head. */
  dropFirst?(item: T): boolean;
  /**
   * Which items wait for each other. The group that had its turn longest ago is next, and the largest one makes room: however many items
   * one has, those of another do not wait for all of them.
   */
  group?(item: T): string;
  /** Items with a bound of their own: they make room for each other, never for the others. */
  readonly reserved?: { readonly capacity: number; has(item: T): boolean };
  /** Called for each item that is dropped. */
  onDrop?(item: T): void;
}

/** Bounds the memory for names of groups. */
const MAX_REMEMBERED_GROUPS = 1000;

export class BoundedQueue<T> {
  readonly #items: T[] = [];
  /** The last turn of each group, the earliest first. */
  readonly #turns = new Map<string, number>();
  #turn = 0;
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
    const { drop, capacity, reserved } = this.options;
    const isReserved = this.#isReserved(item);
    const isFull = isReserved
      ? this.#reserved >= reserved!.capacity
      : this.#items.length - this.#reserved >= capacity;
    if (isFull) {
      if (drop === "newest") {
        this.countDropped(item);
        return false;
      }
      this.countDropped(this.#removeAt(this.#leastNeeded(isReserved))!);
    }
    this.#add(item);
    return !isFull;
  }

  shift(): T | undefined {
    const { group } = this.options;
    if (group === undefined) return this.#removeAt(0);
    const turns = this.#items.map((item) => this.#turns.get(group(item)) ?? -1);
    const next = turns.reduce((best, turn, at) => turn < turns[best]! ? at : best, 0);
    const item = this.#removeAt(next);
    if (item !== undefined) this.#hadTurn(group(item));
    return item;
  }

  /** Appends an item that {@link shift} returned. It always fits, so the queue may exceed its capacity by the items in flight. */
  putBack(item: T): void {
    this.#add(item);
  }

  /** The same, as the next one. */
  putFirst(item: T): void {
    this.#items.unshift(item);
    this.#turns.delete(this.options.group?.(item) ?? "");
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

  #leastNeeded(isReserved: boolean): number {
    const { dropFirst, group } = this.options;
    const isOfKind = (each: T) => this.#isReserved(each) === isReserved;
    const largest = group && mostFrequent(this.#items.filter(isOfKind).map(group));
    const isCandidate = (each: T) => isOfKind(each) && (!group || group(each) === largest);
    const first = dropFirst ? this.#items.findIndex((e) => isCandidate(e) && dropFirst(e)) : -1;
    return first >= 0 ? first : this.#items.findIndex(isCandidate);
  }

  #hadTurn(name: string): void {
    this.#turns.delete(name);
    this.#turns.set(name, this.#turn++);
    const [earliest] = this.#turns.keys();
    if (this.#turns.size > MAX_REMEMBERED_GROUPS) this.#turns.delete(earliest!);
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

/** `undefined` of none. */
function mostFrequent(names: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  let most: string | undefined;
  for (const [name, count] of counts) {
    if (most === undefined || count > counts.get(most)!) most = name;
  }
  return most;
}
