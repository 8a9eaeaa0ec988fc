/** Counts what is told. Its size does not depend on how many cgroups come and go. */

import { EVENT_TYPES, type OomkitEvent } from "../report/event.ts";
import { LEVELS } from "../policy/bounds.ts";
import { createCappedCounts, OTHER } from "./capped_counts.ts";
import { createHistogram, type Histogram } from "./histogram.ts";
import { FAMILIES } from "./families.ts";
import { type Family, labels, type Sample } from "./text.ts";

export interface EventCounts {
  take(event: OomkitEvent): void;
  families(): Family[];
  /** Of cgroups in which there were any; {@link OTHER} among them. */
  killsByCgroup(): Iterable<readonly [path: string, count: bigint]>;
}

type ActionEvent = Extract<OomkitEvent, { type: "action" }>;
type Action = ActionEvent["action"];
type Outcome = ActionEvent["outcome"];

/** What can come of each: a series that begins at one instead of at zero hides its first from `increase()`. */
const OUTCOMES: Readonly<Record<Action, readonly Outcome[]>> = {
  signal: ["signalled", "would", "failed"],
  reclaim: ["freed", "would", "failed"],
  process: ["died", "alive", "would", "failed"],
  container: ["died", "alive", "would", "failed"],
  exec: ["done", "would", "failed"],
};
const SCOPES = ["cgroup", "system", "unknown"];
const LET_GO = ["recovered", "reclaimable"];
const RESTORES = ["restored", "gone", "left", "failed"];
/** Kinds of things that were wanted; some name what the user asked for. */
const MOST_DEGRADED = 20;
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
  const degraded = createCappedCounts(MOST_DEGRADED);
  const levels = createTable(LEVELS.map((level) => labels({ level })));
  const actions = createTable(allActions());
  const letGo = createTable(LET_GO.map((why) => labels({ why })));
  const restores = createTable(RESTORES.map((outcome) => labels({ outcome })));
  let freed = 0n;
  const toSignal = createLatencies(["process", "container"]);
  const toDeath = createLatencies(["process", "container"]);
  const toFree = createLatencies(["process", "container", "reclaim"]);

  const takeAction = (event: ActionEvent) => {
    const { action, outcome, level } = event;
    actions.count(labels({ action, outcome, level }));
    // Nothing was done.
    if (event.dry_run || outcome === "would") return;
    if (event.freed !== null) freed += BigInt(Math.max(0, Math.round(event.freed)));
    toSignal.observe(action, event.struck_ms);
    toDeath.observe(action, event.died_ms);
    toFree.observe(action, event.freed_ms);
  };

  return {
    take(event) {
      events.count(labels({ type: event.type }));
      switch (event.type) {
        case "oom_kill":
          kills.count(labels({ scope: event.scope ?? "unknown" }));
          return killed.add(event.cgroup.length > LONGEST_NAME ? OTHER : event.cgroup);
        case "degraded":
          return degraded.add(event.wanted.slice(0, LONGEST_NAME));
        case "level":
          return levels.count(labels({ level: event.level }));
        case "action":
          return takeAction(event);
        case "let_go":
          return letGo.count(labels({ why: event.why }));
        case "restored":
          return restores.count(labels({ outcome: event.outcome }));
      }
    },
    killsByCgroup: killed.entries,
    families() {
      const wanted = [...degraded.entries()]
        .map(([name, value]) => ({ labels: labels({ wanted: name }), value }));
      const general: Family[] = [
        { ...FAMILIES.events, samples: events.samples() },
        { ...FAMILIES.kills, samples: kills.samples() },
        { ...FAMILIES.degraded, samples: wanted },
      ];
      if (command === "watch") return general;
      return [
        ...general,
        { ...FAMILIES.levels, samples: levels.samples() },
        { ...FAMILIES.actions, samples: actions.samples() },
        { ...FAMILIES.letGo, samples: letGo.samples() },
        { ...FAMILIES.restores, samples: restores.samples() },
        { ...FAMILIES.freed, samples: [{ labels: "", value: freed }] },
        { ...FAMILIES.seenToSignal, samples: toSignal.samples() },
        { ...FAMILIES.seenToDeath, samples: toDeath.samples() },
        { ...FAMILIES.seenToFree, samples: toFree.samples() },
      ];
    },
  };
}

function allActions(): string[] {
  return Object.entries(OUTCOMES).flatMap(([action, outcomes]) =>
    outcomes.flatMap((outcome) => LEVELS.map((level) => labels({ action, outcome, level })))
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

/** A histogram for each of these actions. */
function createLatencies(actions: readonly Action[]) {
  const histograms = new Map<Action, Histogram>(
    actions.map((action) => [action, createHistogram()]),
  );
  return {
    observe(action: Action, ms: number | null) {
      if (ms !== null) histograms.get(action)?.observe(ms / 1000);
    },
    samples: () => [...histograms].map(([action, each]) => each.sample(labels({ action }))),
  };
}
