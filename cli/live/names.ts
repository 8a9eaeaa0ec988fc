/** The names of cgroups on the screen: paths without what all of them have in common. Pure. */

import { isInSubtree, parentPath } from "../../core/cgroup_path.ts";

/** The innermost cgroup that all are in; its parent if there is only one cgroup; `/` without any. */
export function commonParent(paths: readonly string[]): string {
  const [first, ...others] = paths;
  if (first === undefined) return "/";
  let common = others.length === 0 ? parentPath(first) : first;
  for (const path of others) {
    while (common !== "/" && !isInSubtree(path, common)) common = parentPath(common);
  }
  return common;
}

/** `b/c` of `/a/b/c` in `/a`; `.` for the parent itself; the whole path if it is elsewhere, or in the root. */
export function nameIn(parent: string, path: string): string {
  if (parent === "/" || !isInSubtree(path, parent)) return path;
  return path === parent ? "." : path.slice(parent.length + 1);
}
