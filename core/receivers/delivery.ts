/**
 * Delivery to a receiver that may be unreachable: each item is retried with exponential backoff until it is delivered, or until
 * a full queue drops it. An item that fails while others succeed moves to the back of the queue, and is dropped when it
 * fails again, so that one item the receiver rejects does not block the rest.
 */

import { BoundedQueue } from "../bounded_queue.ts";
import { errorText } from "../errors.ts";
import { delay } from "../timing.ts";
import type { ReceiverCounts } from "./receiver.ts";

const FIRST_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 30_000;
const MAX_QUEUED_ITEMS = 1000;
const MAX_CLOSE_MS = 5000;
/** Reasons reported during one outage; a hostile receiver can invent any number of them. */
const MAX_REPORTED_REASONS = 5;
/** Failed attempts in a row before the other items have their turn: about half a minute with backoff. */
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
  | { readonly is: "later"; readonly why: string; readonly after?: number | undefined }
  | { readonly is: "never"; readonly why: string };

export interface DeliveryOptions<T> {
  /** Verb and object for messages: "report to http://…". */
  readonly what: string;
  /** An exception counts as `later`. */
  deliver(item: T, ending: AbortSignal): Promise<Attempt>;
  /** Called for the first failure of each kind in an outage, for the end of the outage, and for dropped items. */
  warn(line: string): void;
  /** Called for an item that was dropped because it failed while others succeeded. */
  onRejected?(item: T): void;
  /** Never moves an item to the back: for a receiver that cannot reject single items. */
  readonly keepsOrder?: true;
  readonly maxQueued?: number;
  /** Milliseconds that `close` waits for the queued items. */
  readonly closeWithin?: number;
  /** For tests: from 0 to below 1. */
  readonly random?: () => number;
  /** For tests: resolves after this many milliseconds, or once `ending` is aborted. */
  readonly sleep?: (ms: number, ending: AbortSignal) => Promise<void>;
}

interface Entry<T> {
  readonly item: T;
  failedAttempts: number;
  /** Items delivered before this one failed first. */
  sentBeforeFailure: number | undefined;
}

export class Delivery<T> {
  readonly #options: DeliveryOptions<T>;
  readonly #queue: BoundedQueue<Entry<T>>;
  readonly #ending = new AbortController();
  readonly #reportedReasons = new Set<string>();
  #working: Promise<void> | undefined;
  #inFlight = 0;
  #sent = 0;
  #failed = 0;
  /** Failed attempts since the last success. */
  #failures = 0;
  #reportedDrops = 0;

  constructor(options: DeliveryOptions<T>) {
    this.#options = options;
    this.#queue = new BoundedQueue({
      capacity: options.maxQueued ?? MAX_QUEUED_ITEMS,
      drop: "oldest",
      // An item that moved to the back is older than all that were never tried.
      dropFirst: (entry) => entry.failedAttempts > 0,
    });
  }

  /** A full queue drops its oldest item. */
  send(item: T): void {
    if (this.#ending.signal.aborted) return this.#queue.countDropped();
    if (!this.#queue.push({ item, failedAttempts: 0, sentBeforeFailure: undefined })) {
      const { maxQueued = MAX_QUEUED_ITEMS } = this.#options;
      this.#warnOnce(`${maxQueued} reports are waiting, and the oldest are dropped`);
    }
    this.#working ??= this.#work();
  }

  counts(): ReceiverCounts {
    return {
      pending: this.#queue.size + this.#inFlight,
      sent: this.#sent,
      dropped: this.#queue.dropped,
      failed: this.#failed,
    };
  }

  /** Keeps trying for a bounded time, then drops and reports what is left. */
  async close(): Promise<void> {
    const timer = setTimeout(() => {
      this.#queue.dropAll();
      this.#ending.abort(new Error("oomkit is stopping"));
    }, this.#options.closeWithin ?? MAX_CLOSE_MS);
    await this.#working;
    clearTimeout(timer);
    this.#ending.abort();
    const dropped = this.#takeUnreportedDrops();
    if (dropped > 0) {
      this.#options.warn(`could not ${this.#options.what}: ${reports(dropped)} dropped`);
    }
  }

  async #work(): Promise<void> {
    let entry;
    while ((entry = this.#queue.shift()) !== undefined) {
      this.#inFlight = 1;
      await this.#deliver(entry);
      this.#inFlight = 0;
    }
    this.#working = undefined;
  }

  /** Resolves when the entry was delivered, was dropped, or is at the back of the queue. */
  async #deliver(entry: Entry<T>): Promise<void> {
    const { random = Math.random, sleep = delay } = this.#options;
    const { signal } = this.#ending;
    for (let attempts = 1;; attempts++) {
      const result = await this.#attempt(entry.item);
      if (result.is === "done") {
        this.#sent += 1;
        return this.#reportRecovery();
      }
      this.#failed += 1;
      // A failure during shutdown may be caused by the shutdown.
      if (!signal.aborted) this.#warnOnce(result.why);
      if (result.is === "never" || signal.aborted) return this.#queue.countDropped();
      this.#failures += 1;
      entry.failedAttempts += 1;
      entry.sentBeforeFailure ??= this.#sent;
      const isTurnOver = attempts >= ATTEMPTS_PER_TURN && !this.#options.keepsOrder;
      if (isTurnOver && this.#sent > entry.sentBeforeFailure) {
        return this.#reject(entry, result.why);
      }
      await sleep(backoff(this.#failures - 1, random(), result.after), signal);
      if (signal.aborted) return this.#queue.countDropped();
      if (isTurnOver && this.#queue.size > 0) return this.#queue.putBack(entry);
    }
  }

  async #attempt(item: T): Promise<Attempt> {
    try {
      return await this.#options.deliver(item, this.#ending.signal);
    } catch (error) {
      return { is: "later", why: errorText(error) };
    }
  }

  #reject({ item, failedAttempts }: Entry<T>, why: string): void {
    this.#queue.countDropped();
    this.#reportedDrops += 1;
    this.#options.warn(
      `could not ${this.#options.what}: 1 report was dropped after ${failedAttempts} failed attempts, while others were delivered: ${why}`,
    );
    this.#options.onRejected?.(item);
  }

  #warnOnce(why: string): void {
    const reported = this.#reportedReasons;
    if (reported.size >= MAX_REPORTED_REASONS || reported.has(why)) return;
    reported.add(why);
    this.#options.warn(`cannot ${this.#options.what}: ${why}`);
  }

  #reportRecovery(): void {
    const { what, warn } = this.#options;
    // A receiver that never failed but is too slow is reported once the queue is empty.
    if (this.#failures === 0 && this.#queue.size > 0) return;
    const count = this.#takeUnreportedDrops();
    const dropped = count > 0 ? `; ${reports(count)} dropped` : "";
    if (this.#failures > 0) {
      warn(`can ${what} again, after ${this.#failures} failed attempts${dropped}`);
    } else if (count > 0) warn(`could not ${what} fast enough${dropped}`);
    this.#failures = 0;
    this.#reportedReasons.clear();
  }

  #takeUnreportedDrops(): number {
    const count = this.#queue.dropped - this.#reportedDrops;
    this.#reportedDrops = this.#queue.dropped;
    return count;
  }
}

const reports = (count: number) => count === 1 ? "1 report was" : `${count} reports were`;
