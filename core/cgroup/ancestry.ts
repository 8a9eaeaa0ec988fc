/** A cgroup's limit in the light of its ancestors'. */

import {
  type EffectiveLimit,
  effectiveLimit,
  type Headroom,
  headroom,
  type Link,
} from "../policy/limits.ts";
import { parseBytes } from "../parse/numbers.ts";
import { parseKeyed } from "../parse/keyed.ts";
import { ancestorsOf, type Cgroup, readLimit } from "./cgroup.ts";
import { peekText } from "./files.ts";

export interface Ancestry {
  /** The cgroup itself, then its ancestors, nearest first. */
  readonly chain: readonly Link[];
  readonly limit: EffectiveLimit;
  readonly headroom?: Headroom;
}

function link(cgroup: Cgroup): Link {
  return {
    path: cgroup.path,
    limit: readLimit(cgroup),
    usage: parseBytes(peekText(`${cgroup.dir}/${cgroup.hierarchy.dialect.usageFile}`)),
  };
}

export function readAncestry(cgroup: Cgroup): Ancestry {
  const chain = [cgroup, ...ancestorsOf(cgroup)].map(link);
  // Only v1 has the row; it counts ancestors in that a container's mount does not show.
  const stat = cgroup.hierarchy.hidden ? peekText(`${cgroup.dir}/memory.stat`) : undefined;
  const hierarchical = parseBytes(parseKeyed(stat ?? "").get("hierarchical_memory_limit"));
  const left = headroom(chain);
  return { chain, limit: effectiveLimit(chain, hierarchical), ...(left ? { headroom: left } : {}) };
}
