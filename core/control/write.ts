/** Writing to control files. */

import { reach } from "../cgroup/files.ts";
import { errnoOf } from "../kernel/libc.ts";

const REASONS: Readonly<Record<string, string>> = {
  EPERM: "operation not permitted",
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EBUSY: "busy",
  EINVAL: "the kernel refused the value",
  EROFS: "read-only file system",
};

/** Why a system call failed, in words that fit behind a colon. */
export function reasonOf(error: unknown): string {
  const errno = errnoOf(error);
  if (errno !== undefined && REASONS[errno] !== undefined) return REASONS[errno];
  return error instanceof Error ? error.message.split(" (os error")[0]! : String(error);
}

/** Writes `value` at once, as control files want it. Returns why it failed, or `undefined` when it did not. */
export function writeControl(path: string, value: string): string | undefined {
  try {
    // Without O_CREAT and O_TRUNC: cgroupfs knows neither, and nothing must come to be where no control file is.
    using file = reach(path, (path) => Deno.openSync(path, { write: true }));
    file.writeSync(new TextEncoder().encode(value));
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

/** Whether `path` may be written, without writing; the reason if not. */
export function mayWrite(path: string): string | undefined {
  try {
    reach(path, (path) => Deno.openSync(path, { write: true })).close();
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}
