/** The counts of removed cgroups for a summary. There may be any number of them in the months that a guard runs. */

import type { CounterDeltas } from "../events/event.ts";

/** Half a MiB; what is there at the end is not counted. */
export const MAX_CGROUPS_IN_SUMMARY = 1000;

export class SummedDeltas {
  readonly #byPath = new Map<string, CounterDeltas>();

  get byPath(): ReadonlyMap<string, CounterDeltas> {
    return this.#byPath;
  }

  /** @param other gets the counts when there are those of too many removed cgroups already, so that the sum of all stays right. */
  add(deltas: CounterDeltas, other: string): void {
    const { cgroup, removed } = deltas;
    const hasRoom = this.#byPath.has(cgroup) || this.#byPath.size < MAX_CGROUPS_IN_SUMMARY;
    const isKept = hasRoom || !removed;
    const path = isKept ? cgroup : other;
    const before = this.#byPath.get(path);
    const sum = before ? added(before, deltas) : deltas;
    if (isKept) return void this.#byPath.set(path, sum);
    const { container_id = null, pod_uid = null, peak = null, limit = null } = before ?? {};
    this.#byPath.set(path, { ...sum, cgroup: path, container_id, pod_uid, peak, limit });
  }
}

/** What was counted in two cgroups, one after the other at the same path. */
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
