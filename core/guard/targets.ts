/** Where cgroups are guarded. */

import { isInSubtree } from "../cgroup_path.ts";
import { readEffectiveLimit } from "../cgroup/ancestry.ts";
import { type Cgroup, openCgroup, readSummary, walk } from "../cgroup/cgroup.ts";
import { readSwapTotal } from "../cgroup/machine.ts";
import { oomTotalBytesOf } from "../policy/victims.ts";
import type { Snapshot } from "../snapshot.ts";

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
    (path === cgroup.path || (recursive && isInSubtree(path, cgroup.path))) &&
    (pattern?.test(path) ?? true)
  );
}

/** Whether they are the same parts, in the same order. */
export function sameScopes(some: readonly Scope[], others: readonly Scope[]): boolean {
  const textOf = ({ cgroup, recursive, pattern }: Scope) =>
    `${cgroup.path}\n${recursive}\n${pattern?.source}`;
  return some.map(textOf).join("\n\n") === others.map(textOf).join("\n\n");
}

/** The path of the cgroup whose directory it is; the directory itself where it lies elsewhere. */
export function pathIn(scopes: readonly Scope[], dir: string): string {
  const mount = scopes[0]?.cgroup.hierarchy.mount ?? "";
  return dir.startsWith(`${mount}/`) ? dir.slice(mount.length) : dir;
}

/* Which limit a guard goes by. */

export interface GuardedLimit {
  /** Whose limit it is. */
  readonly limitOwner: Cgroup;
  /** Bytes. */
  readonly limit: number;
  /** What badness is weighed against, bytes: see `oomCapacity`. */
  readonly oomTotalBytes: number;
}

/**
 * Of a cgroup that was named the limit that counts, whoever set it; of one beneath it its own alone, since that of another
 * is guarded there. `undefined` when there is none.
 */
export function limitOf(
  cgroup: Cgroup,
  isTarget: boolean,
  soft: boolean,
): GuardedLimit | undefined {
  const own = readSummary(cgroup);
  if (own === undefined) return undefined;
  const effective = isTarget ? readEffectiveLimit(cgroup) : undefined;
  const owner = effective?.owner === undefined || effective.owner === cgroup.path
    ? undefined
    : openCgroup(cgroup.hierarchy, effective.owner);
  const limitOwner = owner ?? cgroup;
  const snapshot = owner ? readSummary(owner) : own;
  if (snapshot === undefined) return undefined;
  const hard = effective?.bytes ?? own.limits.max ?? Infinity;
  const softLimit = soft ? snapshot.limits.soft ?? snapshot.limits.high ?? Infinity : Infinity;
  const limit = Math.min(hard, softLimit);
  if (!Number.isFinite(limit) || limit <= 0) return undefined;
  return { limitOwner, limit, oomTotalBytes: oomTotalOf(snapshot, hard) };
}

function oomTotalOf({ limits }: Snapshot, hard: number): number {
  const oomTotalBytes = oomTotalBytesOf({ ...limits, max: hard }, readSwapTotal());
  return oomTotalBytes !== undefined && Number.isFinite(oomTotalBytes) ? oomTotalBytes : hard;
}
