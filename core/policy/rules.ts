/** Which rule holds for a cgroup: data, so that every thread can tell. Pure. */

/** All that is given must fit; what is not given fits everything. */
export interface Selector {
  /** On whole cgroup paths. */
  readonly cgroups?: readonly RegExp[];
  /** On names of units; see {@link unitsOf}. */
  readonly units?: readonly RegExp[];
  /** Of the pod that the cgroup belongs to. */
  readonly labels?: readonly (readonly [string, string])[];
}

export interface Rule {
  readonly selector: Selector;
  /** What fits is not guarded. */
  readonly isExempt: boolean;
  /** Nothing of what fits is ended. */
  readonly neverKills: boolean;
}

export interface CgroupLocation {
  readonly path: string;
  readonly podUid: string | undefined;
}

/** By the uid of the pod, as cgroups are named after it. */
export type Labels = ReadonlyMap<string, ReadonlyMap<string, string>>;

/**
 * The number of the first rule that fits; `rules.length` where none does. A pod of which nothing is known, as long as the API
 * server has not told of it, may be one that is to be spared.
 */
export function ruleFor(rules: readonly Rule[], at: CgroupLocation, labels: Labels): number {
  const found = rules.findIndex(({ selector, neverKills }) =>
    fits(selector, at, labels, neverKills)
  );
  return found < 0 ? rules.length : found;
}

/** @param whenUnknown whether it fits a pod whose labels are not known. */
export function fits(
  { cgroups, units, labels: requested }: Selector,
  { path, podUid }: CgroupLocation,
  labels: Labels,
  whenUnknown = false,
): boolean {
  if (cgroups && !cgroups.some((each) => each.test(path))) return false;
  if (units && !unitsOf(path).some((name) => units.some((each) => each.test(name)))) return false;
  if (requested === undefined) return true;
  const found = podUid === undefined ? undefined : labels.get(podUid);
  if (found === undefined) return podUid !== undefined && whenUnknown;
  return requested.every(([key, value]) => found.get(key) === value);
}

/**
 * The slices that a cgroup lies in, and the service or scope in them. What that has beneath it is of its own making, and so are
 * the names there.
 */
function unitsOf(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  const unit = names.findIndex((name) => !name.endsWith(".slice"));
  return unit < 0 ? names : names.slice(0, unit + 1);
}
