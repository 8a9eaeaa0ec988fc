/** Writes to control files. */

import { reach } from "../cgroup/files.ts";
import { errorText } from "../errors.ts";
import { errnoOf } from "../kernel/libc.ts";

const REASONS: Readonly<Record<string, string>> = {
  EPERM: "operation not permitted",
  ENOENT: "no such file",
  EACCES: "permission denied",
  EBUSY: "busy",
  EINVAL: "the kernel refused the value",
  EROFS: "read-only file system",
};

/** Why a system call failed, in words that fit behind a colon. */
export function reasonOf(error: unknown): string {
  const errno = errnoOf(error);
  if (errno !== undefined && REASONS[errno] !== undefined) return REASONS[errno];
  return errorText(error);
}

/** Writes `value` in one write(2), as control files need it. Returns why it failed, or `undefined` when it did not. */
export function writeControl(path: string, value: string): string | undefined {
  try {
    // Without O_CREAT and O_TRUNC: cgroupfs supports neither, and a missing control file must not become a plain file.
    using file = reach(path, (path) => Deno.openSync(path, { write: true }));
    file.writeSync(new TextEncoder().encode(value));
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

/** Why `path` cannot be written, without writing; `undefined` when it can. */
export function mayWrite(path: string): string | undefined {
  try {
    reach(path, (path) => Deno.openSync(path, { write: true })).close();
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}
