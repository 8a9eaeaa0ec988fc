/** Where a temporary file has pages that can be written back and reclaimed, which those of a tmpfs cannot. */

import { isInSubtree } from "../cgroup_path.ts";
import { realPath, tryReadText } from "../cgroup/files.ts";
import { errnoOf } from "../kernel/libc.ts";
import { parseMountinfo } from "../parse/mountinfo.ts";
import { isGone, type Owner, parseSandboxName, sandboxName, self } from "./sandbox.ts";

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
  return isInSubtree(path, parent);
}

/* Where a fake tree lies that nobody gave a place to: named as a sandbox is, so that leftovers are told in the same way. */

/** Makes a folder that only its owner can enter, and removes those that killed runs of the same user left behind. */
export function createTemporaryFolder(): string {
  const owner = self();
  const unique = Deno.makeTempDirSync({ prefix: "oomkit-" });
  if (owner === undefined) return unique;
  const parent = unique.slice(0, unique.lastIndexOf("/"));
  removeStale(parent, owner);
  const named = `${parent}/${sandboxName("oomkit-sim", owner)}`;
  try {
    Deno.mkdirSync(named, { mode: 0o700 });
  } catch (error) {
    // Somebody who knows our pid took the name first, in a folder that everybody may write to.
    if (errnoOf(error) === "EEXIST") return unique;
    throw error;
  }
  Deno.removeSync(unique);
  return named;
}

function removeStale(parent: string, observer: Owner): void {
  for (const { name, isDirectory } of Deno.readDirSync(parent)) {
    const made = isDirectory ? parseSandboxName(name) : undefined;
    if (made === undefined || !isGone(made.owner, observer)) continue;
    try {
      const path = `${parent}/${name}`;
      if (Deno.lstatSync(path).uid === Deno.uid()) Deno.removeSync(path, { recursive: true });
    } catch {
      // Another run has removed it meanwhile.
    }
  }
}
