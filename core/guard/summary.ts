/** The summary of a guard: what its watches of the kernel's events have counted, and what the guard has killed. */

import { identify } from "../cgroup/identity.ts";
import type { ActionBody, Body, CounterDeltas, DegradedCount, EventOf } from "../events/event.ts";
import { isKillAction } from "../policy/actions.ts";
import { MAX_CGROUPS_IN_SUMMARY, SummedDeltas } from "../watch/summed_deltas.ts";

type SummaryBody = Body & { readonly type: "summary" };

/** Names in the summary of one cgroup; the others are only counted. */
const MAX_NAMES = 5;

interface GuardKills {
  count: number;
  /** Of the killed processes, each once. */
  readonly names: Set<string>;
}

export class GuardSummary {
  readonly #startedAt = performance.now();
  readonly #deltas = new SummedDeltas();
  /** By path. */
  readonly #kills = new Map<string, GuardKills>();
  #killCount = 0;
  #watchedCgroups = 0;

  /** A watch has ended: with the guard, or because its targets were removed or created again. */
  addWatch({ cgroup, watched_cgroups, cgroups }: EventOf<"summary">): void {
    this.#watchedCgroups = Math.max(this.#watchedCgroups, watched_cgroups);
    for (const deltas of cgroups) this.#deltas.add(deltas, cgroup);
  }

  /** @param cgroup the guarded one. */
  addAction(cgroup: string, action: ActionBody): void {
    if (!isKillAction(action.action) || action.outcome !== "killed" || action.dry_run) return;
    this.#killCount += 1;
    if (this.#kills.size >= MAX_CGROUPS_IN_SUMMARY && !this.#kills.has(cgroup)) return;
    const kills = this.#kills.get(cgroup) ?? { count: 0, names: new Set() };
    this.#kills.set(cgroup, kills);
    kills.count += 1;
    const name = "victim" in action ? action.victim?.comm : undefined;
    if (name !== undefined && kills.names.size < MAX_NAMES) kills.names.add(name);
  }

  /** @param guardedCgroups how many are guarded; a guard without targets watches none of them. */
  body(guardedCgroups: number, degraded: readonly DegradedCount[]): SummaryBody {
    const counted = this.#deltas.byPath;
    const paths = new Set([...counted.keys(), ...this.#kills.keys()]);
    const cgroups = [...paths].map((path) => {
      const { count = 0, names = [] } = this.#kills.get(path) ?? {};
      const deltas = counted.get(path) ?? uncounted(path);
      return { ...deltas, guard_kills: count, guard_victims: [...names] };
    });
    return {
      type: "summary",
      seconds: Math.round(performance.now() - this.#startedAt) / 1000,
      watched_cgroups: Math.max(this.#watchedCgroups, guardedCgroups),
      guard_kills: this.#killCount,
      cgroups,
      degraded,
    };
  }
}

/** Of a cgroup with counters that are not watched, or have not risen. */
function uncounted(path: string): CounterDeltas {
  const { containerId, podUid } = identify(path);
  return {
    cgroup: path,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    max: null,
    high: null,
    oom: null,
    oom_kill: null,
    oom_group_kill: null,
    victims: 0,
    guard_kills: null,
    guard_victims: [],
    repeated: 0,
    peak: null,
    limit: null,
    removed: false,
  };
}
