/** Counters by name that stay few, however many names there are. Pure. */

import { EVENT_TYPES, type OomkitEvent } from "../../events/event.ts";
import { ACTION_KINDS, actionSpec, type ReportedAction } from "../../policy/actions.ts";
import { LEVELS } from "../../policy/levels.ts";
import { FAMILIES } from "./families.ts";
import { type Family, type HistogramSample, labels, type Sample } from "./text.ts";

export interface CappedCounts {
  add(name: string): void;
  /** {@link OTHER} among them, once something was forgotten. */
  entries(): Iterable<readonly [name: string, count: bigint]>;
}

/** Where the counts of forgotten names are summed up, so that the sum over all names only grows. */
export const OTHER = "other";

/**
 * @param most names besides {@link OTHER}. Beyond it the one that was counted longest ago is forgotten; when it is counted
 * again it begins anew, as a series that was gone.
 * @param isKept a name whose count must not begin anew while it is so; of at most `most - 1` names.
 */
export function createCappedCounts(
  most: number,
  isExcluded: (name: string) => boolean = () => false,
): CappedCounts {
  const counts = new Map<string, bigint>();
  let other = 0n;
  const forgetOne = () => {
    for (const [name, count] of counts) {
      if (isExcluded(name)) continue;
      counts.delete(name);
      other += count;
      return;
    }
  };
  return {
    add(name) {
      if (name === OTHER) return void (other += 1n);
      const count = counts.get(name) ?? 0n;
      counts.delete(name);
      if (counts.size >= most) forgetOne();
      counts.set(name, count + 1n);
    },
    *entries() {
      yield* counts;
      if (other > 0n) yield [OTHER, other];
    },
  };
}

/* How long something took, in buckets. Pure. */

/**
 * Seconds. A kill is under way after 0.05 to 2 ms (docs/performance.md), is over after 3 to 30 ms, and after seconds with
 * a grace period.
 */
export const LATENCY_BOUNDS: readonly number[] = [
  0.00005,
  0.0001,
  0.00025,
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
];

export interface Histogram {
  /** What is no number is not counted. */
  observe(value: number): void;
  sample(labels: string): HistogramSample;
}

export function createHistogram(bounds: readonly number[] = LATENCY_BOUNDS): Histogram {
  const counts = Array.from({ length: bounds.length + 1 }, () => 0);
  let sum = 0;
  return {
    observe(value) {
      if (!Number.isFinite(value)) return;
      const at = bounds.findIndex((bound) => value <= bound);
      counts[at < 0 ? bounds.length : at]! += 1;
      sum += value;
    },
    sample: (labels) => ({ labels, bounds, counts: [...counts], sum }),
  };
}

/* Counts what is told. Its size does not depend on how many cgroups come and go. */

export interface EventCounts {
  take(event: OomkitEvent): void;
  families(): Family[];
  /** Of cgroups in which there were any; {@link OTHER} among them. */
  killsByCgroup(): Iterable<readonly [path: string, count: bigint]>;
}

type ActionEvent = Extract<OomkitEvent, { type: "action" }>;

const SCOPES = ["cgroup", "system", "unknown"];
const SKIP_REASONS = ["recovered", "reclaimable_cache"];
const RESTORES = ["restored", "gone", "left", "failed"];
/** Kinds of things that were wanted; some name what the user asked for. */
const MAX_DEGRADED = 20;
/** The sizes of what gone cgroups are remembered by. */
const LONGEST_NAME = 1024;

/**
 * @param mostKilled cgroups whose kills are told apart.
 * @param isListed one that has series: its kills must not begin anew. Of less than `mostKilled`.
 */
export function createEventCounts(
  command: "watch" | "guard",
  mostKilled: number,
  isListed: (path: string) => boolean,
): EventCounts {
  const events = createTable(EVENT_TYPES.map((type) => labels({ type })));
  const kills = createTable(SCOPES.map((scope) => labels({ scope })));
  const killed = createCappedCounts(mostKilled, isListed);
  const degraded = createCappedCounts(MAX_DEGRADED);
  const levels = createTable(LEVELS.map((level) => labels({ level })));
  const actions = createTable(allActions());
  const skipped = createTable(SKIP_REASONS.map((reason) => labels({ reason })));
  const restores = createTable(RESTORES.map((outcome) => labels({ outcome })));
  let freed = 0n;
  const killLatencies = createLatencies();

  const takeAction = (event: ActionEvent) => {
    const { action, outcome, level } = event;
    actions.count(labels({ action, outcome, level }));
    // Nothing was done.
    if (event.dry_run || outcome === "dry_run") return;
    if (event.freed !== null) freed += BigInt(Math.max(0, Math.round(event.freed)));
    killLatencies.observe(action, "signal", event.signal_ms);
    killLatencies.observe(action, "exit", event.exit_ms);
    killLatencies.observe(action, "freed", event.freed_ms);
  };

  return {
    take(event) {
      events.count(labels({ type: event.type }));
      switch (event.type) {
        case "oom_kill":
          kills.count(labels({ scope: event.scope ?? "unknown" }));
          return killed.add(event.cgroup.length > LONGEST_NAME ? OTHER : event.cgroup);
        case "degraded":
          return degraded.add(event.requested.slice(0, LONGEST_NAME));
        case "level_reached":
          return levels.count(labels({ level: event.level }));
        case "action":
          return takeAction(event);
        case "action_skipped":
          return skipped.count(labels({ reason: event.reason }));
        case "restored":
          return restores.count(labels({ outcome: event.outcome }));
      }
    },
    killsByCgroup: killed.entries,
    families() {
      const requested = [...degraded.entries()]
        .map(([name, value]) => ({ labels: labels({ requested: name }), value }));
      const general: Family[] = [
        { ...FAMILIES.events, samples: events.samples() },
        { ...FAMILIES.kills, samples: kills.samples() },
        { ...FAMILIES.degraded, samples: requested },
      ];
      if (command === "watch") return general;
      return [
        ...general,
        { ...FAMILIES.levels, samples: levels.samples() },
        { ...FAMILIES.actions, samples: actions.samples() },
        { ...FAMILIES.actionsSkipped, samples: skipped.samples() },
        { ...FAMILIES.restores, samples: restores.samples() },
        { ...FAMILIES.freed, samples: [{ labels: "", value: freed }] },
        { ...FAMILIES.killLatency, samples: killLatencies.samples() },
      ];
    },
  };
}

/** All, so that every series begins at zero: one that begins at one hides its first increase from `increase()`. */
function allActions(): string[] {
  return ACTION_KINDS.flatMap((action) =>
    actionSpec(action).outcomes.flatMap((outcome) =>
      LEVELS.map((level) => labels({ action, outcome, level }))
    )
  );
}

interface Table {
  count(labels: string): void;
  samples(): Sample[];
}

/** @param known labels that are told from the start, as zero. */
function createTable(known: readonly string[]): Table {
  const counts = new Map(known.map((labels) => [labels, 0n]));
  return {
    count: (labels) => void counts.set(labels, (counts.get(labels) ?? 0n) + 1n),
    samples: () => [...counts].map(([labels, value]) => ({ labels, value })),
  };
}

/** One histogram for each action and latency. */
function createLatencies() {
  const histograms = new Map<string, Histogram>();
  for (const action of ACTION_KINDS) {
    for (const stage of actionSpec(action).latencies) {
      histograms.set(labels({ action, stage }), createHistogram());
    }
  }
  return {
    observe(action: ReportedAction, stage: "signal" | "exit" | "freed", ms: number | null) {
      if (ms !== null) histograms.get(labels({ action, stage }))?.observe(ms / 1000);
    },
    samples: () => [...histograms].map(([labels, each]) => each.sample(labels)),
  };
}
