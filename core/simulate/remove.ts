/** Clean-up of a simulation's own files: it hides no error that came before it, and causes none. */

/** What cannot be removed stays: it is gone already, is not empty, or its directory has become read-only. */
export function removeIfPossible(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Whatever the reason, there is nothing else to do about it.
  }
}
