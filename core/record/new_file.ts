/** A file that must not be there yet. */

import { OomkitError, shortened } from "../errors.ts";

/**
 * Made anew, for its owner's eyes alone, at the very name: no link is followed, neither to write through it nor to make room.
 *
 * @param force what lies there makes room, unless it is more than a file or a link to one. @param what such as `the recording`.
 * Throws {@link OomkitError}.
 */
export function createNewFile(path: string, force: boolean, what: string): Deno.FsFile {
  const refuse = (why: unknown, hint: string) =>
    new OomkitError(`cannot write ${what} to ${shortened(path)}: ${why}`, hint);
  try {
    const there = force ? lookAt(path) : undefined;
    if (there && !there.isFile && !isLinkToFile(path, there)) {
      throw refuse("what lies there is no file", "name another");
    }
    if (there) Deno.removeSync(path);
    return Deno.openSync(path, { append: true, createNew: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof OomkitError) throw error;
    if (error instanceof Deno.errors.AlreadyExists) {
      throw refuse("it is there already", "name another, or give --force");
    }
    const why = error instanceof Error ? error.message.split(" (os error")[0] : error;
    throw refuse(why, "name a file in a folder that can be written");
  }
}

/** Or to nothing; /dev/stdout leads to one too, and is nobody's to replace. */
function isLinkToFile(path: string, { isSymlink }: Deno.FileInfo): boolean {
  if (!isSymlink || Deno.readLinkSync(path).startsWith("/proc/")) return false;
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}

function lookAt(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
