/**
 * Cgroups of the other containers of a pod with a shared process namespace, as OOMHero finds them: no common hierarchy is mounted,
 * but the root directory of each process shows its container's cgroup.
 */

import { statfsSync } from "node:fs";
import { type Cgroup, openCgroup } from "./cgroup.ts";
import { isOutsideNamespace } from "../parse/procfs.ts";
import { listDirectories, tryDeviceOf, tryExists, tryReadText } from "./files.ts";
import {
  type Hierarchy,
  inInitialPidNamespace,
  readCgroupLines,
  readMemoryLine,
} from "./hierarchy.ts";
import { identify } from "./identity.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { readMeminfo } from "./machine.ts";
import { pidsIn } from "./pids.ts";
import { v1 } from "./v1.ts";
import { v2 } from "./v2.ts";

/** Whether this process and the first one of its process namespace, in a pod the pause process, are in different containers. */
export function inSharedPidNamespace(): boolean {
  if (inInitialPidNamespace()) return false;
  const own = containersOf("self");
  // In a cgroup namespace of this container, the path of any other process leads out of it.
  return readCgroupLines(1).some(({ path }) => isOutsideNamespace(path)) ||
    (own.size > 0 && containersOf(1).isDisjointFrom(own) && containersOf(1).size > 0);
}

const containersOf = (pid: number | "self"): Set<string> =>
  new Set(readCgroupLines(pid).flatMap(({ path }) => identify(path).containerId ?? []));

/**
 * The cgroups of all processes except `protectedPids`, each once, through /proc/PID/root. A cgroup's path is the `/proc/PID` of one
 * of its processes: in its own namespace every path is "/".
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
 * A container that may mount file systems can put anything there: a FIFO would block, and invented values would be trusted. So only
 * the kernel's own cgroup file systems are read.
 */
function isCgroupfs(dir: string): boolean {
  try {
    return CGROUP_FILE_SYSTEMS.includes(statfsSync(dir).type);
  } catch {
    // A process of another user, or one that is gone.
    return false;
  }
}

function cgroupThrough(pid: number): Cgroup | undefined {
  const base = `/proc/${pid}/root/sys/fs/cgroup`;
  const mount = [`${base}/memory`, base].find((dir) =>
    isCgroupfs(dir) &&
    (tryExists(`${dir}/cgroup.procs`) || tryExists(`${dir}/cgroup.controllers`))
  );
  if (mount === undefined) return undefined;
  const version = tryExists(`${mount}/cgroup.controllers`) ? v2 : v1;
  const line = readMemoryLine(pid, version);
  // In another cgroup namespace the path leads out of the mount; then the process is in the mount's root.
  const path = line === undefined || isOutsideNamespace(line.path) ? "/" : line.path;
  const dir = [`${mount}${path === "/" ? "" : path}`, mount]
    .find((dir) => isCgroupfs(dir) && holds(dir, pid));
  const device = dir === undefined ? undefined : tryDeviceOf(dir);
  if (dir === undefined || device === undefined) return undefined;
  const hierarchy: Hierarchy = {
    version,
    mount: dir,
    device,
    nested: [],
    root: `/proc/${pid}`,
    kernel: true,
    writable: false,
    hybrid: false,
    hidden: true,
    shifted: false,
    ...omitUndefined({ machineBytes: readMeminfo().total }),
  };
  return openCgroup(hierarchy, `/proc/${pid}`);
}

/** cgroup.procs has pids of the reader's namespace, in every mount. */
const holds = (dir: string, pid: number): boolean =>
  pidsIn(tryReadText(`${dir}/cgroup.procs`) ?? "").has(pid);
