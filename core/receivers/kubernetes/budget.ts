/** How many requests a receiver of Kubernetes Events may send: token buckets, by `performance.now()`. */

import { delay } from "../../timing.ts";

/** A bucket of `burst` tokens, into which one more comes every `msPerToken`. */
class TokenBucket {
  #tokens: number;
  #at = performance.now();

  constructor(private readonly burst: number, private readonly msPerToken: number) {
    this.#tokens = burst;
  }

  /** May be taken before it is there: the next one is later for that. */
  take(): void {
    this.#refill();
    this.#tokens -= 1;
  }

  msUntilToken(): number {
    this.#refill();
    return Math.max(0, 1 - this.#tokens) * this.msPerToken;
  }

  get isFull(): boolean {
    this.#refill();
    return this.#tokens >= this.burst;
  }

  #refill(): void {
    const now = performance.now();
    this.#tokens = Math.min(this.burst, this.#tokens + (now - this.#at) / this.msPerToken);
    this.#at = now;
  }
}

/** Of this node: resolves when the next request may be sent, or once `ending` is aborted. */
export function requestBudget(
  burst: number,
  msPerRequest: number,
): (ending: AbortSignal) => Promise<void> {
  const bucket = new TokenBucket(burst, msPerRequest);
  return async (ending) => {
    const ms = bucket.msUntilToken();
    bucket.take();
    if (ms > 0) await delay(ms, ending);
  };
}

/** A node has some hundred pods; those that come and go have full buckets soon, or are forgotten. */
const MAX_OBJECTS = 2000;

/** Of each object, as in client-go's spam filter (tools/record/events_cache.go, EventSourceObjectSpamFilter). */
export class ObjectBudgets {
  /** By object, in the order of their latest request. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(private readonly burst: number, private readonly msPerRequest: number) {}

  msUntilRequest(object: string): number {
    return this.#buckets.get(object)?.msUntilToken() ?? 0;
  }

  take(object: string): void {
    const bucket = this.#buckets.get(object) ?? new TokenBucket(this.burst, this.msPerRequest);
    bucket.take();
    this.#buckets.delete(object);
    this.#buckets.set(object, bucket);
    if (this.#buckets.size > MAX_OBJECTS) this.#forgetOne();
  }

  #forgetOne(): void {
    const full = this.#buckets.entries().find(([, { isFull }]) => isFull)?.[0];
    this.#buckets.delete(full ?? this.#buckets.keys().next().value!);
  }
}
