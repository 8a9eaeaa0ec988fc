/** Paths in the cgroup hierarchy, as text. Pure. */

/** True for `root` itself and for everything below it. */
export const isInSubtree = (path: string, root: string): boolean =>
  path === root || root === "/" || path.startsWith(`${root}/`);

/** The path of the parent cgroup; that of `/` is `/`. */
export const parentPath = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

/** True when one of the two contains the other, or they are the same. */
export const overlap = (one: string, other: string): boolean =>
  isInSubtree(one, other) || isInSubtree(other, one);
