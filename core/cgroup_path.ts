/** Paths in the cgroup hierarchy, as text. Pure. */

/** True for `root` itself and for everything below it. */
export function isInSubtree(path: string, root: string): boolean {
  return path === root || root === "/" || path.startsWith(`${root}/`);
}

/** The path of the parent cgroup; that of `/` is `/`. */
export function parentPath(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** True when one of the two contains the other, or they are the same. */
export function overlap(one: string, other: string): boolean {
  return isInSubtree(one, other) || isInSubtree(other, one);
}
