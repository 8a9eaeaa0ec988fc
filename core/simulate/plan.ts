/** What is to be simulated, where (in a sandbox or in oomkit's own cgroup), and what that means for the allocators and the watch. */

import { readAncestry } from "../cgroup/ancestry.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import { realPath, tryReadText } from "../cgroup/files.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { ownCgroup } from "../cgroup/resolve.ts";
import { isInSubtree } from "../cgroup_path.ts";
import { OomkitError } from "../errors.ts";
import { microseconds } from "../kernel/clock.ts";
import { pageSize } from "../kernel/page_size.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { parseMountinfo } from "../parse/mountinfo.ts";
import { parseMeminfo } from "../parse/procfs.ts";
import type { RecordSink } from "../record/format.ts";
import type { WatchOptions } from "../watch/options.ts";
import type { Allocation } from "./allocator.ts";
import type { Degradation, Expectation, Start } from "./event.ts";
import { createSandbox, findParent, type Refusal, type Sandbox } from "./sandbox.ts";

/** Sizes are bytes; the rate is of all processes together. */
export interface Plan
  extends Omit<Allocation, "procsFile" | "usageFile" | "reportStep" | "parentPid"> {
  readonly processes: number;
  /** The simulation ends after this time, whatever its state. */
  readonly timeoutMs?: number;
  readonly thresholds: WatchOptions["thresholds"];
  readonly expected: Expectation | null;
  /** Whether `expected` was requested, not derived from the other options. */
  readonly isRequested: boolean;
  /** Gets what the watch reads. */
  readonly recordSink?: RecordSink;
}

/**
 * Progress lines on the way to the limit. A pipe holds ten times as many, so an allocator never waits for its reader; and few
 * enough that reading them does not delay the watch, which runs on the same thread.
 */
const MAX_REPORTS = 128;

/** One for each process; only the first can have the port. */
export function allocationsOf(plan: Plan, target: SimulationTarget): Allocation[] {
  const { kind, rate, step, stopAt, maxBytes, holdMs, processes, onSignal, http, directory } = plan;
  const { dir, hierarchy } = target.cgroup;
  const allocation: Allocation = omitUndefined({
    kind,
    usageFile: `${dir}/${hierarchy.version.usageFile}`,
    maxBytes,
    step,
    reportStep: Math.max(step, Math.ceil((target.limit ?? maxBytes) / MAX_REPORTS)),
    holdMs,
    parentPid: Deno.pid,
    procsFile: target.sandbox?.procsFile,
    stopAt,
    rate: rate && rate / processes,
    onSignal,
    directory,
  });
  const first = http ? { ...allocation, http } : allocation;
  return Array.from({ length: processes }, (_, index) => index === 0 ? first : allocation);
}

/** Pressure levels exist on v1 only; on v2 a PSI trigger reports stalls too late to be of use here. */
export function watchOptions(plan: Plan, { cgroup, sandbox }: SimulationTarget): WatchOptions {
  const levels = ["low", "medium", "critical"] as const;
  const hasLevels = cgroup.hierarchy.kernel && cgroup.hierarchy.version.notifiesPressureLevels;
  return {
    scopes: [{ cgroup, recursive: false }],
    thresholds: plan.thresholds,
    pressureLevels: hasLevels && sandbox
      ? levels.map((level) => ({ level, mode: "local" as const }))
      : [],
    psi: [],
    ...(plan.recordSink && { recordSink: plan.recordSink }),
  };
}

export function startOf(
  plan: Plan,
  target: SimulationTarget,
  pids: readonly number[],
  sources: readonly string[],
): Start {
  return {
    type: "start",
    hierarchy: target.cgroup.hierarchy.version.number,
    fake_reason: null,
    fake_root: null,
    limit: target.limit ?? null,
    limit_owner: target.limitOwner ?? null,
    kind: plan.kind,
    rate: plan.rate ?? null,
    step: plan.step,
    stop_at: plan.stopAt ?? null,
    pids,
    swap_off: target.sandbox?.swapOff ?? null,
    group_kill: target.sandbox?.groupKill ?? false,
    machine: target.machine !== undefined,
    sources,
  };
}

/** File systems without a disk: their pages cannot be written back and reclaimed. */
const IN_MEMORY = new Set(["tmpfs", "ramfs", "rootfs", "devtmpfs", "hugetlbfs"]);

/** The first of `candidates` that lies on a disk and can be written; `undefined` when none does. */
export function findDiskDirectory(candidates: readonly string[]): string | undefined {
  const mounts = parseMountinfo(tryReadText("/proc/self/mountinfo") ?? "");
  return candidates.find((candidate) => {
    const directory = realPath(candidate);
    if (directory === undefined) return false;
    // Of several mounts on the same point the last one is visible.
    const mount = mounts.filter(({ mountPoint }) => isInSubtree(directory, mountPoint))
      .toSorted((a, b) => a.mountPoint.length - b.mountPoint.length).at(-1);
    return mount !== undefined && !IN_MEMORY.has(mount.fsType) && canMakeFile(directory);
  });
}

function canMakeFile(directory: string): boolean {
  try {
    Deno.removeSync(Deno.makeTempFileSync({ dir: directory, prefix: "oomkit-sim-" }));
    return true;
  } catch {
    return false;
  }
}

export interface SimulationTarget {
  readonly cgroup: Cgroup;
  /** Absent for oomkit's own cgroup. */
  readonly sandbox?: Sandbox;
  /** The effective limit in bytes; absent: none. */
  readonly limit?: number;
  readonly limitOwner?: string;
  readonly degraded?: Degradation;
  /** The machine is filled: bytes of its memory and swap. */
  readonly machine?: { readonly memory: number; readonly swap: number };
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
