/** A small file that others replace while the program runs: a token, a certificate. */

import { OomkitError } from "../../errors.ts";

export interface CachedFile<T> {
  /** As the file is now; where it cannot be used any more, as it was last, and `trouble` says why. */
  current(): T;
  /** Reads it even if it does not look changed. */
  again(): T;
  readonly trouble: string | undefined;
}

/** Far more than any bundle of certificates has; a device or a fifo in the place of a file must not be read at all. */
const MAX_BYTES = 1024 * 1024;

/**
 * @param what for messages: `the token`.
 * @param use makes of the text what is wanted; throws an Error that says what is wrong with it.
 * @param right what would be right when it cannot be read at the beginning.
 * @throws {OomkitError} when it cannot be read or used now.
 */
export function openCachedFile<T>(
  path: string,
  what: string,
  use: (text: string) => T,
  right: string,
): CachedFile<T> {
  let seen = "";
  let trouble: string | undefined;

  const read = (): T => {
    const info = Deno.statSync(path);
    seen = signature(info);
    if (!info.isFile) throw new Error("it is no file");
    if (info.size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    return use(Deno.readTextFileSync(path));
  };

  let value: T;
  try {
    value = read();
  } catch (error) {
    throw new OomkitError(`cannot use ${what} in ${path}: ${reason(error)}`, right);
  }
  const again = () => {
    try {
      value = read();
      trouble = undefined;
    } catch (error) {
      trouble = `${what} in ${path} cannot be used: ${reason(error)}`;
    }
    return value;
  };
  return {
    current: () => hasChanged(path, seen) ? again() : value,
    again,
    get trouble() {
      return trouble;
    },
  };
}

function hasChanged(path: string, seen: string): boolean {
  try {
    return signature(Deno.statSync(path)) !== seen;
  } catch {
    // Gone for now: reading it says why.
    return true;
  }
}

/** The kubelet replaces the link that leads to it, so that it is another file; the time alone may be the same. */
function signature({ mtime, ino, dev, size }: Deno.FileInfo): string {
  return [mtime?.getTime(), ino, dev, size].join(" ");
}

function reason(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "it is not there";
  if (error instanceof Deno.errors.PermissionDenied) return "it must not be read";
  const text = error instanceof Error ? error.message : String(error);
  return text.split(" (os error")[0]!;
}
