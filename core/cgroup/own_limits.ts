/** The limits of the cgroup that this program runs in. */

import { dirname } from "node:path";
import { parentPath } from "../cgroup_path.ts";
import { readAncestry } from "./ancestry.ts";
import { ancestorsOf } from "./cgroup.ts";
import { tryReadText } from "./files.ts";
import { type Hierarchy, join, readCgroupLines } from "./hierarchy.ts";
import { tryOwnCgroup } from "./resolve.ts";

export interface OwnLimits {
  /** Bytes; `Infinity` without one, and where it is not visible. */
  readonly memory: number;
  /** CPUs; `Infinity` without one, and where it is not visible. */
  readonly cpus: number;
}

export function readOwnLimits(hierarchy: Hierarchy): OwnLimits {
  const own = hierarchy.kernel ? tryOwnCgroup(hierarchy) : undefined;
  if (own === undefined) return { memory: Infinity, cpus: Infinity };
  const directories = hierarchy.version.number === 2
    ? [own, ...ancestorsOf(own)].map(({ dir }) => dir)
    : cpuDirectories(hierarchy);
  return {
    memory: readAncestry(own).cgroupLimit.bytes,
    cpus: Math.min(Infinity, ...directories.map(cpusIn)),
  };
}

/** Of v1, where the hierarchy of CPU time is mounted beside that of memory. */
function cpuDirectories({ mount }: Hierarchy): string[] {
  const line = readCgroupLines("self").find(({ controllers }) => controllers.includes("cpu"));
  if (line === undefined) return [];
  const paths = [line.path];
  while (paths[0] !== "/") paths.unshift(parentPath(paths[0]!));
  return paths.map((path) => join(`${dirname(mount)}/cpu`, path));
}

/** kernel/sched/core.c: "max" or -1 without a limit, else microseconds in a period. */
function cpusIn(directory: string): number {
  const read = (name: string) => tryReadText(`${directory}/${name}`)?.trim();
  const text = read("cpu.max") ?? `${read("cpu.cfs_quota_us")} ${read("cpu.cfs_period_us")}`;
  const [quota, period] = text.split(" ").map(Number) as [number, number];
  return quota > 0 && period > 0 ? quota / period : Infinity;
}
