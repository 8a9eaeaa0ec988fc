/** Which limit a guard goes by. */

import { readEffectiveLimit } from "../cgroup/ancestry.ts";
import { type Cgroup, openCgroup, readOutline } from "../cgroup/cgroup.ts";
import { readSwapTotal } from "../cgroup/machine.ts";
import { oomCapacity } from "../policy/victim.ts";
import type { Snapshot } from "../snapshot.ts";

export interface GuardedLimit {
  /** Whose limit it is. */
  readonly measured: Cgroup;
  /** Bytes. */
  readonly limit: number;
  /** What badness is weighed against, bytes: see `oomCapacity`. */
  readonly capacity: number;
}

/**
 * Of a cgroup that was named the limit that counts, whoever set it; of one beneath it its own alone, since that of another
 * is guarded there. `undefined` when there is none.
 */
export function limitOf(
  cgroup: Cgroup,
  isNamed: boolean,
  soft: boolean,
): GuardedLimit | undefined {
  const own = readOutline(cgroup);
  if (own === undefined) return undefined;
  const effective = isNamed ? readEffectiveLimit(cgroup) : undefined;
  const owner = effective?.owner === undefined || effective.owner === cgroup.path
    ? undefined
    : openCgroup(cgroup.hierarchy, effective.owner);
  const measured = owner ?? cgroup;
  const snapshot = owner ? readOutline(owner) : own;
  if (snapshot === undefined) return undefined;
  const hard = effective?.bytes ?? own.limits.max ?? Infinity;
  const softLimit = soft ? snapshot.limits.soft ?? snapshot.limits.high ?? Infinity : Infinity;
  const limit = Math.min(hard, softLimit);
  if (!Number.isFinite(limit) || limit <= 0) return undefined;
  return { measured, limit, capacity: capacityOf(snapshot, hard) };
}

function capacityOf({ limits }: Snapshot, hard: number): number {
  const capacity = oomCapacity({ ...limits, max: hard }, readSwapTotal());
  return capacity !== undefined && Number.isFinite(capacity) ? capacity : hard;
}
