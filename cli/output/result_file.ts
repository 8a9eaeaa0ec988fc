/** A file that the user names for a result. */

import { OomkitError, shortened } from "../../core/errors.ts";
import { refuseUntrustedSymlink } from "../../core/receivers/symlink_check.ts";

export interface ResultFile extends Disposable {
  /** @throws OomkitError when there is no room, or whatever else is in the way. */
  write(text: string): void;
}

/**
 * Before what it is for is done, so that a name that cannot be written costs nobody a build.
 * @param what such as "the report".
 * @throws OomkitError
 */
export function openResultFile(path: string, what: string): ResultFile {
  const attempt = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      const why = error instanceof Error ? error.message.split(" (os error")[0] : error;
      throw new OomkitError(
        `cannot write ${what} to ${shortened(path)}: ${why}`,
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

/** The own links and root's are followed: /dev/stdout is one, and what a shell makes of `>(…)`. */
function open(path: string): Deno.FsFile {
  refuseUntrustedSymlink(path);
  const file = Deno.openSync(path, { write: true, create: true });
  try {
    refuseUntrustedSymlink(path, file);
    // Not before it is known whose it is; nor what has no length, as a pipe has not.
    if (file.statSync().isFile) file.truncateSync();
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}
