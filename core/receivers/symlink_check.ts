/**
 * Throws when `path` is a symbolic link that belongs to another user: it could redirect the output anywhere. Links of root
 * (/dev/stdout) and of the own user are followed. In a directory that others can write to, a link may be created after the check:
 * repeat it with the opened file.
 *
 * @param opened the file that was opened at `path`; throws when another file is there by now.
 */
export function refuseUntrustedSymlink(path: string, opened?: Deno.FsFile): void {
  const found = ifFound(() => Deno.lstatSync(path));
  if (found?.isSymlink) {
    if (found.uid === 0 || found.uid === Deno.uid()) return;
    throw new Error(`it is a symbolic link of the user ${found.uid}`);
  }
  const info = opened?.statSync();
  if (info && (found?.ino !== info.ino || found?.dev !== info.dev)) {
    throw new Error("it was replaced while it was opened");
  }
}

/** The result of `read`; `undefined` when there is no such file. */
export function ifFound<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
