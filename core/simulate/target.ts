/** Where a simulation takes place: in a sandbox, in the own cgroup, or nowhere. */

import { readAncestry } from "../cgroup/ancestry.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import { tryReadText } from "../cgroup/files.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { ownCgroup } from "../cgroup/resolve.ts";
import { OomkitError } from "../errors.ts";
import { microseconds } from "../kernel/clock.ts";
import { parseMeminfo } from "../parse/procfs.ts";
import { createSandbox, type Sandbox } from "./sandbox.ts";
import { findParent, type Refusal } from "./sandbox.ts";

export interface SimulationTarget {
  readonly cgroup: Cgroup;
  /** Absent when it is the own cgroup. */
  readonly sandbox?: Sandbox;
  /** The effective limit in bytes; absent for none. */
  readonly limit?: number;
  readonly limitOwner?: string;
  /** Something was asked for that is not to be had here. */
  readonly lacks?: {
    readonly requested: string;
    readonly fallback: string;
    readonly reason: string;
  };
}

/** A cgroup with a limit of its own (bytes), or why there can be none. */
export function sandboxTarget(
  hierarchy: Hierarchy,
  limit: number,
  group: boolean,
): SimulationTarget | Refusal {
  const denied = withoutSystemCalls();
  if (denied !== undefined) return { refused: denied };
  const sandbox = createSandbox(hierarchy, { prefix: "oomkit-sim", limit, group });
  if ("refused" in sandbox) return sandbox;
  const target = { cgroup: sandbox.cgroup, sandbox, limit, limitOwner: sandbox.cgroup.path };
  if (!group || sandbox.groupKill) return target;
  const reason = `cgroup v${hierarchy.version.number} has no such file here`;
  return {
    ...target,
    lacks: { requested: "memory.oom.group", fallback: "one kill at a time", reason },
  };
}

/** The own cgroup as it is. Throws {@link OomkitError} where it cannot be seen. */
export function ownCgroupTarget(hierarchy: Hierarchy): SimulationTarget {
  const denied = withoutSystemCalls();
  if (denied !== undefined) throw new OomkitError(`cannot allocate: ${denied}`);
  const cgroup = ownCgroup(hierarchy);
  const { limit } = readAncestry(cgroup);
  return {
    cgroup,
    ...(limit.bytes === Infinity ? {} : { limit: limit.bytes }),
    ...(limit.owner === undefined ? {} : { limitOwner: limit.owner }),
  };
}

/** What there is room for beneath the own cgroup, in bytes, and what sets the bound. */
export interface Room {
  readonly bytes: number;
  /** A cgroup path; absent when it is the machine's memory. */
  readonly owner?: string;
}

/**
 * A limit that an ancestor or the machine meets first would have others killed for it. `undefined` when neither can be
 * told.
 */
export function roomFor(hierarchy: Hierarchy): Room | undefined {
  const available = parseMeminfo(tryReadText("/proc/meminfo") ?? "").available;
  const parent = findParent(hierarchy);
  const left = "refused" in parent ? undefined : readAncestry(parent).headroom;
  if (left !== undefined && (available === undefined || left.bytes < available)) {
    return { bytes: left.bytes, ...(left.owner === undefined ? {} : { owner: left.owner }) };
  }
  return available === undefined ? undefined : { bytes: available };
}

/** Why libc cannot be called; it takes glibc, and a runtime that may load it. */
function withoutSystemCalls(): string | undefined {
  try {
    microseconds();
    return undefined;
  } catch {
    return "libc.so.6 cannot be loaded";
  }
}
