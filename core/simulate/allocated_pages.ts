/** Memory of each kind that an allocator can fill a cgroup with. */

import { OomkitError } from "../errors.ts";
import { O_RDWR, openFd } from "../kernel/fd.ts";
import { errnoOf, SystemCallError } from "../kernel/libc.ts";
import { mapAnonymous, mapFile, mapShared, type Pages } from "../kernel/mapped_pages.ts";
import type { Allocation } from "./allocation.ts";
import { reasonOf } from "../control/write.ts";

/** Throws {@link OomkitError} where there is no folder, or no room, for the file. */
export function mapKind({ kind, folder }: Allocation, size: number): Pages {
  try {
    switch (kind) {
      case "anon":
        return mapAnonymous(size);
      case "shmem":
        return mapShared(size);
      case "file":
        return mapTemporaryFile(folder, size);
    }
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw new OomkitError(`cannot reserve ${size} bytes: ${error.message}`, "allocate less");
  }
}

/**
 * A shared mapping of a file on a disk: written pages are page cache, first dirty, then clean, which the kernel can take
 * back. The file loses its name at once, so that nothing is left behind even when the allocator is killed.
 */
function mapTemporaryFile(folder: string | undefined, size: number): Pages {
  const path = makeFile(folder, size);
  try {
    const fd = openFd(path, O_RDWR);
    const pages = mapFile(fd, size);
    // The mapping holds the file on its own.
    fd.close();
    return pages;
  } finally {
    Deno.removeSync(path);
  }
}

function makeFile(folder: string | undefined, size: number): string {
  try {
    const path = Deno.makeTempFileSync({ prefix: "oomkit-sim-", ...(folder && { dir: folder }) });
    Deno.truncateSync(path, size);
    return path;
  } catch (error) {
    const why = errnoOf(error) === "ENOSPC" ? "no space left" : reasonOf(error);
    throw new OomkitError(`cannot make a file in ${folder ?? "the temporary folder"}: ${why}`);
  }
}
