/** Where cgroups are guarded. */

import { type Cgroup, openCgroup, walk } from "../cgroup/cgroup.ts";

/** A part of the hierarchy. */
export interface Scope {
  readonly cgroup: Cgroup;
  /** Also everything beneath, and what appears there later; of a glob, what fits it. */
  readonly recursive: boolean;
  readonly pattern?: RegExp;
}

export interface Candidate {
  readonly cgroup: Cgroup;
  /** By the user, not found beneath one that was. */
  readonly isTarget: boolean;
}

/** What may be guarded, as it is there now. */
export function* candidatesIn(scopes: readonly Scope[]): Generator<Candidate> {
  for (const { cgroup: { hierarchy, path }, recursive, pattern } of scopes) {
    const top = openCgroup(hierarchy, path);
    if (top === undefined) continue;
    for (const cgroup of recursive ? walk(top) : [top]) {
      if (pattern && !pattern.test(cgroup.path)) continue;
      yield { cgroup, isTarget: pattern === undefined && cgroup.path === path };
    }
  }
}

/** The scope that a path belongs to; `undefined` when it is nobody's. */
export function scopeOf(scopes: readonly Scope[], path: string): Scope | undefined {
  return scopes.find(({ cgroup, recursive, pattern }) =>
    (path === cgroup.path || (recursive && isWithin(path, cgroup.path))) &&
    (pattern?.test(path) ?? true)
  );
}

/** Whether they are the same parts, in the same order. */
export function sameScopes(some: readonly Scope[], others: readonly Scope[]): boolean {
  const textOf = ({ cgroup, recursive, pattern }: Scope) =>
    `${cgroup.path}\n${recursive}\n${pattern?.source}`;
  return some.map(textOf).join("\n\n") === others.map(textOf).join("\n\n");
}

/** Whether one lies within the other. */
export function overlap(one: string, other: string): boolean {
  return isWithin(one, other) || isWithin(other, one);
}

export function isWithin(inner: string, outer: string): boolean {
  return inner === outer || outer === "/" || inner.startsWith(`${outer}/`);
}
/** The path of the cgroup whose directory it is; the directory itself where it lies elsewhere. */
export function pathIn(scopes: readonly Scope[], dir: string): string {
  const mount = scopes[0]?.cgroup.hierarchy.mount ?? "";
  return dir.startsWith(`${mount}/`) ? dir.slice(mount.length) : dir;
}
