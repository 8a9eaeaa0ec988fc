/** Which limit a guard goes by. */

import { readEffectiveLimit } from "../cgroup/ancestry.ts";
import { type Cgroup, openCgroup, readSummary } from "../cgroup/cgroup.ts";
import { readSwapTotal } from "../cgroup/machine.ts";
import { oomTotalBytesOf } from "../policy/victim.ts";
import type { Snapshot } from "../snapshot.ts";

export interface GuardedLimit {
  /** Whose limit it is. */
  readonly limitOwner: Cgroup;
  /** Bytes. */
  readonly limit: number;
  /** What badness is weighed against, bytes: see `oomCapacity`. */
  readonly oomTotalBytes: number;
}

/**
 * Of a cgroup that was named the limit that counts, whoever set it; of one beneath it its own alone, since that of another
 * is guarded there. `undefined` when there is none.
 */
export function limitOf(
  cgroup: Cgroup,
  isTarget: boolean,
  soft: boolean,
): GuardedLimit | undefined {
  const own = readSummary(cgroup);
  if (own === undefined) return undefined;
  const effective = isTarget ? readEffectiveLimit(cgroup) : undefined;
  const owner = effective?.owner === undefined || effective.owner === cgroup.path
    ? undefined
    : openCgroup(cgroup.hierarchy, effective.owner);
  const limitOwner = owner ?? cgroup;
  const snapshot = owner ? readSummary(owner) : own;
  if (snapshot === undefined) return undefined;
  const hard = effective?.bytes ?? own.limits.max ?? Infinity;
  const softLimit = soft ? snapshot.limits.soft ?? snapshot.limits.high ?? Infinity : Infinity;
  const limit = Math.min(hard, softLimit);
  if (!Number.isFinite(limit) || limit <= 0) return undefined;
  return { limitOwner, limit, oomTotalBytes: oomTotalOf(snapshot, hard) };
}

function oomTotalOf({ limits }: Snapshot, hard: number): number {
  const oomTotalBytes = oomTotalBytesOf({ ...limits, max: hard }, readSwapTotal());
  return oomTotalBytes !== undefined && Number.isFinite(oomTotalBytes) ? oomTotalBytes : hard;
}
