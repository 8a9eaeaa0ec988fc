/** Which cgroups are guarded, and the limit of each. */

import { readEffectiveLimit } from "../cgroup/ancestry.ts";
import { type Cgroup, openCgroup, readSummary, walk } from "../cgroup/cgroup.ts";
import { type MachineFiles, readMachineUsage, readSwapTotal } from "../cgroup/machine.ts";
import { oomTotalBytesOf } from "../policy/victims.ts";
import type { Scope } from "../watch/scopes.ts";

export interface Candidate {
  readonly cgroup: Cgroup;
  /** It was named as a target, not found below one. */
  readonly isTarget: boolean;
}

export function* candidatesIn(scopes: readonly Scope[]): Generator<Candidate> {
  const machine = scopes.find(({ cgroup }) => cgroup.machine)?.cgroup;
  if (machine) yield { cgroup: machine, isTarget: true };
  for (const { cgroup: { hierarchy, path, machine: isMachine }, recursive, pattern } of scopes) {
    const top = isMachine ? undefined : openCgroup(hierarchy, path);
    if (top === undefined) continue;
    for (const cgroup of recursive ? walk(top) : [top]) {
      // The machine is guarded in place of the root cgroup, which has no limit.
      if (cgroup.path === machine?.path) continue;
      if (pattern && !pattern.test(cgroup.path)) continue;
      yield { cgroup, isTarget: pattern === undefined && cgroup.path === path };
    }
  }
}

export function sameScopes(some: readonly Scope[], others: readonly Scope[]): boolean {
  const textOf = ({ cgroup, recursive, pattern }: Scope) =>
    `${cgroup.path}\n${cgroup.machine !== undefined}\n${recursive}\n${pattern?.source}`;
  return some.map(textOf).join("\n\n") === others.map(textOf).join("\n\n");
}

/** The cgroup path of a directory; the directory itself when it lies in another hierarchy. */
export function pathIn(scopes: readonly Scope[], dir: string): string {
  const mount = scopes[0]?.cgroup.hierarchy.mount ?? "";
  return dir.startsWith(`${mount}/`) ? dir.slice(mount.length) : dir;
}

export interface GuardedLimit {
  readonly limitOwner: Cgroup;
  /** Bytes. */
  readonly limit: number;
  /** Bytes, when the limit was read; 0 where it is unknown. */
  readonly usage: number;
  /** Bytes; totalpages of oom_badness, see `oomTotalBytesOf`. */
  readonly oomTotalBytes: number;
  /** The machine has swap. */
  readonly canSwap: boolean;
}

/** A limit that is wider than the machine's memory is never hit. */
const withinMachine = ({ hierarchy: { machineBytes } }: Cgroup, limit: number): number =>
  limit === Infinity ? limit : Math.min(limit, machineBytes ?? Infinity);

/**
 * The effective limit of a target, which an ancestor may set; of a cgroup below a target only its own limit, since that of another
 * cgroup is guarded there. `undefined` when there is none.
 *
 * @param soft soft limits count too.
 */
export function limitOf(
  cgroup: Cgroup,
  isTarget: boolean,
  soft: boolean,
): GuardedLimit | undefined {
  if (cgroup.machine) return limitOfMachine(cgroup, cgroup.machine);
  const own = readSummary(cgroup);
  if (own === undefined) return undefined;
  const effective = isTarget ? readEffectiveLimit(cgroup) : undefined;
  const ancestor = effective?.owner === undefined || effective.owner === cgroup.path
    ? undefined
    : openCgroup(cgroup.hierarchy, effective.owner);
  const summary = ancestor ? readSummary(ancestor) : own;
  if (summary === undefined) return undefined;
  const { limits, usage = 0 } = summary;
  const hard = effective?.bytes ?? withinMachine(cgroup, own.limits.max ?? Infinity);
  const limit = Math.min(hard, soft ? limits.soft ?? limits.high ?? Infinity : Infinity);
  if (!Number.isFinite(limit) || limit <= 0) return undefined;
  const swapTotal = readSwapTotal();
  const total = oomTotalBytesOf({ ...limits, max: hard }, swapTotal);
  const oomTotalBytes = total !== undefined && Number.isFinite(total) ? total : hard;
  const canSwap = swapTotal !== 0;
  return { limitOwner: ancestor ?? cgroup, limit, usage, oomTotalBytes, canSwap };
}

function limitOfMachine(limitOwner: Cgroup, files: MachineFiles): GuardedLimit | undefined {
  const found = readMachineUsage(files);
  if (found === undefined) return undefined;
  const { limit, usage } = found;
  const swapTotal = readSwapTotal(files.meminfo) ?? 0;
  // The kernel's totalpages include huge pages (mm/oom_kill.c, constrained_alloc).
  const oomTotalBytes = (limitOwner.hierarchy.machineBytes ?? limit) + swapTotal;
  return { limitOwner, limit, usage, oomTotalBytes, canSwap: swapTotal !== 0 };
}
