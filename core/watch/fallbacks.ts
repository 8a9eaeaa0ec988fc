/** Mechanisms that are not available, and what is used instead: reported once for each cause, however many cgroups it affects. */

import type { Body, DegradedCount } from "../events/event.ts";
import { errnoOf, SystemCallError } from "../kernel/libc.ts";
import { reasonOf, shortageOf } from "./triggers.ts";

/** What was requested, what replaces it, and why. */
export interface Fallback {
  readonly requested: string;
  readonly fallback: string;
  readonly reason: string;
  /** The same for all cgroups that are affected alike; the mechanism and the reason, unless the reason names the cgroup. */
  readonly cause?: string;
}

/** Bounds the memory for the paths of removed cgroups. */
const MAX_COUNTED_CGROUPS = 10_000;

/** A reason may name a process or a cgroup. Beyond so many causes those of one mechanism are one. */
const MAX_CAUSES = 200;

/** Of the cgroups that a cause affects, in the summary and the status. */
const MAX_EXAMPLES = 3;

/** One cause, and the cgroups it affects. */
class ReportedFallback {
  readonly #cgroups = new Set<string>();
  /** Those that it affects now. */
  readonly #present = new Set<string>();

  constructor(private readonly fallback: Fallback) {}

  get requested(): string {
    return this.fallback.requested;
  }

  get presentCount(): number {
    return this.#present.size;
  }

  addCgroup(path: string): void {
    if (this.#cgroups.size < MAX_COUNTED_CGROUPS) this.#cgroups.add(path);
    if (this.#present.size < MAX_COUNTED_CGROUPS) this.#present.add(path);
  }

  end(path: string): void {
    this.#present.delete(path);
  }

  count(): DegradedCount {
    const { requested, fallback, reason } = this.fallback;
    const examples = [...this.#cgroups.keys().take(MAX_EXAMPLES)];
    return { requested, fallback, reason, cgroups: this.#cgroups.size, examples };
  }
}

export type { ReportedFallback };

export class FallbackReport {
  readonly #byCause = new Map<string, ReportedFallback>();

  constructor(private readonly emit: (cgroup: string, source: "none", body: Body) => void) {}

  /** Emits an event for the first cgroup that a cause affects, and counts the others. */
  report(cgroup: string, fallback: Fallback): ReportedFallback {
    const { requested, reason } = fallback;
    const own = fallback.cause ?? `${requested} ${reason}`;
    const hasRoom = this.#byCause.has(own) || this.#byCause.size < MAX_CAUSES;
    const cause = hasRoom ? own : requested;
    const known = this.#byCause.get(cause);
    const reported = known ?? new ReportedFallback(fallback);
    reported.addCgroup(cgroup);
    if (known === undefined) {
      this.#byCause.set(cause, reported);
      const body = { requested, fallback: fallback.fallback, reason };
      this.emit(cgroup, "none", { type: "degraded", ...body });
    }
    return reported;
  }

  /**
   * The cgroup is gone, or is about to get the mechanisms again: what is still not available is reported once more, without an event.
   *
   * @param requested the mechanisms; absent: all.
   */
  end(cgroup: string, requested?: readonly string[]): void {
    for (const reported of this.#byCause.values()) {
      if (requested?.includes(reported.requested) ?? true) reported.end(cgroup);
    }
  }

  /** How many cgroups lack each mechanism now; 0 where the cause is gone. */
  present(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { requested, presentCount } of this.#byCause.values()) {
      counts.set(requested, (counts.get(requested) ?? 0) + presentCount);
    }
    return counts;
  }

  counts(): DegradedCount[] {
    return [...this.#byCause.values()].map((reported) => reported.count());
  }
}

/** What replaces a mechanism after an error. A shortage has one cause, whatever needs the resource. */
export function fallbackAfter(requested: string, fallback: string, error: unknown): Fallback {
  const shortage = error instanceof SystemCallError ? shortageOf(error) : undefined;
  const reason = reasonOf(error);
  return {
    requested,
    fallback,
    reason,
    cause: shortage ?? `${requested} ${errnoOf(error) ?? reason}`,
  };
}
