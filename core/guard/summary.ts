/** The summary of a guard: what its watches of the kernel's events have counted, and what the guard has killed. */

import { identify } from "../cgroup/identity.ts";
import type { ActionBody, Body, CounterDeltas, DegradedCount, EventOf } from "../events/event.ts";
import { isKillAction } from "../policy/actions.ts";

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
  /** By path. */
  readonly #deltas = new Map<string, CounterDeltas>();
  readonly #kills = new Map<string, GuardKills>();
  #watchedCgroups = 0;

  /** A watch has ended: with the guard, or because its targets were removed or created again. */
  addWatch({ watched_cgroups, cgroups }: EventOf<"summary">): void {
    this.#watchedCgroups = Math.max(this.#watchedCgroups, watched_cgroups);
    for (const deltas of cgroups) {
      const before = this.#deltas.get(deltas.cgroup);
      this.#deltas.set(deltas.cgroup, before ? added(before, deltas) : deltas);
    }
  }

  /** @param cgroup the guarded one. */
  addAction(cgroup: string, action: ActionBody): void {
    if (!isKillAction(action.action) || action.outcome !== "killed" || action.dry_run) return;
    const kills = this.#kills.get(cgroup) ?? { count: 0, names: new Set() };
    this.#kills.set(cgroup, kills);
    kills.count += 1;
    const name = "victim" in action ? action.victim?.comm : undefined;
    if (name !== undefined && kills.names.size < MAX_NAMES) kills.names.add(name);
  }

  /** @param guardedCgroups how many are guarded; a guard without targets watches none of them. */
  body(guardedCgroups: number, degraded: readonly DegradedCount[]): SummaryBody {
    const paths = new Set([...this.#deltas.keys(), ...this.#kills.keys()]);
    const cgroups = [...paths].map((path) => {
      const { count = 0, names = [] } = this.#kills.get(path) ?? {};
      const deltas = this.#deltas.get(path) ?? uncounted(path);
      return { ...deltas, guard_kills: count, guard_victims: [...names] };
    });
    return {
      type: "summary",
      seconds: Math.round(performance.now() - this.#startedAt) / 1000,
      watched_cgroups: Math.max(this.#watchedCgroups, guardedCgroups),
      guard_kills: cgroups.reduce((sum, { guard_kills }) => sum + guard_kills, 0),
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

/** What two watches, one after the other, have counted in cgroups at the same path. */
function added(before: CounterDeltas, after: CounterDeltas): CounterDeltas {
  const sum = (one: bigint | null, other: bigint | null) =>
    one === null ? other : other === null ? one : one + other;
  return {
    ...after,
    max: sum(before.max, after.max),
    high: sum(before.high, after.high),
    oom: sum(before.oom, after.oom),
    oom_kill: sum(before.oom_kill, after.oom_kill),
    oom_group_kill: sum(before.oom_group_kill, after.oom_group_kill),
    victims: before.victims + after.victims,
    repeated: before.repeated + after.repeated,
    peak: before.peak === null ? after.peak : Math.max(before.peak, after.peak ?? 0),
    limit: after.limit ?? before.limit,
  };
}
