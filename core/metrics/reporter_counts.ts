/** How those fare who are told of events. */

import type { Reporter, ReporterCounts } from "../report/reporter.ts";
import { FAMILIES } from "./families.ts";
import { type Family, labels } from "./text.ts";

export type Counted = Pick<Reporter, "name" | "counts">;

const NOTHING: ReporterCounts = { waiting: 0, delivered: 0, dropped: 0, failed: 0 };

/**
 * Families of all of them by name. Two webhooks are one series; which of them it was is in the log. What those have counted
 * that are there no longer, since the configuration was read anew, stays in the sums.
 */
export function createReporterFamilies(reporters: () => Iterable<Counted>): () => Family[] {
  const former = new Map<string, ReporterCounts>();
  let last: ReadonlySet<Counted> = new Set();

  return () => {
    const now = new Set(reporters());
    for (const gone of last.difference(now)) {
      const counts = { ...gone.counts(), waiting: 0 };
      former.set(gone.name, sum(former.get(gone.name) ?? NOTHING, counts));
    }
    last = now;
    const sums = new Map(former);
    for (const each of now) sums.set(each.name, sum(sums.get(each.name) ?? NOTHING, each.counts()));
    return (["waiting", "delivered", "dropped", "failed"] as const).map((kind) => ({
      ...FAMILIES[kind],
      samples: [...sums].map(([reporter, counts]) => ({
        labels: labels({ reporter }),
        value: counts[kind],
      })),
    }));
  };
}

const sum = (a: ReporterCounts, b: ReporterCounts): ReporterCounts => ({
  waiting: a.waiting + b.waiting,
  delivered: a.delivered + b.delivered,
  dropped: a.dropped + b.dropped,
  failed: a.failed + b.failed,
});
