/** A file that must not exist yet. */

import { lstatSync, type Stats, statSync } from "node:fs";
import { errorText, OomkitError, shortened } from "../errors.ts";

/**
 * Creates `path`, and follows no link, neither to write through it nor to replace its target.
 * Throws {@link OomkitError}.
 *
 * @param mode before the umask.
 * @param force replaces a regular file or a link to one.
 * @param what for messages, such as `the recording`.
 */
export function createNewFile(
  path: string,
  { force, what, mode }: { readonly force: boolean; readonly what: string; readonly mode: number },
): Deno.FsFile {
  const failed = (reason: unknown, hint: string) =>
    new OomkitError(`cannot write ${what} to ${shortened(path)}: ${reason}`, hint);
  try {
    const existing = force ? lstatSync(path, { throwIfNoEntry: false }) : undefined;
    if (existing && !existing.isFile() && !isLinkToFile(path, existing)) {
      throw failed("it is not a regular file", "name another file");
    }
    if (existing) Deno.removeSync(path);
    return Deno.openSync(path, { append: true, createNew: true, mode });
  } catch (error) {
    if (error instanceof OomkitError) throw error;
    if (error instanceof Deno.errors.AlreadyExists) {
      throw failed("the file exists already", "name another file, or replace it with --force");
    }
    throw failed(errorText(error), "name a file in a writable directory");
  }
}

/** Or to nothing. A link into /proc, such as /dev/stdout, is not to be replaced. */
const isLinkToFile = (path: string, existing: Stats) =>
  existing.isSymbolicLink() && !Deno.readLinkSync(path).startsWith("/proc/") &&
  statSync(path, { throwIfNoEntry: false })?.isFile() !== false;
