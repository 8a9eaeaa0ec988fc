/** A cgroup's limit in the light of its ancestors'. */

import { parseKeyed } from "../parse/cgroupfs.ts";
import { parseBytes } from "../parse/cgroupfs.ts";
import {
  type AncestorLimit,
  effectiveHigh,
  type EffectiveLimit,
  effectiveLimit,
  type Headroom,
  headroom,
  type HighLimit,
  workingSet,
} from "../policy/limits.ts";
import { ancestorsOf, type Cgroup, tryReader } from "./cgroup.ts";
import { exists } from "./files.ts";
import { omitUndefined } from "../omit_undefined.ts";

export interface Ancestry {
  /** The cgroup itself, then its ancestors, nearest first. */
  readonly chain: readonly AncestorLimit[];
  readonly limit: EffectiveLimit;
  /** Where allocators are slowed down before the limit is hit. */
  readonly high?: HighLimit;
  readonly headroom?: Headroom;
  /** What is left by the working set, which is what remains once the kernel has dropped idle page cache. */
  readonly workingSetHeadroom?: Headroom;
  /** False when one that cannot be seen or read may be tighter than `limit`. */
  readonly certain: boolean;
  /** Paths of those whose limit is there, but cannot be read or understood. */
  readonly unreadable: readonly string[];
}

export function readAncestry(cgroup: Cgroup): Ancestry {
  const line = [cgroup, ...ancestorsOf(cgroup)];
  const chain = line.map(readLink);
  const unreadable = line.filter((each, at) =>
    chain[at]!.limit === undefined && exists(`${each.dir}/${each.hierarchy.version.limitFile}`)
  ).map(({ path }) => path);
  const hierarchical = readHierarchical(cgroup);
  const limit = effectiveLimit(chain, hierarchical);
  return omitUndefined({
    chain,
    limit,
    high: effectiveHigh(chain, limit.bytes),
    headroom: headroom(chain, "usage", hierarchical),
    workingSetHeadroom: headroom(chain, "workingSet", hierarchical),
    certain: unreadable.length === 0 && (!cgroup.hierarchy.hidden || hierarchical !== undefined),
    unreadable,
  });
}

/** What was read of the cgroups above one, by its parent's path. */
export type AncestorLimits = Map<string, readonly AncestorLimit[]>;

/**
 * Nothing but {@link Ancestry.limit}, and without the working sets, for where it is asked for again and again.
 *
 * @param known lets a round over many cgroups read their common ancestors once; is added to.
 */
export function readEffectiveLimit(
  cgroup: Cgroup,
  known: AncestorLimits = new Map(),
): EffectiveLimit {
  const parent = cgroup.path.slice(0, cgroup.path.lastIndexOf("/"));
  const above = known.get(parent) ?? ancestorsOf(cgroup).map(readLimitAndUsage);
  known.set(parent, above);
  return effectiveLimit([readLimitAndUsage(cgroup), ...above], readHierarchical(cgroup));
}

/** Only v1 has the row; it counts ancestors in that a container's mount does not show. */
function readHierarchical(cgroup: Cgroup): number | undefined {
  const stat = cgroup.hierarchy.hidden ? tryReader(cgroup)("memory.stat") : undefined;
  return parseBytes(parseKeyed(stat ?? "").get("hierarchical_memory_limit"));
}

/** Its own limits, and what is in it. */
export function readLimitAndUsage(cgroup: Cgroup): AncestorLimit {
  const { version } = cgroup.hierarchy;
  const peek = tryReader(cgroup);
  return {
    path: cgroup.path,
    limit: version.limit(peek),
    usage: parseBytes(peek(version.usageFile)),
  };
}

function readLink(cgroup: Cgroup): AncestorLimit {
  const { version } = cgroup.hierarchy;
  const peek = tryReader(cgroup);
  const link = readLimitAndUsage(cgroup);
  // The working set costs a memory.stat, and without a limit nobody asks for it.
  const isLimited = link.limit !== undefined && link.limit !== Infinity;
  const files = ["memory.high", ...(isLimited ? ["memory.stat", version.usageFile] : [])];
  const part = version.snapshot((name) => files.includes(name) ? peek(name) : undefined);
  return { ...link, ...omitUndefined({ high: part.limits.high, workingSet: workingSet(part) }) };
}
