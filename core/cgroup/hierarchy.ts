/** Finds the memory controller of this machine, and maps cgroup paths to directories. */

import { isAbsolute, resolve } from "node:path";
import { isInSubtree } from "../cgroup_path.ts";
import { OomkitError } from "../errors.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { type Mount, parseMountinfo, visibleMounts } from "../parse/mountinfo.ts";
import {
  type CgroupLine,
  isOutsideNamespace,
  mayBeRemoved,
  parseProcCgroup,
} from "../parse/procfs.ts";
import { whyNoMemoryCgroups } from "./absence.ts";
import {
  deviceOf,
  exists,
  readLink,
  realPath,
  tryDeviceOf,
  tryListDirectories,
  tryReadNames,
  tryReadRegularText,
} from "./files.ts";
import { readMeminfo } from "./machine.ts";
import { v1 } from "./v1.ts";
import { v2, v2WithLocalEvents } from "./v2.ts";
import type { CgroupVersion } from "./version.ts";

export interface Hierarchy {
  readonly version: CgroupVersion;
  /** Absolute directory. */
  readonly mount: string;
  /** The `st_dev` of `mount`: a directory of another file system is not one of its cgroups. */
  readonly device: number;
  /** Mounts below `mount`, which cover what the hierarchy has there, and other mounts of the same hierarchy. */
  readonly nested: readonly NestedMount[];
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
  /** The machine's memory in bytes, at discovery; absent for a copy, and where it cannot be read. */
  readonly machineBytes?: number;
  /** The path of this program's own cgroup, if the mount shows it. */
  readonly own?: string;
}

export interface NestedMount {
  /** Absolute directory. */
  readonly mount: string;
  /** The cgroup that it shows; absent if it shows none of this hierarchy. */
  readonly root?: string;
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

/** True if the whole hierarchy and all processes of the machine are visible: oomkit runs outside containers. */
export const showsMachine = ({ kernel, root, hidden, shifted }: Hierarchy): boolean =>
  kernel && root === "/" && !hidden && !shifted && inInitialPidNamespace();

/**
 * Finds the memory hierarchy: the machine's own, or the one laid out at `root`.
 * Throws {@link OomkitError} if there is none.
 */
export function discover(root?: string): Hierarchy {
  if (Deno.build.os !== "linux" && root === undefined) {
    throw notFound({
      why: `this is ${Deno.build.os}`,
      hint: "oomkit needs Linux; --root DIR reads a copied or fake tree",
    });
  }
  const mountinfo = tryReadNames("/proc/self/mountinfo");
  if (mountinfo === undefined && root === undefined) {
    throw notFound({
      why: "/proc/self/mountinfo cannot be read",
      hint: "mount /proc, or give a tree with --root DIR",
    });
  }
  const mounts = parseMountinfo(mountinfo ?? "");
  const lines = readCgroupLines("self");
  return root === undefined ? fromMounts(mounts, lines) : fromRoot(root, mounts, lines);
}

const notFound = ({ why, hint }: { readonly why: string; readonly hint: string }) =>
  new OomkitError(`cannot find memory cgroups: ${why}`, hint);

const isV1 = (m: Mount) => m.fsType === "cgroup" && m.superOptions.includes("memory");
const isV2 = (m: Mount) => m.fsType === "cgroup2";
const v2At = (m: Mount) => m.superOptions.includes("memory_localevents") ? v2WithLocalEvents : v2;

/** The lines of /proc/PID/cgroup; none if the process is gone. */
export const readCgroupLines = (pid: number | "self"): CgroupLine[] =>
  parseProcCgroup(tryReadNames(`/proc/${pid}/cgroup`) ?? "");

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
  memoryLine(readCgroupLines(pid), version);

function fromMount(
  mount: Mount,
  mounts: readonly Mount[],
  lines: readonly CgroupLine[],
): Hierarchy {
  const version = isV1(mount) ? v1 : v2At(mount);
  const shifted = isOutsideNamespace(mount.root);
  const hierarchy: Hierarchy = {
    version,
    mount: mount.mountPoint,
    device: mount.device,
    nested: nestedIn(mount, mounts),
    root: shifted ? "/" : mount.root,
    kernel: true,
    writable: mount.options.includes("rw") && mount.superOptions.includes("rw"),
    hybrid: version.number === 1 && visibleMounts(mounts, isV2).length > 0,
    hidden: !shifted && (mount.root !== "/" || !inInitialCgroupNamespace()),
    shifted,
  };
  const path = shifted ? undefined : memoryLine(lines, version)?.path;
  const own = path !== undefined && isVisible(hierarchy, path) ? path : undefined;
  return omitUndefined({ ...hierarchy, own, machineBytes: readMeminfo().total });
}

function isVisible(hierarchy: Hierarchy, path: string): boolean {
  const dir = directoryOf(hierarchy, path);
  return dir !== undefined && (!mayBeRemoved(path) || exists(dir));
}

function nestedIn(outer: Mount, mounts: readonly Mount[]): NestedMount[] {
  const isBelow = ({ mountPoint }: Mount) => isInSubtree(mountPoint, outer.mountPoint);
  // Another mount of the same hierarchy, which has other directories for the same cgroups.
  const isOther = ({ device, mountPoint }: Mount) =>
    device === outer.device && !isInSubtree(outer.mountPoint, mountPoint);
  return visibleMounts(
    mounts,
    (each) => each.mountPoint !== outer.mountPoint && (isBelow(each) || isOther(each)),
  ).flatMap(({ mountPoint, device, root }): NestedMount | [] => {
    if (device !== outer.device || isOutsideNamespace(root)) return { mount: mountPoint };
    // A cgroup that is mounted on itself, to be read-only for example, covers nothing.
    const covered = relativeTo(outer.mountPoint, mountPoint);
    return covered !== undefined && root === join(outer.root, covered)
      ? []
      : { mount: mountPoint, root };
  });
}

function fromMounts(mounts: readonly Mount[], lines: readonly CgroupLine[]): Hierarchy {
  const visible = visibleMounts(mounts, ({ fsType }) => /^cgroup2?$/.test(fsType));
  const found = visible
    .filter((m) => isV1(m) || (isV2(m) && hasMemory(m.mountPoint)))
    .filter(({ mountPoint, device }) => tryDeviceOf(mountPoint) === device)
    .map((m) => fromMount(m, mounts, lines))
    // The mount that shows most; of equals one that can be written, and then the one with the shortest path, such as /sys/fs/cgroup.
    .toSorted((a, b) =>
      Number(b.own !== undefined) - Number(a.own !== undefined) ||
      a.root.length - b.root.length || Number(b.writable) - Number(a.writable) ||
      a.mount.length - b.mount.length
    )[0];
  if (found) return found;
  throw notFound(whyNoMemoryCgroups(visible, lines, !inInitialCgroupNamespace()));
}

function fromRoot(root: string, mounts: readonly Mount[], lines: readonly CgroupLine[]): Hierarchy {
  const unusable = (
    name: string,
    why: string,
    hint = "give a directory laid out like /sys/fs/cgroup",
  ) => new OomkitError(`cannot use --root ${name}: ${why}`, hint);
  const dir = realPath(isAbsolute(root) ? root : resolve(root));
  if (root === "" || dir === undefined) {
    throw unusable(root === "" ? '""' : root, "no such directory");
  }
  if (deviceOf(dir) === undefined) throw unusable(root, "it is not a directory");
  const [mount] = [
    ...visibleMounts(mounts, (m) => m.mountPoint === dir && (isV1(m) || isV2(m))),
    ...visibleMounts(mounts, (m) => m.mountPoint === `${dir}/memory` && isV1(m)),
  ];
  if (mount && isV2(mount) && !hasMemory(mount.mountPoint)) {
    const { why, hint } = whyNoMemoryCgroups([mount], lines, !inInitialCgroupNamespace());
    throw unusable(root, why, hint);
  }
  if (mount) return fromMount(mount, mounts, lines);

  const within = visibleMounts(mounts, (m) => isInSubtree(dir, m.mountPoint))
    .toSorted((a, b) => b.mountPoint.length - a.mountPoint.length)[0];
  const kernel = within !== undefined && (isV1(within) || isV2(within));
  const found = kernel ? layoutIn(dir, 1) : layoutOfCopy(dir);
  if (found === undefined) {
    throw unusable(
      root,
      "neither it nor its subdirectories have memory.current or memory.usage_in_bytes",
    );
  }
  const { version, at } = found;
  return {
    version: kernel && version === v2 ? v2At(within) : version,
    mount: at,
    device: deviceOf(at) ?? 0,
    nested: kernel ? nestedIn({ ...within, mountPoint: at }, mounts) : [],
    // A part of a kernel's hierarchy keeps its paths.
    root: kernel ? join(within.root, at.slice(within.mountPoint.length)) : "/",
    kernel,
    writable: within?.options.includes("rw") ?? true,
    hybrid: false,
    shifted: false,
    hidden: kernel && at !== within.mountPoint,
    ...omitUndefined({ machineBytes: kernel ? readMeminfo().total : undefined }),
  };
}

interface Layout {
  readonly version: CgroupVersion;
  readonly at: string;
}

/** The levels of a copy that are searched for control files. */
const MAX_DEPTH_OF_COPY = 12;
/** A directory that is no copy is not searched any further. */
const MAX_DIRECTORIES_OF_COPY = 10_000;

/** A copy may have the memory controller's hierarchy in a subdirectory, and files of deeper cgroups only. */
function layoutOfCopy(dir: string): Layout | undefined {
  const itself = layoutIn(dir, 0);
  if (itself) return itself;
  const memory = `${dir}/memory`;
  if (layoutIn(memory, 0)?.version === v1) return { version: v1, at: memory };
  return layoutIn(dir, 1) ??
    [memory, dir].map((at) => layoutIn(at, MAX_DEPTH_OF_COPY)).find((found) => found !== undefined);
}

/** Looks for files that only one version has: in `dir` and as many levels below, since a v2 root has no memory.current. */
function layoutIn(dir: string, depth: number): Layout | undefined {
  let level = [dir];
  let count = 0;
  for (let below = 0; below <= depth && level.length > 0; below++) {
    for (const each of level) {
      if (exists(`${each}/memory.usage_in_bytes`)) return { version: v1, at: dir };
      if (hasMemory(each) || exists(`${each}/memory.current`)) return { version: v2, at: dir };
      if (++count === MAX_DIRECTORIES_OF_COPY) return undefined;
    }
    level = level.flatMap((each) =>
      (tryListDirectories(each) ?? []).map((name) => `${each}/${name}`)
    );
  }
  return undefined;
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
  if (!isAbsolute(path) || !isInSubtree(path, root) || isOutsideNamespace(path)) return undefined;
  return path.slice(root === "/" ? 0 : root.length) || "/";
}

/** The directory of a cgroup path; `undefined` if the mount does not show it. */
export function directoryOf(hierarchy: Hierarchy, path: string): string | undefined {
  const relative = relativeTo(hierarchy.root, path);
  if (relative === undefined) return undefined;
  const dir = join(hierarchy.mount, relative);
  return innermostMount(hierarchy, dir) === undefined ? dir : undefined;
}

/** The cgroup path of a directory; `undefined` if it is not in the mount, or belongs to another hierarchy. */
export function pathOf(hierarchy: Hierarchy, dir: string): string | undefined {
  const { mount, root } = innermostMount(hierarchy, dir) ?? hierarchy;
  const relative = relativeTo(mount, dir);
  return relative === undefined || root === undefined ? undefined : join(root, relative);
}

/** The nested mount that a directory is in; `undefined` for none. */
function innermostMount({ nested }: Hierarchy, dir: string): NestedMount | undefined {
  const around = nested.filter(({ mount }) => isInSubtree(dir, mount));
  return around.toSorted((a, b) => b.mount.length - a.mount.length)[0];
}
