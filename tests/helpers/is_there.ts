/** Whether the path exists; follows symbolic links. */
export function isThere(path: string | URL): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
