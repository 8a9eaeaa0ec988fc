/** The kernel's release: uname(2). */

/** Backports of a distribution are not known. */
export function isKernelFrom(
  major: number,
  minor: number,
  release: string = Deno.osRelease(),
): boolean {
  const [ownMajor = 0, ownMinor = 0] = release.split(".").map((part) => parseInt(part));
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}
