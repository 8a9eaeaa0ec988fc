/** What is to be simulated, and what that means for the allocators and for the watch. */

import type { RecordSink } from "../record/format.ts";
import type { WatchOptions } from "../watch/options.ts";
import type { Allocation, Kind, SignalReply } from "./allocation.ts";
import type { Expectation, Start } from "./event.ts";
import type { SimulationTarget } from "./target.ts";

/** Sizes are bytes, times milliseconds. */
export interface Plan {
  readonly kind: Kind;
  /** A second, of all processes together; as fast as it goes without. */
  readonly rate?: number;
  /** What is touched at once. */
  readonly step: number;
  /** Of usage. */
  readonly stopAt?: number;
  /** What each process allocates at most. */
  readonly most: number;
  readonly hold: number;
  readonly processes: number;
  readonly onSignal?: SignalReply;
  readonly http?: { readonly hostname: string; readonly port: number };
  /** A folder on a disk, for `file`. */
  readonly folder?: string;
  /** Ends it, whatever it has come to. */
  readonly for?: number;
  readonly thresholds: WatchOptions["thresholds"];
  readonly expected: Expectation | null;
  /** Gets what the watch reads. */
  readonly recordSink?: RecordSink;
}

/**
 * Progress lines on the way to the limit. A pipe holds ten times as many, so that an allocator never waits for its reader;
 * and reading them must not keep the watch, which has the same thread, from being in time.
 */
const MAX_REPORTS = 128;

/** One for each process; the port can only be one's. */
export function allocationsOf(plan: Plan, target: SimulationTarget): Allocation[] {
  const { kind, rate, step, stopAt, most, hold, processes, onSignal, http, folder } = plan;
  const { dir, hierarchy } = target.cgroup;
  const allocation: Allocation = {
    kind,
    usageFile: `${dir}/${hierarchy.version.usageFile}`,
    most,
    step,
    report: Math.max(step, Math.ceil((target.limit ?? most) / MAX_REPORTS)),
    hold,
    parent: Deno.pid,
    ...(target.sandbox && { enter: target.sandbox.procsFile }),
    ...(stopAt !== undefined && { stopAt }),
    ...(rate !== undefined && { rate: rate / processes }),
    ...(onSignal && { onSignal }),
    ...(folder !== undefined && { folder }),
  };
  const first = http ? { ...allocation, http } : allocation;
  return Array.from({ length: processes }, (_, index) => index === 0 ? first : allocation);
}

/** Pressure is v1's own; on v2 a PSI trigger tells of stalls too late to be of use here. */
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
    fake: null,
    root: null,
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
