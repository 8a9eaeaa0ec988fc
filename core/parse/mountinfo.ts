/** `/proc/PID/mountinfo` (proc(5); kernel: fs/proc_namespace.c). Pure. */

import { isInSubtree } from "../cgroup_path.ts";
import { wholeLines } from "./cgroupfs.ts";

export interface Mount {
  readonly id: number;
  readonly parentId: number;
  /** The `st_dev` of what is mounted: stat(2). */
  readonly device: number;
  /** The mounted part of the file system; for a cgroup outside this cgroup namespace a path such as `/../..`. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  readonly fsType: string;
  readonly source: string;
  /** Of the file system; for cgroup v1 they include the controllers. */
  readonly superOptions: readonly string[];
}

/** Decodes `\040` and the like: the kernel escapes blanks, tabs, newlines, backslashes and `#`. */
function unescapeOctal(text: string): string {
  return text.replace(
    /\\([0-3][0-7]{2})/g,
    (_, digits) => String.fromCharCode(parseInt(digits, 8)),
  );
}

/** As in `st_dev`: include/linux/kdev_t.h, new_encode_dev. The kernel has 12 bits for the major and 20 for the minor number. */
const deviceNumber = (major: number, minor: number): number =>
  (minor & 0xff) + (major & 0xfff) * 2 ** 8 + Math.floor((minor & 0xfff00) / 2 ** 8) * 2 ** 20;

function parseLine(line: string): Mount | undefined {
  // id parent major:minor root mount-point options [optional…] - type source super-options
  const fields = line.split(" ");
  const separator = fields.indexOf("-", 6);
  if (separator < 0) return undefined;
  const [id, parentId, numbers, root, mountPoint, options] = fields;
  const [fsType, source, superOptions] = fields.slice(separator + 1);
  const [, major, minor] = /^(\d+):(\d+)$/.exec(numbers!) ?? [];
  if (
    !/^\d+$/.test(id!) || !/^\d+$/.test(parentId!) || minor === undefined ||
    superOptions === undefined
  ) return undefined;
  return {
    id: Number(id),
    parentId: Number(parentId),
    device: deviceNumber(Number(major), Number(minor)),
    root: unescapeOctal(root!),
    mountPoint: unescapeOctal(mountPoint!),
    options: options!.split(","),
    fsType: unescapeOctal(fsType!),
    source: unescapeOctal(source!),
    superOptions: superOptions.split(",").map(unescapeOctal),
  };
}

/** In file order: a later mount covers an earlier one on the same mount point. */
export const parseMountinfo = (text: string): Mount[] =>
  wholeLines(text).map(parseLine).filter((mount) => mount !== undefined);

/**
 * The mounts that a path lookup reaches by their mount point. A mount covers what its parent has at and below the mount point, other
 * mounts included, and a mount on the same mount point covers the one that it is stacked on (kernel: fs/namespace.c, lookup_mnt).
 *
 * @param isWanted leaves out the others, which saves most of the time.
 */
export function visibleMounts(
  mounts: readonly Mount[],
  isWanted: (mount: Mount) => boolean = () => true,
): Mount[] {
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  const order = new Map(mounts.map((mount, at) => [mount, at]));
  const siblings = Map.groupBy(mounts, ({ parentId }) => parentId);
  const isCoveredBy = (mount: Mount, other: Mount) =>
    other !== mount && isInSubtree(mount.mountPoint, other.mountPoint) &&
    (other.mountPoint !== mount.mountPoint || order.get(other)! > order.get(mount)!);
  const known = new Map<Mount, boolean>();
  const isReached = (mount: Mount): boolean => {
    const before = known.get(mount);
    if (before !== undefined) return before;
    // Until the result is known: a damaged file may have a circle of parents.
    known.set(mount, false);
    const parent = byId.get(mount.parentId);
    const isCovered = siblings.get(mount.parentId)!.some((other) => isCoveredBy(mount, other));
    const reached = !isCovered && (parent === undefined || parent === mount || isReached(parent));
    known.set(mount, reached);
    return reached;
  };
  const isStackedOn = (mount: Mount) =>
    siblings.get(mount.id)?.some((other) =>
      other !== mount && other.mountPoint === mount.mountPoint
    ) ?? false;
  return mounts.filter((mount) => isWanted(mount) && isReached(mount) && !isStackedOn(mount));
}
