/** How long to wait before the next try, and the waiting. */

import { delay } from "../timing.ts";
import type { ReceiverCounts } from "./receiver.ts";

/** After the first failure (milliseconds); doubled with each, up to the longest. */
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;

/**
 * @param failures in a row.
 * @param random at least 0, less than 1: jitter, so that a thousand nodes do not all come back at once.
 * @param asked milliseconds that the other side asked for.
 */
export function backoff(failures: number, random: number, asked = 0): number {
  const pause = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 10));
  return Math.min(LONGEST_MS, Math.max(asked, pause * (0.5 + random / 2)));
}

/*
 * A bounded queue to a receiver that may be away: tried again until it is delivered, or until there is no more room for it. One
 * that is refused again and again must not hold up those behind it: it goes to the back, and is dropped when it alone is refused.
 */

/** What came of one try. `later`: the receiver may take it another time; `never`: it will not. */
export type Attempt =
  | { readonly is: "done" }
  /** @property after milliseconds that the receiver asked for. */
  | { readonly is: "later"; readonly why: string; readonly after?: number }
  | { readonly is: "never"; readonly why: string };

export interface Delivery<T> {
  /** Queued; where there is no room the oldest that waits is dropped, and that is counted and told. */
  send(item: T): void;
  counts(): ReceiverCounts;
  /** Tries what is left for a while; what is left then is dropped, and told. */
  close(): Promise<void>;
}

export interface DeliveryOptions<T> {
  /** For talk: "report to http://…". */
  readonly what: string;
  /** What it throws counts as `later`. */
  deliver(item: T, ending: AbortSignal): Promise<Attempt>;
  /** Told of the first failure of each kind in a row, of the end of an outage, and of what was dropped. */
  warn(line: string): void;
  /** Told of an item that was given up while others were delivered. */
  givenUp?(item: T): void;
  /** One after the other at any price: for a receiver that cannot dislike one of them alone. */
  readonly byBadnessNow?: true;
  /** Items that may wait. */
  readonly most?: number;
  /** Milliseconds for what is left in the end. */
  readonly closeWithin?: number;
  /** For tests: at least 0, less than 1. */
  readonly random?: () => number;
  /** For tests: resolves after so many milliseconds, or once `ending` is aborted. */
  readonly sleep?: (ms: number, ending: AbortSignal) => Promise<void>;
}

const MAX_WAITING = 1000;
const CLOSE_WITHIN_MS = 5000;
/** Reasons that were told in an outage; a hostile receiver can make up as many as it likes. */
const MAX_REASONS = 5;
/** Failed tries in a row before the others have their turn: half a minute or so. */
const TRIES_IN_A_ROW = 5;

interface Entry<T> {
  readonly item: T;
  /** In the order in which they came. */
  readonly number: number;
  /** In this turn. */
  failed: number;
  /** In all turns. */
  failedEver: number;
  /** Of all, when it failed first. */
  sentBefore: number | undefined;
  /** When it went to the back: the number of the last one then. */
  behind: number;
}

export function openDelivery<T>(options: DeliveryOptions<T>): Delivery<T> {
  const { what, warn, most = MAX_WAITING, closeWithin = CLOSE_WITHIN_MS } = options;
  const { random = Math.random, sleep = delay } = options;
  const fresh: Entry<T>[] = [];
  /** Those that went to the back; each is older than all that are fresh. */
  const again: Entry<T>[] = [];
  let sent = 0;
  const ending = new AbortController();
  let working: Promise<void> | undefined;
  let underway = 0;
  const count = { sent: 0, dropped: 0, failed: 0 };
  /** Since the last success. */
  let failures = 0;
  let droppedSince = 0;
  const reasons = new Set<string>();

  const waiting = () => fresh.length + again.length;

  const next = () => {
    const [first] = again;
    const isDue = first !== undefined && (fresh[0] === undefined || fresh[0].number > first.behind);
    return isDue ? again.shift() : fresh.shift();
  };

  const attempt = async (item: T): Promise<Attempt> => {
    try {
      return await options.deliver(item, ending.signal);
    } catch (error) {
      return { is: "later", why: error instanceof Error ? error.message : String(error) };
    }
  };

  const warnOnce = (why: string) => {
    if (reasons.size >= MAX_REASONS || reasons.has(why)) return;
    reasons.add(why);
    warn(`cannot ${what}: ${why}`);
  };

  const drop = (items: number) => {
    count.dropped += items;
    droppedSince += items;
  };

  const recovered = () => {
    const dropped = droppedSince > 0 ? `; ${reports(droppedSince)} dropped` : "";
    if (failures > 0) warn(`can ${what} again, after ${failures} failed tries${dropped}`);
    // Of a receiver that is too slow it is known in the end only.
    else if (waiting() > 0) return;
    else if (droppedSince > 0) warn(`could not ${what} fast enough${dropped}`);
    failures = 0;
    droppedSince = 0;
    reasons.clear();
  };

  /** Whether it is to be dropped, or to stand behind the others; else its turn goes on. */
  const afterFailure = (entry: Entry<T>): "drop" | "back" | undefined => {
    if (options.byBadnessNow || entry.failed < TRIES_IN_A_ROW) return undefined;
    if (count.sent > entry.sentBefore!) return "drop";
    return waiting() > 0 ? "back" : undefined;
  };

  const markSurvived = ({ item, failedEver }: Entry<T>, why: string) => {
    count.dropped += 1;
    warn(
      `could not ${what}: 1 report was dropped after ${failedEver} failed tries, as others were delivered: ${why}`,
    );
    options.givenUp?.(item);
  };

  /** Resolves when it is out of the way. */
  const bring = async (entry: Entry<T>) => {
    entry.failed = 0;
    for (;;) {
      const result = await attempt(entry.item);
      if (result.is === "done") {
        count.sent += 1;
        return recovered();
      }
      count.failed += 1;
      // In the end it is not the receiver that is at fault.
      if (!ending.signal.aborted) warnOnce(result.why);
      if (result.is === "never" || ending.signal.aborted) return drop(1);
      failures += 1;
      entry.failed += 1;
      entry.failedEver += 1;
      entry.sentBefore ??= count.sent;
      if (afterFailure(entry) === "drop") return markSurvived(entry, result.why);
      await sleep(backoff(failures - 1, random(), result.after), ending.signal);
      if (ending.signal.aborted) return drop(1);
      if (afterFailure(entry) !== "back") continue;
      entry.behind = sent;
      again.push(entry);
      return;
    }
  };

  const work = async () => {
    for (let entry = next(); entry !== undefined; entry = next()) {
      underway = 1;
      await bring(entry);
      underway = 0;
    }
    working = undefined;
  };

  return {
    send(item) {
      if (ending.signal.aborted) return drop(1);
      if (waiting() >= most) {
        if (again.shift() === undefined) fresh.shift();
        drop(1);
        warnOnce(`${most} reports are waiting, and the oldest are dropped`);
      }
      sent += 1;
      fresh.push({
        ...{ item, number: sent, failed: 0, failedEver: 0, behind: 0 },
        sentBefore: undefined,
      });
      working ??= work();
    },
    counts: () => ({ pending: waiting() + underway, ...count }),
    async close() {
      const end = () => {
        drop(waiting());
        fresh.length = again.length = 0;
        ending.abort(new Error("the end has come"));
      };
      const timer = setTimeout(end, closeWithin);
      await working;
      clearTimeout(timer);
      ending.abort();
      if (droppedSince > 0) warn(`could not ${what}: ${reports(droppedSince)} dropped`);
      droppedSince = 0;
    },
  };
}

const reports = (count: number) => count === 1 ? "1 report was" : `${count} reports were`;
