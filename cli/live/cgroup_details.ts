/** What is worth a read only of a cgroup that somebody looks at. */

import { type Cgroup, tryReader } from "../../core/cgroup/cgroup.ts";
import { workingSet } from "../../core/policy/limits.ts";
import type { Pressure } from "../../core/snapshot.ts";

/** Bytes; absent is not known. */
export interface CgroupDetails {
  readonly workingSet?: number | undefined;
  readonly pressure?: Pressure | undefined;
  /** v1: allocators are waiting for memory right now. */
  readonly underOom?: boolean | undefined;
}

/** All but the processes; what may not be read counts as absent. */
export function readDetails(cgroup: Cgroup): CgroupDetails {
  const snapshot = cgroup.hierarchy.version.snapshot(tryReader(cgroup));
  return {
    workingSet: workingSet(snapshot),
    pressure: snapshot.pressure,
    underOom: snapshot.underOom,
  };
}
