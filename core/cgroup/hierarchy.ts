/** Finds the memory controller of this machine, and maps cgroup paths to directories. */

import { isAbsolute, resolve } from "node:path";
import { isInSubtree } from "../cgroup_path.ts";
import { OomkitError } from "../errors.ts";
import { type Mount, parseMountinfo } from "../parse/mountinfo.ts";
import { type CgroupLine, parseProcCgroup } from "../parse/procfs.ts";
import {
  exists,
  inodeOf,
  listDirectories,
  readLink,
  readText,
  realPath,
  tryReadRegularText,
  tryReadText,
} from "./files.ts";
import { v1 } from "./v1.ts";
import { v2 } from "./v2.ts";
import type { CgroupVersion } from "./version.ts";

export interface Hierarchy {
  readonly version: CgroupVersion;
  /** Absolute directory. */
  readonly mount: string;
  /** The cgroup that `mount` shows: "/", or a deeper one if only a part of the hierarchy is mounted. */
  readonly root: string;
  /** A kernel's cgroupfs; false for a directory that is only laid out like one. */
  readonly kernel: boolean;
  readonly writable: boolean;
  /** The memory controller is in v1, and a cgroup2 file system is mounted too. */
  readonly hybrid: boolean;
  /** Ancestors above `root` exist, or may exist, that are not visible. */
  readonly hidden: boolean;
  /**
   * The paths in /proc/PID/cgroup and those of the mount have different roots: this is a cgroup namespace with a mount from
   * outside of it.
   */
  readonly shifted: boolean;
  /** The path of this program's own cgroup, if the mount shows it. */
  readonly own?: string;
}

/** Inode numbers of the initial namespaces: kernel, include/linux/proc_ns.h. */
const INITIAL_CGROUP_NAMESPACE = "cgroup:[4026531835]";
const INITIAL_PID_NAMESPACE = "pid:[4026531836]";

/** Kernels before 4.6 have no cgroup namespaces: they have only the initial one. */
function inInitialCgroupNamespace(): boolean {
  return (readLink("/proc/self/ns/cgroup") ?? INITIAL_CGROUP_NAMESPACE) ===
    INITIAL_CGROUP_NAMESPACE;
}

/** True if pid 1 is the machine's init, which the kernel never kills. */
export const inInitialPidNamespace = (): boolean =>
  (readLink("/proc/self/ns/pid") ?? INITIAL_PID_NAMESPACE) === INITIAL_PID_NAMESPACE;

/** True outside containers: this program's cgroup and pid namespaces are the machine's. */
export const onHost = (): boolean => inInitialCgroupNamespace() && inInitialPidNamespace();

/**
 * Finds the memory hierarchy: the machine's own, or the one laid out at `root`.
 * Throws {@link OomkitError} if there is none.
 */
export function discover(root?: string): Hierarchy {
  if (Deno.build.os !== "linux" && root === undefined) {
    throw notFound(
      `this is ${Deno.build.os}`,
      "oomkit needs Linux; --root DIR reads a copied or fake tree",
    );
  }
  const mountinfo = readText("/proc/self/mountinfo");
  if (mountinfo === undefined && root === undefined) {
    throw notFound(
      "/proc/self/mountinfo does not exist",
      "mount /proc, or give a tree with --root DIR",
    );
  }
  const mounts = parseMountinfo(mountinfo ?? "");
  const lines = parseProcCgroup(tryReadText("/proc/self/cgroup") ?? "");
  return root === undefined ? fromMounts(mounts, lines) : fromRoot(root, mounts, lines);
}

const notFound = (why: string, hint: string) =>
  new OomkitError(`cannot find memory cgroups: ${why}`, hint);

const isV1 = (m: Mount) => m.fsType === "cgroup" && m.superOptions.includes("memory");
const isV2 = (m: Mount) => m.fsType === "cgroup2";

/** The line of /proc/PID/cgroup with the cgroup that is charged for the process's memory. */
export function memoryLine(
  lines: readonly CgroupLine[],
  version: CgroupVersion,
): CgroupLine | undefined {
  return version.number === 1
    ? lines.find((l) => l.controllers.includes("memory"))
    : lines.find((l) => l.hierarchyId === 0);
}

/** {@link memoryLine} of a process; `undefined` if it is gone. */
export const readMemoryLine = (pid: number, version: CgroupVersion): CgroupLine | undefined =>
  memoryLine(parseProcCgroup(tryReadText(`/proc/${pid}/cgroup`) ?? ""), version);

function fromMount(
  mount: Mount,
  mounts: readonly Mount[],
  lines: readonly CgroupLine[],
): Hierarchy {
  const version = isV1(mount) ? v1 : v2;
  const own = memoryLine(lines, version);
  const shifted = mount.root.startsWith("/..");
  const inside = own && !own.deleted && !shifted && relativeTo(mount.root, own.path) !== undefined;
  return {
    version,
    mount: mount.mountPoint,
    root: shifted ? "/" : mount.root,
    kernel: true,
    writable: mount.options.includes("rw") && mount.superOptions.includes("rw"),
    hybrid: mounts.some(isV2) && version.number === 1,
    hidden: !shifted && (mount.root !== "/" || !inInitialCgroupNamespace()),
    shifted,
    ...(inside ? { own: own.path } : {}),
  };
}

function fromMounts(mounts: readonly Mount[], lines: readonly CgroupLine[]): Hierarchy {
  const usable = mounts.filter((m) =>
    (isV1(m) || (isV2(m) && hasMemory(m.mountPoint))) && exists(m.mountPoint)
  );
  const found = usable
    .map((m) => fromMount(m, mounts, lines))
    // The mount that shows most; of equals the one with the shortest path, such as /sys/fs/cgroup.
    .toSorted((a, b) =>
      Number(b.own !== undefined) - Number(a.own !== undefined) ||
      a.root.length - b.root.length || a.mount.length - b.mount.length
    )[0];
  if (found) return found;
  throw notFound(
    whyNoMemory(mounts),
    "enable the memory controller (cgroup_enable=memory), or give a tree with --root DIR",
  );
}

/** @param mounts without a usable memory hierarchy. */
export function whyNoMemory(mounts: readonly Mount[]): string {
  const v2Mount = mounts.find(isV2);
  if (v2Mount) return `${v2Mount.mountPoint} has no memory controller`;
  return mounts.some(({ fsType }) => fsType === "cgroup")
    ? "no cgroup v1 mount has the memory controller; " +
      "without CONFIG_MEMCG_V1 the kernel has it for v2 only"
    : "no cgroup file system is mounted";
}

function fromRoot(root: string, mounts: readonly Mount[], lines: readonly CgroupLine[]): Hierarchy {
  const unusable = (name: string, why: string) =>
    new OomkitError(
      `cannot use --root ${name}: ${why}`,
      "give a directory laid out like /sys/fs/cgroup",
    );
  const dir = realPath(isAbsolute(root) ? root : resolve(root));
  if (root === "" || dir === undefined) {
    throw unusable(root === "" ? '""' : root, "no such directory");
  }
  if (inodeOf(dir) === undefined) throw unusable(root, "it is not a directory");
  const mount = mounts.findLast((m) => m.mountPoint === dir && (isV1(m) || isV2(m)));
  if (mount) return fromMount(mount, mounts, lines);

  for (const candidate of [dir, `${dir}/memory`]) {
    if (candidate !== dir) {
      const child = mounts.findLast((m) => m.mountPoint === candidate && isV1(m));
      if (child) return fromMount(child, mounts, lines);
    }
    const version = layoutOf(candidate);
    if (version === undefined) continue;
    const within = mounts.findLast((m) =>
      isInSubtree(candidate, m.mountPoint) && m.mountPoint !== "/"
    );
    const kernel = within !== undefined && (isV1(within) || isV2(within));
    return {
      version,
      mount: candidate,
      // A part of a kernel's hierarchy keeps its paths.
      root: kernel ? join(within.root, candidate.slice(within.mountPoint.length)) : "/",
      kernel,
      writable: within?.options.includes("rw") ?? true,
      hybrid: false,
      shifted: false,
      hidden: kernel && candidate !== within.mountPoint,
    };
  }
  throw unusable(
    root,
    "neither it nor its subdirectories have memory.current or memory.usage_in_bytes",
  );
}

/** Looks at the files of `dir` and of its children: the root of a v2 hierarchy has no memory.current. */
function layoutOf(dir: string): CgroupVersion | undefined {
  if (exists(`${dir}/memory.usage_in_bytes`)) return v1;
  const children = (listDirectories(dir) ?? []).map((name) => `${dir}/${name}`);
  return hasMemory(dir) || [dir, ...children].some((each) => exists(`${each}/memory.current`))
    ? v2
    : undefined;
}

/** v2: true if the memory controller belongs to this hierarchy and not to a v1 hierarchy. */
const hasMemory = (dir: string): boolean =>
  tryReadRegularText(`${dir}/cgroup.controllers`)?.split(/\s+/).includes("memory") ?? false;

export function join(parent: string, child: string): string {
  const relative = child.replace(/^\/+|\/+$/g, "");
  if (relative === "") return parent;
  return parent === "/" ? `/${relative}` : `${parent}/${relative}`;
}

/** `path` without its leading `root`, as "/" or "/a/b"; `undefined` if it is not in that subtree. */
export function relativeTo(root: string, path: string): string | undefined {
  if (!isAbsolute(path) || !isInSubtree(path, root)) return undefined;
  return path.slice(root === "/" ? 0 : root.length) || "/";
}

/** The directory of a cgroup path; `undefined` if the mount does not show it. */
export function directoryOf(hierarchy: Hierarchy, path: string): string | undefined {
  const relative = relativeTo(hierarchy.root, path);
  return relative === undefined ? undefined : join(hierarchy.mount, relative);
}

/** The cgroup path of a directory; `undefined` if it is not in the mount. */
export function pathOf(hierarchy: Hierarchy, dir: string): string | undefined {
  const relative = relativeTo(hierarchy.mount, dir);
  return relative === undefined ? undefined : join(hierarchy.root, relative);
}
