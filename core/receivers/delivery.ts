/**
 * Delivery to a receiver that may be unreachable: each item is retried with exponential backoff until it is delivered, or until
 * a full queue drops it. An item that fails while others succeed moves to the back of the queue, so that one item the receiver
 * rejects does not block the rest. It is dropped when it fails again, unless it has priority (`hasPriority`).
 *
 * Items with priority are delivered independently of the others, over a connection of their own: they wait neither for the queue nor
 * for the attempt or the backoff of another item. Of several cgroups each gets its turn.
 */

import { BoundedQueue, type BoundedQueueOptions } from "../bounded_queue.ts";
import { errorText } from "../errors.ts";
import { type EventType, hasPriority } from "../events/event.ts";
import { delay } from "../timing.ts";
import {
  DropCounts,
  MAX_QUEUED_PRIORITY_EVENTS,
  totalOf,
  type TypeCounts,
  typesText,
} from "./dropped_events.ts";
import type { ReceiverCounts } from "./receiver.ts";

const FIRST_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 30_000;
const MAX_QUEUED_ITEMS = 1000;
const MAX_CLOSE_MS = 5000;
/** Reasons reported during one outage; a hostile receiver can invent any number of them. */
const MAX_REPORTED_REASONS = 5;
/** Failed attempts in a row before the next item is tried: about half a minute with backoff. */
const ATTEMPTS_PER_TURN = 5;

/**
 * Milliseconds until the next attempt: doubled with each failure, up to {@link MAX_BACKOFF_MS}.
 *
 * @param failures in a row before this one.
 * @param random from 0 to below 1: jitter, so that a thousand nodes do not retry in step.
 * @param requestedMs what the receiver asked for.
 */
export function backoff(failures: number, random: number, requestedMs = 0): number {
  const pause = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(failures, 10));
  return Math.min(MAX_BACKOFF_MS, Math.max(requestedMs, pause * (0.5 + random / 2)));
}

/** Milliseconds that a `Retry-After` header asks for: seconds or a date (RFC 9110, 10.2.3). */
export function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get("retry-after")?.trim() ?? "";
  if (/^\d{1,6}$/.test(text)) return 1000 * Number(text);
  const ms = text.endsWith(" GMT") ? Date.parse(text) - Date.now() : NaN;
  return ms > 0 ? ms : undefined;
}

/** The result of one attempt. `later`: the receiver may accept the item another time; `never`: it will not. */
export type Attempt =
  | { readonly is: "done" }
  /** @property after milliseconds that the receiver asked for. */
  | Postponed
  | { readonly is: "never"; readonly why: string };

interface Postponed {
  readonly is: "later";
  readonly why: string;
  readonly after?: number | undefined;
}

export interface DeliveryOptions<T> {
  /** Verb and object for messages: "report to http://…". */
  readonly what: string;
  /** An exception counts as `later`. */
  deliver(item: T, ending: AbortSignal): Promise<Attempt>;
  /** Called for the first failure of each kind in an outage, for the end of the outage, and for dropped items. */
  warn(line: string): void;
  /** Called for an item that was dropped because it failed while others succeeded. */
  onRejected?(item: T): void;
  /**
   * Keeps the order of all items: for a receiver that cannot reject single items. Those with priority do not go first; their room in
   * the queue is their own.
   */
  readonly keepsOrder?: true;
  readonly maxQueued?: number;
  /** The same for items with priority. */
  readonly maxQueuedPriority?: number;
  /** Milliseconds that `close` waits for the queued items. */
  readonly closeWithin?: number;
  /** For tests: from 0 to below 1. */
  readonly random?: () => number;
  /** For tests: resolves after this many milliseconds, or once `ending` is aborted. */
  readonly sleep?: (ms: number, ending: AbortSignal) => Promise<void>;
}

interface Entry<T> {
  readonly item: T;
  readonly type: EventType;
  readonly isPriority: boolean;
  readonly cgroup: string;
  failedAttempts: number;
  /** Items delivered before this one failed first. */
  sentBeforeFailure: number | undefined;
}

/** Items that wait for each other, and not for those of another lane. */
interface Lane<T> {
  readonly hasPriority: boolean;
  readonly capacity: number;
  readonly queue: BoundedQueue<Entry<T>>;
  sent: number;
  working: Promise<void> | undefined;
  inFlight: number;
  /** Failed attempts since its last success. */
  failures: number;
}

export class Delivery<T> {
  readonly #options: DeliveryOptions<T>;
  /** The same lane where the order of all items is kept. */
  readonly #lanes: { readonly priority: Lane<T>; readonly other: Lane<T> };
  readonly #drops = new DropCounts();
  readonly #ending = new AbortController();
  readonly #reportedReasons = new Set<string>();
  #sent = 0;
  #failed = 0;
  /** Failed attempts since the last success in any lane. */
  #failures = 0;

  constructor(options: DeliveryOptions<T>) {
    this.#options = options;
    const { maxQueued = MAX_QUEUED_ITEMS, maxQueuedPriority = MAX_QUEUED_PRIORITY_EVENTS } =
      options;
    if (options.keepsOrder) {
      const has = ({ isPriority }: Entry<T>) => isPriority;
      const lane = this.#makeLane(false, maxQueued, { capacity: maxQueuedPriority, has });
      this.#lanes = { priority: lane, other: lane };
    } else {
      const priority = this.#makeLane(true, maxQueuedPriority);
      this.#lanes = { priority, other: this.#makeLane(false, maxQueued) };
    }
  }

  #makeLane(
    hasPriority: boolean,
    capacity: number,
    reserved?: BoundedQueueOptions<Entry<T>>["reserved"],
  ): Lane<T> {
    const queue = new BoundedQueue<Entry<T>>({
      capacity,
      drop: "oldest",
      // An item that moved to the back is older than all that were never tried.
      dropFirst: (entry) => entry.failedAttempts > 0,
      onDrop: ({ type }) => this.#drops.add(type),
      // An OOM loop in one cgroup must not delay the kill in another, or drop it.
      ...(reserved ? { reserved } : { group: ({ cgroup }) => cgroup }),
    });
    return { hasPriority, capacity, queue, sent: 0, working: undefined, inFlight: 0, failures: 0 };
  }

  /** A full queue drops its oldest item of the cgroup that has the most. @param cgroup items of one keep their order. */
  send(item: T, type: EventType, isPriority = hasPriority(type), cgroup = ""): void {
    if (this.#ending.signal.aborted) return this.#drops.add(type);
    const lane = isPriority ? this.#lanes.priority : this.#lanes.other;
    const entry = {
      item,
      type,
      isPriority,
      cgroup,
      failedAttempts: 0,
      sentBeforeFailure: undefined,
    };
    if (!lane.queue.push(entry)) {
      this.#warnOnce(`${lane.capacity} reports are waiting, and the oldest are dropped`);
    }
    lane.working ??= this.#work(lane);
  }

  counts(): ReceiverCounts {
    const lanes = this.#allLanes();
    return {
      pending: lanes.reduce((sum, { queue, inFlight }) => sum + queue.size + inFlight, 0),
      sent: this.#sent,
      dropped: totalOf(this.#drops.all),
      failed: this.#failed,
    };
  }

  droppedByType(): TypeCounts {
    return this.#drops.all;
  }

  /** Keeps trying for a bounded time, then drops and reports what is left. */
  async close(): Promise<void> {
    const lanes = this.#allLanes();
    const timer = setTimeout(() => {
      for (const { queue } of lanes) queue.dropAll();
      this.#ending.abort(new Error("oomkit is stopping"));
    }, this.#options.closeWithin ?? MAX_CLOSE_MS);
    await Promise.all(lanes.map(({ working }) => working));
    clearTimeout(timer);
    this.#ending.abort();
    const dropped = this.#drops.takeUnreported();
    if (dropped.size > 0) {
      this.#options.warn(`could not ${this.#options.what}: ${droppedText(dropped)}`);
    }
  }

  #allLanes(): Lane<T>[] {
    return [...new Set(Object.values(this.#lanes))];
  }

  async #work(lane: Lane<T>): Promise<void> {
    let entry;
    while ((entry = lane.queue.shift()) !== undefined) {
      lane.inFlight = 1;
      await this.#deliver(entry, lane);
      lane.inFlight = 0;
    }
    lane.working = undefined;
  }

  /** Resolves when the entry was delivered, was dropped, or is in the queue again. */
  async #deliver(entry: Entry<T>, lane: Lane<T>): Promise<void> {
    const { random = Math.random, sleep = delay, keepsOrder = false } = this.#options;
    const { signal } = this.#ending;
    for (let attempts = 1;; attempts++) {
      const failure = await this.#attempt(entry, lane);
      if (failure === undefined) return;
      // An item that is kept although others were delivered must not hold up the rest for a whole turn again.
      const isTurnOver = attempts >= ATTEMPTS_PER_TURN ||
        (lane.hasPriority && entry.failedAttempts > ATTEMPTS_PER_TURN);
      const hasPassed = lane.sent > entry.sentBeforeFailure!;
      let after = failure.after ?? 0;
      let isInQueue = false;
      if (isTurnOver && !keepsOrder) {
        if (hasPassed && !lane.hasPriority) return this.#reject(entry, failure.why);
        const next = lane.queue.shift();
        if (next !== undefined) {
          lane.queue.putBack(entry);
          const nextFailure = await this.#attempt(next, lane);
          // The receiver rejects only this entry: it stays behind the others.
          if (nextFailure === undefined) return;
          // The receiver fails: the order stays as it was. A full queue may have dropped the entry meanwhile.
          after = Math.max(after, nextFailure.after ?? 0);
          isInQueue = !lane.queue.remove(entry);
          lane.queue.putFirst(next);
        }
      }
      await sleep(backoff(lane.failures - 1, random(), after), signal);
      if (isInQueue) return;
      if (signal.aborted) return this.#drops.add(entry.type);
    }
  }

  /** `undefined` when the entry was delivered or dropped. */
  async #attempt(entry: Entry<T>, lane: Lane<T>): Promise<Postponed | undefined> {
    const { signal } = this.#ending;
    let result: Attempt;
    try {
      result = await this.#options.deliver(entry.item, signal);
    } catch (error) {
      result = { is: "later", why: errorText(error) };
    }
    if (result.is === "done") {
      this.#sent += 1;
      lane.sent += 1;
      lane.failures = 0;
      this.#reportRecovery(lane);
      return undefined;
    }
    this.#failed += 1;
    // A failure during shutdown may be caused by the shutdown.
    if (!signal.aborted) this.#warnOnce(result.why);
    if (result.is === "never" || signal.aborted) {
      this.#drops.add(entry.type);
      return undefined;
    }
    this.#failures += 1;
    lane.failures += 1;
    entry.failedAttempts += 1;
    entry.sentBeforeFailure ??= lane.sent;
    return result;
  }

  #reject({ item, type, failedAttempts }: Entry<T>, why: string): void {
    this.#drops.add(type, 1, true);
    this.#options.warn(
      `could not ${this.#options.what}: 1 report was dropped (1 ${type}) after ${failedAttempts} failed attempts, while others were delivered: ${why}`,
    );
    this.#options.onRejected?.(item);
  }

  #warnOnce(why: string): void {
    const reported = this.#reportedReasons;
    if (reported.size >= MAX_REPORTED_REASONS || reported.has(why)) return;
    reported.add(why);
    this.#options.warn(`cannot ${this.#options.what}: ${why}`);
  }

  #reportRecovery({ queue }: Lane<T>): void {
    const { what, warn } = this.#options;
    // A receiver that never failed but is too slow is reported once the queue is empty.
    if (this.#failures === 0 && queue.size > 0) return;
    const dropped = this.#drops.takeUnreported();
    if (this.#failures > 0) {
      const also = dropped.size > 0 ? `; ${droppedText(dropped)}` : "";
      warn(`can ${what} again, after ${this.#failures} failed attempts${also}`);
    } else if (dropped.size > 0) warn(`could not ${what} fast enough; ${droppedText(dropped)}`);
    this.#failures = 0;
    this.#reportedReasons.clear();
  }
}

function droppedText(dropped: TypeCounts): string {
  const count = totalOf(dropped);
  const reports = count === 1 ? "1 report was" : `${count} reports were`;
  return `${reports} dropped (${typesText(dropped)})`;
}
