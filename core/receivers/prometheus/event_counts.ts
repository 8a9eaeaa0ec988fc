/** Counts events for the metrics. Its size does not depend on how many cgroups come and go. Pure. */

import { EVENT_TYPES, type EventOf, type OomkitEvent } from "../../events/event.ts";
import { ACTION_KINDS, actionSpec } from "../../policy/actions.ts";
import { LEVELS } from "../../policy/levels.ts";
import { CappedCounts, Histogram, LabelledCounts, OTHER } from "./counters.ts";
import { FAMILIES } from "./families.ts";
import { type Family, labels } from "./text.ts";

const SCOPES = ["cgroup", "system", "unknown"];
const SKIP_REASONS = ["recovered", "reclaimable_cache"];
const RESTORE_OUTCOMES = ["restored", "gone", "changed", "failed"];
/** Mechanisms in `degraded` events; some contain what the user asked for. */
const MAX_DEGRADED_NAMES = 20;
/** Bounds the memory for the names of removed cgroups. */
const MAX_NAME_CHARACTERS = 1024;

export class EventCounts {
  readonly #command: "watch" | "guard";
  readonly #events = new LabelledCounts(EVENT_TYPES.map((type) => labels({ type })));
  readonly #kills = new LabelledCounts(SCOPES.map((scope) => labels({ scope })));
  readonly #killsByCgroup: CappedCounts;
  readonly #degraded = new CappedCounts(MAX_DEGRADED_NAMES);
  readonly #levels = new LabelledCounts(LEVELS.map((level) => labels({ level })));
  readonly #actions = new LabelledCounts(allActionLabels());
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
    this.#killsByCgroup = new CappedCounts(maxKilledCgroups, isListed);
    for (const action of ACTION_KINDS) {
      for (const stage of actionSpec(action).latencies) {
        this.#latencies.set(labels({ action, stage }), new Histogram());
      }
    }
  }

  add(event: OomkitEvent): void {
    this.#events.add(labels({ type: event.type }));
    switch (event.type) {
      case "oom_kill": {
        const { cgroup, scope } = event;
        this.#kills.add(labels({ scope: scope ?? "unknown" }));
        return this.#killsByCgroup.add(cgroup.length > MAX_NAME_CHARACTERS ? OTHER : cgroup);
      }
      case "degraded":
        return this.#degraded.add(event.requested.slice(0, MAX_NAME_CHARACTERS));
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
    const degraded = [...this.#degraded.entries()]
      .map(([name, value]) => ({ labels: labels({ requested: name }), value }));
    const general: Family[] = [
      { ...FAMILIES.events, samples: this.#events.samples() },
      { ...FAMILIES.kills, samples: this.#kills.samples() },
      { ...FAMILIES.degraded, samples: degraded },
    ];
    if (this.#command === "watch") return general;
    const latencies = [...this.#latencies].map(([labels, each]) => each.sample(labels));
    return [
      ...general,
      { ...FAMILIES.levels, samples: this.#levels.samples() },
      { ...FAMILIES.actions, samples: this.#actions.samples() },
      { ...FAMILIES.actionsSkipped, samples: this.#skipped.samples() },
      { ...FAMILIES.restores, samples: this.#restores.samples() },
      { ...FAMILIES.freed, samples: [{ labels: "", value: this.#freedBytes }] },
      { ...FAMILIES.killLatency, samples: latencies },
    ];
  }

  #addAction(event: EventOf<"action">): void {
    const { action, outcome, level } = event;
    this.#actions.add(labels({ action, outcome, level }));
    if (event.dry_run || outcome === "dry_run") return;
    if ("freed" in event) this.#freedBytes += BigInt(Math.max(0, Math.round(event.freed ?? 0)));
    const fields: Readonly<Record<string, unknown>> = { ...event };
    for (const stage of actionSpec(action).latencies) {
      const ms = fields[`${stage}_ms`];
      if (typeof ms === "number") {
        this.#latencies.get(labels({ action, stage }))!.observe(ms / 1000);
      }
    }
  }
}

function allActionLabels(): string[] {
  return ACTION_KINDS.flatMap((action) =>
    actionSpec(action).outcomes.flatMap((outcome) =>
      LEVELS.map((level) => labels({ action, outcome, level }))
    )
  );
}
