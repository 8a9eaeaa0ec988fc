/** How those fare who are told of events. */

import type { Receiver, ReceiverCounts } from "../receiver.ts";
import { FAMILIES } from "./families.ts";
import { type Family, labels } from "./text.ts";

export type Counted = Pick<Receiver, "name" | "counts">;

const NOTHING: ReceiverCounts = { pending: 0, sent: 0, dropped: 0, failed: 0 };

/**
 * Families of all of them by name. Two webhooks are one series; which of them it was is in the log. What those have counted
 * that are there no longer, since the configuration was read anew, stays in the sums.
 */
export function createReceiverFamilies(receivers: () => Iterable<Counted>): () => Family[] {
  const former = new Map<string, ReceiverCounts>();
  let last: ReadonlySet<Counted> = new Set();

  return () => {
    const now = new Set(receivers());
    for (const gone of last.difference(now)) {
      const counts = { ...gone.counts(), pending: 0 };
      former.set(gone.name, sum(former.get(gone.name) ?? NOTHING, counts));
    }
    last = now;
    const sums = new Map(former);
    for (const each of now) sums.set(each.name, sum(sums.get(each.name) ?? NOTHING, each.counts()));
    return (["pending", "sent", "dropped", "failed"] as const).map((kind) => ({
      ...FAMILIES[kind],
      samples: [...sums].map(([receiver, counts]) => ({
        labels: labels({ receiver: receiver }),
        value: counts[kind],
      })),
    }));
  };
}

const sum = (a: ReceiverCounts, b: ReceiverCounts): ReceiverCounts => ({
  pending: a.pending + b.pending,
  sent: a.sent + b.sent,
  dropped: a.dropped + b.dropped,
  failed: a.failed + b.failed,
});
