/** A link that another user has laid leads where he likes; one of root's own, such as /dev/stdout, is followed. */

/**
 * Throws when a link of another user's lies at `path`. Where others may write one can have been put there after that: to be
 * asked once more with what was opened.
 *
 * @param opened is what lies there, unless a link leads to it.
 */
export function refuseUntrustedSymlink(path: string, opened?: Deno.FsFile): void {
  const found = lookAt(path);
  if (found?.isSymlink) {
    if (found.uid === 0 || found.uid === Deno.uid()) return;
    throw new Error(`it is a link of the user ${found.uid}`);
  }
  const is = opened?.statSync();
  if (is && (found?.ino !== is.ino || found?.dev !== is.dev)) {
    throw new Error("somebody else has put another in its place");
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
