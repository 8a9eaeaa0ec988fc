/** A file that the user names for a result. */

import { errorText, OomkitError, shortened } from "../../core/errors.ts";
import { refuseUntrustedSymlink } from "../../core/receivers/symlink_check.ts";

export interface ResultFile extends Disposable {
  /** Throws {@link OomkitError} when the text cannot be written as a whole. */
  write(text: string): void;
}

/**
 * To be called before the work that produces the result, so that an unwritable name does not waste it. Throws
 * {@link OomkitError}.
 *
 * @param what such as "the report".
 */
export function openResultFile(path: string, what: string): ResultFile {
  const attempt = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      throw new OomkitError(
        `cannot write ${what} to ${shortened(path)}: ${errorText(error)}`,
        "name a writable file",
      );
    }
  };
  const file = attempt(() => open(path));
  return {
    write(text) {
      const bytes = new TextEncoder().encode(text);
      attempt(() => {
        for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      });
    },
    [Symbol.dispose]: () => file.close(),
  };
}

/** Follows links of the own user and of root: /dev/stdout is one, and so is the shell's `>(…)`. */
function open(path: string): Deno.FsFile {
  refuseUntrustedSymlink(path);
  const file = Deno.openSync(path, { write: true, create: true });
  try {
    refuseUntrustedSymlink(path, file);
    // Truncated only after the check, and only what has a length: a pipe has none.
    if (file.statSync().isFile) file.truncateSync();
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}
