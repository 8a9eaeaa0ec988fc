/** What is worth a read only of a cgroup that somebody looks at. */

import { type Cgroup, peekReader } from "../cgroup/cgroup.ts";
import { workingSet } from "../policy/limits.ts";
import type { Pressure } from "../snapshot.ts";

/** Bytes; absent is not known. */
export interface CloserLook {
  readonly workingSet?: number | undefined;
  readonly pressure?: Pressure | undefined;
  /** v1: allocators are waiting for memory right now. */
  readonly underOom?: boolean | undefined;
}

/** All but the processes; what may not be read counts as absent. */
export function lookCloser(cgroup: Cgroup): CloserLook {
  const snapshot = cgroup.hierarchy.dialect.snapshot(peekReader(cgroup));
  return {
    workingSet: workingSet(snapshot),
    pressure: snapshot.pressure,
    underOom: snapshot.underOom,
  };
}
