/**
 * OOMHero's way to see: in a pod with a shared process namespace there is no hierarchy to look at, but each process has a root
 * directory in which its container's cgroup is mounted.
 */

import { statfsSync } from "node:fs";
import { parseProcCgroup } from "../parse/procfs.ts";
import { type Cgroup, openCgroup } from "./cgroup.ts";
import { exists, listDirectories, tryReadText } from "./files.ts";
import { type Hierarchy, memoryLine } from "./hierarchy.ts";
import { v1 } from "./v1.ts";
import { v2 } from "./v2.ts";

/**
 * The cgroups of all processes but those of this program's own, each once, as seen through /proc/PID/root. Their paths are
 * told as `/proc/PID` of one process in each: in its own namespace it has none but "/".
 */
export function cgroupsOfProcesses(protectedPids: ReadonlySet<number>): Cgroup[] {
  const found = new Map<number, Cgroup>();
  for (const name of listDirectories("/proc") ?? []) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || protectedPids.has(pid)) continue;
    const cgroup = cgroupThrough(pid);
    if (cgroup && !found.has(cgroup.inode)) found.set(cgroup.inode, cgroup);
  }
  return [...found.values()];
}

/** linux/magic.h: CGROUP_SUPER_MAGIC and CGROUP2_SUPER_MAGIC. */
const CGROUP_FILE_SYSTEMS = [0x27e0eb, 0x63677270];

/**
 * A container that may mount can put anything there: a FIFO would be waited for, and figures of its own would be believed. Only
 * what the kernel itself wrote is read.
 */
function isKernels(dir: string): boolean {
  try {
    return CGROUP_FILE_SYSTEMS.includes(statfsSync(dir).type);
  } catch {
    // Another user's process, or one that is gone.
    return false;
  }
}

function cgroupThrough(pid: number): Cgroup | undefined {
  const base = `/proc/${pid}/root/sys/fs/cgroup`;
  const mount = [`${base}/memory`, base].find((dir) =>
    isKernels(dir) &&
    (existsQuietly(`${dir}/cgroup.procs`) || existsQuietly(`${dir}/cgroup.controllers`))
  );
  if (mount === undefined) return undefined;
  const version = existsQuietly(`${mount}/cgroup.controllers`) ? v2 : v1;
  const line = memoryLine(parseProcCgroup(tryReadText(`/proc/${pid}/cgroup`) ?? ""), version);
  // Seen from another cgroup namespace the path leads up and out; then the mount's root is what the process has.
  const path = line === undefined || line.path.startsWith("/..") ? "/" : line.path;
  const dir = [`${mount}${path === "/" ? "" : path}`, mount]
    .find((dir) => isKernels(dir) && holds(dir, pid));
  if (dir === undefined) return undefined;
  const hierarchy: Hierarchy = {
    version,
    mount: dir,
    root: `/proc/${pid}`,
    kernel: true,
    writable: false,
    hybrid: false,
    hidden: true,
    shifted: false,
  };
  return openCgroup(hierarchy, `/proc/${pid}`);
}

/** cgroup.procs of any mount tells pids as the reader's namespace knows them. */
function holds(dir: string, pid: number): boolean {
  return (tryReadText(`${dir}/cgroup.procs`) ?? "").split("\n").includes(String(pid));
}

function existsQuietly(path: string): boolean {
  try {
    return exists(path);
  } catch {
    // Another user's process.
    return false;
  }
}
