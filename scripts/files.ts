/** Files that may be missing. */

export function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Harmless when it does not exist. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch {
    // It was never created, or another program has removed it.
  }
}
