/** What the kernel counted in one cgroup while it was watched. */

import { identify } from "../cgroup/identity.ts";
import { readSummary } from "../cgroup/cgroup.ts";
import type { CounterDeltas } from "../report/event.ts";
import type { Counters } from "../snapshot.ts";
import { counting, type WatchedCgroup } from "./member.ts";

/** `undefined` for a cgroup that nobody named and where nothing happened. */
export function counterDeltas(watched: WatchedCgroup): CounterDeltas | undefined {
  const first = counting(watched, watched.first);
  const last = counting(watched, watched.last);
  const rise = (key: keyof Counters): bigint | null => {
    const after = last[key];
    return after === undefined ? null : after - (first[key] ?? 0n);
  };
  const kills = rise("oomKill");
  const { containerId, podUid } = identify(watched.cgroup.path);
  const now = watched.goneAt === undefined ? readSummary(watched.cgroup) : undefined;
  const deltas: CounterDeltas = {
    cgroup: watched.cgroup.path,
    container_id: containerId ?? null,
    pod_uid: podUid ?? null,
    max: rise("max"),
    high: rise("high"),
    // v1 does not count OOMs; what was notified is all there is.
    oom: rise("oom") ??
      (watched.notified > 0 || watched.source === "eventfd" ? BigInt(watched.reportedOoms) : null),
    oom_kill: kills === null && watched.killsBeforeRemoval === 0n
      ? null
      : (kills ?? 0n) + watched.killsBeforeRemoval,
    oom_group_kill: rise("oomGroupKill"),
    victims: watched.victims,
    repeated: watched.repeated,
    peak: now?.peak ?? watched.peak ?? null,
    limit: finite(now?.limits.max ?? watched.limit),
    removed: watched.goneAt !== undefined,
  };
  const happened = deltas.victims > 0 ||
    [deltas.max, deltas.high, deltas.oom, deltas.oom_kill].some((count) =>
      count !== null && count > 0n
    );
  return watched.isTarget || happened ? deltas : undefined;
}

/** JSON has no infinity: no limit is `null`. */
export function finite(bytes: number | undefined): number | null {
  return bytes === undefined || bytes === Infinity ? null : bytes;
}
