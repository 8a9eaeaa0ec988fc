/** Page cache reclaim: cgroup-v2.rst, memory.reclaim (Linux 5.19); cgroup-v1/memory.rst, force_empty. */

import { LazyDirectory } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { writeInBackground } from "./background_write.ts";

/**
 * Starts a reclaim without waiting for its end: of `bytes` by memory.reclaim, which returns EAGAIN when there is less to reclaim; of
 * all that can be reclaimed by memory.force_empty, which has no size. Usage shows what was reclaimed.
 *
 * @param directory of the cgroup.
 * @returns why it could not be started; `undefined` when it was.
 */
export function startReclaim(directory: LazyDirectory, bytes: number): string | undefined {
  const requests = [
    ["memory.reclaim", String(Math.max(1, Math.ceil(bytes)))],
    ["memory.force_empty", "0"],
  ] as const;
  let refused = "the kernel has neither memory.reclaim nor memory.force_empty";
  try {
    const opened = directory.open();
    for (const [name, value] of requests) {
      try {
        writeInBackground(opened, name, value);
        return undefined;
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error;
        if (error.code !== "ENOENT") refused = `${error.call} ${name}: ${error.code}`;
      }
    }
    return refused;
  } catch (error) {
    if (error instanceof SystemCallError) return `${error.call}: ${error.code}`;
    throw error;
  }
}

/** The same for the cgroup with this directory. */
export function startReclaimAt(path: string, bytes: number): string | undefined {
  const directory = new LazyDirectory(path);
  try {
    return startReclaim(directory, bytes);
  } finally {
    directory.rest();
  }
}
