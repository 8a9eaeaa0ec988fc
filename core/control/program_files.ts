/** The files of this program in memory. */

import { tryReadText } from "../cgroup/files.ts";
import { lockPages } from "../kernel/mapped_pages.ts";
import { parseMaps } from "../parse/procfs.ts";

/**
 * Keeps the pages of the executable and of its libraries in memory, 50 MiB: when the machine runs out of it the kernel drops them
 * first, and each function that is called then waits for the disk. Not V8's own memory: V8 ends the program when it cannot give back
 * a page (madvise(2), EINVAL for a locked one), as after mlockall(2).
 *
 * @returns why that was refused.
 */
export function lockProgramFiles(): string | undefined {
  const text = tryReadText("/proc/self/maps");
  if (text === undefined) return "/proc is not readable";
  for (const { start, end, isWritable, path } of parseMaps(text)) {
    // What is writable is the program's own copy, or changes.
    if (isWritable || !path.startsWith("/")) continue;
    const refused = lockPages(start, end - start);
    if (refused !== undefined) return `mlock2: ${refused}`;
  }
  return undefined;
}
