/** Where a simulation runs: in a sandbox or in oomkit's own cgroup. */

import { readAncestry } from "../cgroup/ancestry.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import { tryReadText } from "../cgroup/files.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { ownCgroup } from "../cgroup/resolve.ts";
import { OomkitError } from "../errors.ts";
import { microseconds } from "../kernel/clock.ts";
import { pageSize } from "../kernel/page_size.ts";
import { parseMeminfo } from "../parse/procfs.ts";
import type { Degradation } from "./event.ts";
import { createSandbox, findParent, type Refusal, type Sandbox } from "./sandbox.ts";

export interface SimulationTarget {
  readonly cgroup: Cgroup;
  /** Absent for oomkit's own cgroup. */
  readonly sandbox?: Sandbox;
  /** The effective limit in bytes; absent: none. */
  readonly limit?: number;
  readonly limitOwner?: string;
  readonly degraded?: Degradation;
}

/** A sandbox with a limit (bytes), or why there can be none. */
export function sandboxTarget(
  hierarchy: Hierarchy,
  limit: number,
  group: boolean,
): SimulationTarget | Refusal {
  if (!hasLibc()) return { refused: NO_LIBC };
  const sandbox = createSandbox(hierarchy, { prefix: "oomkit-sim", limit, group });
  if ("refused" in sandbox) return sandbox;
  const target = { cgroup: sandbox.cgroup, sandbox, limit, limitOwner: sandbox.cgroup.path };
  if (!group || sandbox.groupKill) return target;
  return {
    ...target,
    degraded: {
      requested: "memory.oom.group",
      fallback: "one kill at a time",
      reason: `cgroup v${hierarchy.version.number} does not have this file here`,
    },
  };
}

/** Oomkit's own cgroup as it is. Throws {@link OomkitError} where it cannot be found. */
export function ownCgroupTarget(hierarchy: Hierarchy): SimulationTarget {
  if (!hasLibc()) throw new OomkitError(`cannot allocate: ${NO_LIBC}`);
  const cgroup = ownCgroup(hierarchy);
  const { limit } = readAncestry(cgroup);
  return {
    cgroup,
    ...(limit.bytes !== Infinity && { limit: limit.bytes }),
    ...(limit.owner !== undefined && { limitOwner: limit.owner }),
  };
}

/** Free memory for a sandbox, in bytes, and what bounds it. */
export interface Room {
  readonly bytes: number;
  /** A cgroup path; absent when the machine's memory is the bound. */
  readonly owner?: string;
}

/**
 * A limit above this would be hit by an ancestor or the machine first, and other processes would be killed. `undefined` when
 * neither is known.
 */
export function roomFor(hierarchy: Hierarchy): Room | undefined {
  const available = parseMeminfo(tryReadText("/proc/meminfo") ?? "").available;
  const parent = findParent(hierarchy);
  const left = "refused" in parent ? undefined : readAncestry(parent).headroom;
  if (left !== undefined && (available === undefined || left.bytes < available)) {
    return { bytes: left.bytes, ...(left.owner !== undefined && { owner: left.owner }) };
  }
  return available === undefined ? undefined : { bytes: available };
}

/** Bytes of a page, which the size of a step is a multiple of. */
export const pageBytes = pageSize;

const NO_LIBC = "libc.so.6 cannot be loaded";

/** It needs glibc, and a runtime that is allowed to load it. */
function hasLibc(): boolean {
  try {
    microseconds();
    return true;
  } catch {
    return false;
  }
}
