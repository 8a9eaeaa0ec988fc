/** The limit that counts for a cgroup: its own, an ancestor's, or the machine's memory. */

import { parentPath } from "../cgroup_path.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { parseSize } from "../parse/cgroupfs.ts";
import type { Meminfo } from "../parse/procfs.ts";
import {
  type AncestorLimit,
  effectiveHigh,
  type EffectiveLimit,
  effectiveLimit,
  type Headroom,
  headroom,
  type HighLimit,
  type MachineMemory,
  machineMemory,
  workingSet,
} from "../policy/limits.ts";
import {
  type Cgroup,
  chargedAncestorsOf,
  tryReadControl,
  tryReader,
  tryReadSnapshot,
} from "./cgroup.ts";
import { exists } from "./files.ts";
import { readMachineUsage, readMeminfo } from "./machine.ts";

export interface Ancestry {
  /** The cgroup itself, then its ancestors, nearest first. */
  readonly chain: readonly AncestorLimit[];
  readonly limit: EffectiveLimit;
  /** The same without the machine's memory: what a cgroup sets. */
  readonly cgroupLimit: EffectiveLimit;
  /** The memory.high that slows allocators down before the limit is hit. */
  readonly high?: HighLimit;
  readonly headroom?: Headroom;
  /** Headroom with working sets instead of usage: what is left after the kernel has dropped idle page cache. */
  readonly workingSetHeadroom?: Headroom;
  /** False if an ancestor that is not visible or not readable may be tighter than `limit`. */
  readonly certain: boolean;
  /** Paths of the cgroups with a limit that cannot be read or parsed. */
  readonly unreadable: readonly string[];
}

/** @param meminfo of the machine of the cgroup, which is unknown for a copy. */
export function readAncestry(cgroup: Cgroup, meminfo = meminfoOf(cgroup)): Ancestry {
  const cgroups = [cgroup, ...chargedAncestorsOf(cgroup)];
  const chain = cgroups.map(readAncestor);
  const unreadable = cgroups.filter((each, at) =>
    chain[at]!.limit === undefined && shouldHaveLimit(each)
  ).map(({ path }) => path);
  const hierarchical = readHierarchicalLimit(cgroup);
  const machine = machineMemory(meminfo);
  const limit = effectiveLimit(chain, { hierarchical, machine });
  return omitUndefined({
    chain,
    limit,
    cgroupLimit: effectiveLimit(chain, { hierarchical }),
    high: effectiveHigh(chain, limit.bytes),
    headroom: headroom(chain, "usage", { hierarchical, machine }),
    workingSetHeadroom: headroom(chain, "workingSet", { hierarchical, machine }),
    certain: unreadable.length === 0 && (!cgroup.hierarchy.hidden || hierarchical !== undefined),
    unreadable,
  });
}

/** Why no limit of a cgroup can be used, in a clause: there is none, it cannot be read, or it is 0. */
export function whyNoLimit(cgroup: Cgroup): string {
  const { unreadable: [path], cgroupLimit } = readAncestry(cgroup);
  if (path !== undefined) return `the limit of ${path} cannot be read`;
  return cgroupLimit.bytes === 0
    ? `the limit of ${cgroupLimit.owner ?? "an ancestor"} is 0`
    : "no limit on this cgroup or any parent";
}

/** Where the kernel has no limit file it has no limit; in a copy the file may be missing. */
function shouldHaveLimit(cgroup: Cgroup): boolean {
  const { path, dir, hierarchy: { kernel, version } } = cgroup;
  if (exists(`${dir}/${version.limitFile}`)) return true;
  if (kernel || path === "/") return false;
  const controllers = tryReadControl(cgroup, "cgroup.controllers");
  return controllers === undefined || controllers.split(/\s+/).includes("memory");
}

const meminfoOf = ({ hierarchy }: Cgroup): Meminfo => hierarchy.kernel ? readMeminfo() : {};

/** `undefined` for a cgroup of a copy. */
export const readMachineMemory = (cgroup: Cgroup): MachineMemory | undefined =>
  machineMemory(meminfoOf(cgroup));

/** The limits above a cgroup, by its parent's path. */
export type AncestorLimits = Map<string, readonly AncestorLimit[]>;

/**
 * Only {@link Ancestry.limit}, without working sets, for callers that read it often.
 *
 * @param known is filled: a pass over many cgroups reads their common ancestors once.
 */
export function readEffectiveLimit(
  cgroup: Cgroup,
  known: AncestorLimits = new Map(),
): EffectiveLimit {
  // The topmost visible cgroup has no parent, and "/" must not share the key of the cgroups right below it.
  const parent = cgroup.path === cgroup.hierarchy.root ? "" : parentPath(cgroup.path);
  const above = known.get(parent) ?? chargedAncestorsOf(cgroup).map(readLimitAndUsage);
  known.set(parent, above);
  const { machineBytes } = cgroup.hierarchy;
  return effectiveLimit([readLimitAndUsage(cgroup), ...above], {
    hierarchical: readHierarchicalLimit(cgroup),
    machine: machineBytes === undefined ? undefined : { memory: machineBytes },
  });
}

/** v1 only: includes the ancestors that a container's mount does not show. Read only if there are any. */
function readHierarchicalLimit(cgroup: Cgroup): number | undefined {
  if (!cgroup.hierarchy.hidden) return undefined;
  return tryReadSnapshot(cgroup, ["memory.stat"]).limits.hierarchical;
}

export function readLimitAndUsage(cgroup: Cgroup): AncestorLimit {
  if (cgroup.machine) return { path: cgroup.path, ...readMachineUsage(cgroup.machine) };
  const { version } = cgroup.hierarchy;
  const read = tryReader(cgroup);
  return {
    path: cgroup.path,
    limit: version.limit(read),
    usage: parseSize(read(version.usageFile)),
  };
}

/** With the working set where there is a limit. */
export function readAncestor(cgroup: Cgroup): AncestorLimit {
  const own = readLimitAndUsage(cgroup);
  // The working set costs a read of memory.stat and is needed only if there is a limit.
  const isLimited = own.limit !== undefined && own.limit !== Infinity;
  const forWorkingSet = isLimited ? ["memory.stat", cgroup.hierarchy.version.usageFile] : [];
  const part = tryReadSnapshot(cgroup, ["memory.high", ...forWorkingSet]);
  return { ...own, ...omitUndefined({ high: part.limits.high, workingSet: workingSet(part) }) };
}
