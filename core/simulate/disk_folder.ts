/** Where a temporary file has pages that can be written back and reclaimed, which those of a tmpfs cannot. */

import { realPath, tryReadText } from "../cgroup/files.ts";
import { parseMountinfo } from "../parse/mountinfo.ts";

/** File systems that live in memory only. */
const IN_MEMORY = new Set(["tmpfs", "ramfs", "rootfs", "devtmpfs", "hugetlbfs"]);

/** The first of `candidates` that lies on a disk and can be written; `undefined` when none does. */
export function findDiskFolder(candidates: readonly string[]): string | undefined {
  const mounts = parseMountinfo(tryReadText("/proc/self/mountinfo") ?? "");
  return candidates.find((candidate) => {
    const folder = realPath(candidate);
    if (folder === undefined) return false;
    // Of mounts on the same point the last is the one that is seen.
    const around = mounts.filter(({ mountPoint }) => isWithin(mountPoint, folder));
    const mount = around.toSorted((a, b) => a.mountPoint.length - b.mountPoint.length).at(-1);
    return mount !== undefined && !IN_MEMORY.has(mount.fsType) && mayMakeFile(folder);
  });
}

function mayMakeFile(folder: string): boolean {
  try {
    Deno.removeSync(Deno.makeTempFileSync({ dir: folder, prefix: "oomkit-sim-" }));
    return true;
  } catch {
    return false;
  }
}

function isWithin(parent: string, path: string): boolean {
  return parent === "/" || path === parent || path.startsWith(`${parent}/`);
}
