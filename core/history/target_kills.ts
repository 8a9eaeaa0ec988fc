/** The kills that a target names: of cgroups that exist, and of those that are gone. */

import { globToRegExp, isGlob } from "../cgroup/glob.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { identify, unitName } from "../cgroup/identity.ts";
import { resolveTarget } from "../cgroup/resolve.ts";
import { isInSubtree, parentPath } from "../cgroup_path.ts";
import { OomkitError, shortened } from "../errors.ts";
import type { PastKill } from "./log_kills.ts";

/** In a cgroup namespace with a mount of its own a cgroup has another path than in the log, which knows only the host's. */
export const hasOtherPaths = ({ hidden, root }: Hierarchy): boolean => hidden && root === "/";

type Matches = (kill: PastKill) => boolean;

/**
 * The kills in the cgroups that any of the targets names, and below them. Throws {@link OomkitError} for a name that is neither a
 * cgroup now nor in the log.
 *
 * @param hierarchy absent where its paths are not those of the log: with files, of another machine, and in a namespace.
 */
export function killsOfTargets(
  kills: readonly PastKill[],
  targets: readonly string[],
  hierarchy: Hierarchy | undefined,
): PastKill[] {
  const filters = targets.map((target) => filterOf(kills, target, hierarchy));
  return kills.filter((kill) => filters.some((matches) => matches(kill)));
}

function filterOf(
  kills: readonly PastKill[],
  target: string,
  hierarchy: Hierarchy | undefined,
): Matches {
  const gone = goneFilter(target, hierarchy);
  let living: string[] = [];
  try {
    if (hierarchy) living = resolveTarget(hierarchy, target).map(({ path }) => path);
  } catch (error) {
    if (!(error instanceof OomkitError)) throw error;
    if (gone === undefined) {
      const named = nameFilter(kills, target);
      if (named === undefined) throw error;
      return named;
    }
  }
  if (gone === undefined && hierarchy === undefined) {
    const named = nameFilter(kills, target);
    if (named) return named;
    throw new OomkitError(
      `cannot resolve target "${
        shortened(target)
      }": no cgroup or process of that name is in the log`,
      "give a cgroup path, a glob, pid:N, unit:NAME, pod:UID or a container id",
    );
  }
  const isLiving = pathFilter((path) => living.some((root) => isInSubtree(path, root)));
  return (kill) => isLiving(kill) || gone?.(kill) === true;
}

/** Of the victim's cgroup; where the kernel left it out, of the group or limit that names it. */
export const cgroupOf = ({ cgroup, group }: PastKill): string | undefined => cgroup ?? group;

const pathFilter = (test: (path: string) => boolean): Matches => (kill) => {
  const path = cgroupOf(kill) ?? kill.owner;
  return path !== undefined && test(path);
};

/** By the name of a cgroup, or of processes that were killed; `undefined` when there is neither. */
function nameFilter(kills: readonly PastKill[], name: string): Matches | undefined {
  const isCgroup = pathFilter((path) => path.split("/").includes(name));
  const isComm: Matches = ({ victim }) => victim.comm === name;
  return [isCgroup, isComm].find((matches) => kills.some(matches));
}

/** By what the target says alone; `undefined` for a name that may be one of anything. */
function goneFilter(target: string, hierarchy: Hierarchy | undefined): Matches | undefined {
  const [, scheme, rest = ""] = /^(pid|unit|pod|id):(.+)$/s.exec(target) ?? [];
  if (scheme === "pid") {
    return /^[1-9]\d{0,9}$/.test(rest) ? ({ victim }) => victim.pid === Number(rest) : undefined;
  }
  if (scheme === "pod") {
    const uid = rest.replaceAll("_", "-").toLowerCase();
    return pathFilter((path) => identify(path).podUid?.startsWith(uid) === true);
  }
  if (scheme === "unit" || (!target.includes("/") && unitName(target) === target)) {
    const name = unitName(scheme === "unit" ? rest : target);
    return pathFilter((path) => path.split("/").some((each) => each.replace(/^_/, "") === name));
  }
  if (scheme === "id" || /^[0-9a-f]{4,64}$/.test(target)) {
    const id = scheme === "id" ? rest : target;
    return pathFilter((path) => identify(path).containerId?.startsWith(id) === true);
  }
  if (!target.startsWith("/")) return undefined;
  const path = pathOf(target, hierarchy);
  if (!isGlob(path)) return pathFilter((each) => isInSubtree(each, path));
  const pattern = globToRegExp(path);
  return pathFilter((each) => {
    let at = each;
    while (at !== "/" && !pattern.test(at)) at = parentPath(at);
    return pattern.test(at);
  });
}

/** Without the mount, and without a slash at the end. */
function pathOf(target: string, hierarchy: Hierarchy | undefined): string {
  const mounts = [hierarchy?.mount, "/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
  const mount = mounts.find((each) => each !== undefined && isInSubtree(target, each));
  const path = target.slice(mount?.length ?? 0).replace(/\/+/g, "/");
  return path.length > 1 ? path.replace(/\/$/, "") : path || "/";
}
