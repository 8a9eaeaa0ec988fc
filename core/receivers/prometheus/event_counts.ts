/** Counts events for the metrics. Its size does not depend on how many cgroups come and go. Pure. */

import type { EventOf, OomkitEvent } from "../../events/event.ts";
import { KILL_ACTIONS } from "../../policy/actions.ts";
import { LEVELS } from "../../policy/levels.ts";
import { family } from "./families.ts";
import { type Family, type HistogramSample, labels, type Sample } from "./text.ts";

const SCOPES = ["cgroup", "system", "unknown"];
const SKIP_REASONS = ["recovered", "reclaimable_cache"];
/** Each has a field of the event: `signal_ms`, `exit_ms`, `freed_ms`. */
const KILL_STAGES = ["signal", "exit", "freed"] as const;
const RESTORE_OUTCOMES = ["restored", "gone", "changed", "failed"];
/** Bounds the memory for the names of removed cgroups. */
const MAX_NAME_CHARACTERS = 1024;

export class EventCounts {
  readonly #command: "watch" | "guard";
  readonly #events = new LabelledCounts();
  readonly #kills: LabelledCounts;
  readonly #killsByCgroup: CappedCounts;
  readonly #levels = new LabelledCounts(LEVELS.map((level) => labels({ level })));
  readonly #actions = new LabelledCounts();
  readonly #skipped = new LabelledCounts(SKIP_REASONS.map((reason) => labels({ reason })));
  readonly #restores = new LabelledCounts(RESTORE_OUTCOMES.map((outcome) => labels({ outcome })));
  readonly #latencies = new Map<string, Histogram>();
  #freedBytes = 0n;

  /**
   * @param maxKilledCgroups cgroups that have a series for their kills.
   * @param isListed a cgroup that has series now: its kills must not restart at zero. Fewer than `maxKilledCgroups`.
   */
  constructor(
    command: "watch" | "guard",
    maxKilledCgroups: number,
    isListed: (path: string) => boolean,
  ) {
    this.#command = command;
    this.#kills = new LabelledCounts(killLabels(command));
    this.#killsByCgroup = new CappedCounts(maxKilledCgroups, isListed);
    for (const action of KILL_ACTIONS) {
      for (const stage of KILL_STAGES) {
        this.#latencies.set(labels({ action, stage }), new Histogram());
      }
    }
  }

  /** @param isGuarded of a kill by the kernel: a policy of this guard kills for that limit. */
  add(event: OomkitEvent, isGuarded = false): void {
    this.#events.add(labels({ type: event.type }));
    switch (event.type) {
      case "oom_kill": {
        const { cgroup, scope } = event;
        this.#kills.add(labels({ scope: scope ?? "unknown", guarded: String(isGuarded) }));
        return this.#killsByCgroup.add(cgroup.length > MAX_NAME_CHARACTERS ? OTHER : cgroup);
      }
      case "level_reached":
        return this.#levels.add(labels({ level: event.level }));
      case "action":
        return this.#addAction(event);
      case "action_skipped":
        return this.#skipped.add(labels({ reason: event.reason }));
      case "restored":
        return this.#restores.add(labels({ outcome: event.outcome }));
    }
  }

  /** Of cgroups with kills, and {@link OTHER}. */
  killsByCgroup(): Iterable<readonly [path: string, count: bigint]> {
    return this.#killsByCgroup.entries();
  }

  families(): Family[] {
    const general: Family[] = [
      family("oomkit_events_total", this.#events.samples()),
      family("oomkit_oom_kills_total", this.#kills.samples()),
    ];
    if (this.#command === "watch") return general;
    // An empty histogram has 20 series, of which a guard that kills nothing would have six.
    const latencies = [...this.#latencies].filter(([, { isEmpty }]) => !isEmpty)
      .map(([labels, each]) => each.sample(labels));
    return [
      ...general,
      family("oomkit_guard_levels_total", this.#levels.samples()),
      family("oomkit_guard_actions_total", this.#actions.samples()),
      family("oomkit_guard_actions_skipped_total", this.#skipped.samples()),
      family("oomkit_guard_restores_total", this.#restores.samples()),
      family("oomkit_guard_freed_bytes_total", [{ labels: "", value: this.#freedBytes }]),
      family("oomkit_guard_kill_latency_seconds", latencies),
    ];
  }

  #addAction(event: EventOf<"action">): void {
    const { action, outcome, level } = event;
    this.#actions.add(labels({ action, outcome, level }));
    if (event.dry_run || outcome === "dry_run") return;
    if ("freed" in event) this.#freedBytes += BigInt(Math.max(0, Math.round(event.freed ?? 0)));
    const fields: Readonly<Record<string, unknown>> = { ...event };
    for (const stage of KILL_STAGES) {
      const ms = fields[`${stage}_ms`];
      // An action that does not kill has none.
      const latency = this.#latencies.get(labels({ action, stage }));
      if (typeof ms === "number") latency?.observe(ms / 1000);
    }
  }
}

/** A watch guards nothing, and no guard kills for the whole machine. */
function killLabels(command: "watch" | "guard"): string[] {
  return SCOPES.flatMap((scope) => {
    const isGuardable = command === "guard" && scope !== "system";
    return (isGuardable ? ["false", "true"] : ["false"])
      .map((guarded) => labels({ scope, guarded }));
  });
}

/** Counts by label set. The known ones appear as 0 from the start, so that the first count is an increase. */
export class LabelledCounts {
  readonly #counts: Map<string, bigint>;

  /** @param known each as `labels` of text.ts writes it; the others have a series once they are counted. */
  constructor(known: readonly string[] = []) {
    this.#counts = new Map(known.map((labels) => [labels, 0n]));
  }

  add(labels: string): void {
    this.#counts.set(labels, (this.#counts.get(labels) ?? 0n) + 1n);
  }

  samples(): Sample[] {
    return [...this.#counts].map(([labels, value]) => ({ labels, value }));
  }
}

/** Name under which the counts of dropped names are summed up, so that the sum over all names never falls. */
const OTHER = "other";

/**
 * Counts by name, of which there may be any number. Beyond the bound the name that was counted longest ago is dropped; when it is
 * counted again it starts at zero, like a series that had ended.
 */
export class CappedCounts {
  readonly #counts = new Map<string, bigint>();
  #other = 0n;

  /**
   * @param maxNames besides {@link OTHER}.
   * @param isProtected names that are not dropped; at most `maxNames - 1` of them.
   */
  constructor(
    private readonly maxNames: number,
    private readonly isProtected: (name: string) => boolean = () => false,
  ) {}

  add(name: string): void {
    if (name === OTHER) return void (this.#other += 1n);
    const count = this.#counts.get(name) ?? 0n;
    this.#counts.delete(name);
    if (this.#counts.size >= this.maxNames) this.#dropOldest();
    this.#counts.set(name, count + 1n);
  }

  /** With {@link OTHER}, once a name was dropped. */
  *entries(): Iterable<readonly [name: string, count: bigint]> {
    yield* this.#counts;
    if (this.#other > 0n) yield [OTHER, this.#other];
  }

  #dropOldest(): void {
    for (const [name, count] of this.#counts) {
      if (this.isProtected(name)) continue;
      this.#counts.delete(name);
      this.#other += count;
      return;
    }
  }
}

/**
 * Seconds. A kill starts after 0.05 to 2 ms (docs/performance.md) and ends after 3 to 30 ms, or after seconds with a grace
 * period.
 */
// deno-fmt-ignore
const LATENCY_BUCKETS: readonly number[] = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

export class Histogram {
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds upper bounds of the buckets, ascending, without the infinite one. */
  constructor(private readonly bounds = LATENCY_BUCKETS) {
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  get isEmpty(): boolean {
    return this.#counts.every((count) => count === 0);
  }

  /** Ignores a value that is not finite. */
  observe(value: number): void {
    if (!Number.isFinite(value)) return;
    const at = this.bounds.findIndex((bound) => value <= bound);
    this.#counts[at < 0 ? this.bounds.length : at]! += 1;
    this.#sum += value;
  }

  sample(labels: string): HistogramSample {
    return { labels, bounds: this.bounds, counts: [...this.#counts], sum: this.#sum };
  }
}
