/** What is to be simulated, and what that means for the allocators and for the watch. */

import { realPath, tryReadText } from "../cgroup/files.ts";
import { isInSubtree } from "../cgroup_path.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { parseMountinfo } from "../parse/mountinfo.ts";
import type { RecordSink } from "../record/format.ts";
import type { WatchOptions } from "../watch/options.ts";
import type { Allocation, Kind, SignalReply } from "./allocator_protocol.ts";
import type { Expectation, Start } from "./event.ts";
import type { SimulationTarget } from "./target.ts";

/** Sizes are bytes. */
export interface Plan {
  readonly kind: Kind;
  /** Per second, of all processes together; absent: as fast as possible. */
  readonly rate?: number;
  /** What is touched at a time. */
  readonly step: number;
  /** Usage at which the allocators stop. */
  readonly stopAt?: number;
  /** Upper bound of what each process touches. */
  readonly maxBytes: number;
  readonly holdMs: number;
  readonly processes: number;
  readonly onSignal?: SignalReply;
  readonly http?: { readonly hostname: string; readonly port: number };
  /** A folder on a disk, for `file`. */
  readonly folder?: string;
  /** The simulation ends after this time, whatever its state. */
  readonly timeoutMs?: number;
  readonly thresholds: WatchOptions["thresholds"];
  readonly expected: Expectation | null;
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
  const { kind, rate, step, stopAt, maxBytes, holdMs, processes, onSignal, http, folder } = plan;
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
    folder,
  });
  const first = http ? { ...allocation, http } : allocation;
  return Array.from({ length: processes }, (_, index) => index === 0 ? first : allocation);
}

/** Pressure levels exist on v1 only; on v2 a PSI trigger reports stalls too late to be of use here. */
export function watchOptions(plan: Plan, { cgroup, sandbox }: SimulationTarget): WatchOptions {
  const levels = ["low", "medium", "critical"] as const;
  const hasLevels = cgroup.hierarchy.kernel && cgroup.hierarchy.version.notifiesPressureLevels;
  return {
    targets: [cgroup],
    recursive: false,
    thresholds: plan.thresholds,
    pressure: hasLevels && sandbox
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
    sources,
  };
}

/** File systems without a disk: their pages cannot be written back and reclaimed. */
const IN_MEMORY = new Set(["tmpfs", "ramfs", "rootfs", "devtmpfs", "hugetlbfs"]);

/** The first of `candidates` that lies on a disk and can be written; `undefined` when none does. */
export function findDiskFolder(candidates: readonly string[]): string | undefined {
  const mounts = parseMountinfo(tryReadText("/proc/self/mountinfo") ?? "");
  return candidates.find((candidate) => {
    const folder = realPath(candidate);
    if (folder === undefined) return false;
    // Of several mounts on the same point the last one is visible.
    const mount = mounts.filter(({ mountPoint }) => isInSubtree(folder, mountPoint))
      .toSorted((a, b) => a.mountPoint.length - b.mountPoint.length).at(-1);
    return mount !== undefined && !IN_MEMORY.has(mount.fsType) && canMakeFile(folder);
  });
}

function canMakeFile(folder: string): boolean {
  try {
    Deno.removeSync(Deno.makeTempFileSync({ dir: folder, prefix: "oomkit-sim-" }));
    return true;
  } catch {
    return false;
  }
}
