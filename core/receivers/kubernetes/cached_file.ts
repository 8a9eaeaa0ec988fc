/** A small file that is replaced while oomkit runs, such as a token or a certificate. */

import { errorText, OomkitError } from "../../errors.ts";

export interface CachedFile<T> {
  /** The file's current content. When it has become unusable, the last usable content, and `trouble` says why. */
  current(): T;
  /** Reads the file even when it does not look changed. */
  reread(): T;
  readonly trouble: string | undefined;
}

/** Far more than a bundle of certificates has. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Throws {@link OomkitError} when the file cannot be read or used now.
 *
 * @param what for messages: `the token`.
 * @param parse throws an Error that says what is wrong with the text.
 * @param hint what to do when the file cannot be used now.
 */
export function openCachedFile<T>(
  path: string,
  what: string,
  parse: (text: string) => T,
  hint: string,
): CachedFile<T> {
  let fingerprint = "";
  let trouble: string | undefined;

  const read = (): T => {
    const info = Deno.statSync(path);
    fingerprint = fingerprintOf(info);
    // Reading a device or a FIFO might never end.
    if (!info.isFile) throw new Error("it is not a file");
    if (info.size > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
    return parse(Deno.readTextFileSync(path));
  };

  let value: T;
  try {
    value = read();
  } catch (error) {
    throw new OomkitError(`cannot use ${what} in ${path}: ${reasonOf(error)}`, hint);
  }
  const reread = () => {
    try {
      value = read();
      trouble = undefined;
    } catch (error) {
      trouble = `${what} in ${path} cannot be used: ${reasonOf(error)}`;
    }
    return value;
  };
  return {
    current: () => tryFingerprint(path) === fingerprint ? value : reread(),
    reread,
    get trouble() {
      return trouble;
    },
  };
}

function tryFingerprint(path: string): string | undefined {
  try {
    return fingerprintOf(Deno.statSync(path));
  } catch {
    return undefined;
  }
}

/** The kubelet swaps a symbolic link, which changes the inode; the time alone may be the same. */
function fingerprintOf({ mtime, ino, dev, size }: Deno.FileInfo): string {
  return [mtime?.getTime(), ino, dev, size].join(" ");
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "it does not exist";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  return errorText(error);
}
