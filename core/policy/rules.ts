/** Which rule applies to a cgroup. Rules are plain data, so that they can be sent to the monitor thread. Pure. */

/** All given conditions must match; an absent one matches everything. */
export interface Selector {
  /** Match whole cgroup paths. */
  readonly cgroups?: readonly RegExp[];
  /** Match names of systemd units; see {@link unitsOf}. */
  readonly units?: readonly RegExp[];
  /** Of the pod that the cgroup belongs to. */
  readonly labels?: readonly (readonly [string, string])[];
  /** Matches the machine, and no cgroup; other rules do not match the machine. */
  readonly machine?: true;
}

export interface Rule {
  readonly selector: Selector;
  /** Matching cgroups are not guarded. */
  readonly isExempt: boolean;
  /** Processes in matching cgroups are not killed. */
  readonly neverKills: boolean;
}

export interface CgroupLocation {
  readonly path: string;
  readonly podUid: string | undefined;
  readonly isMachine?: boolean;
}

/** The labels of each pod, by the uid that its cgroups are named after. */
export type Labels = ReadonlyMap<string, ReadonlyMap<string, string>>;

/**
 * The index of the first matching rule; `rules.length` when none matches. A pod without labels from the API server yet is
 * taken to match a rule that never kills.
 */
export function ruleFor(rules: readonly Rule[], at: CgroupLocation, labels: Labels): number {
  const found = rules.findIndex(({ selector, neverKills }) =>
    fits(selector, at, labels, neverKills)
  );
  return found < 0 ? rules.length : found;
}

/** Whether a change of pods or their labels may change which rule applies. */
export const dependOnLabels = (rules: readonly Pick<Rule, "selector">[]): boolean =>
  rules.some(({ selector }) => selector.labels !== undefined);

/** @param whenUnknown the result for a pod with unknown labels. */
export function fits(
  { cgroups, units, labels: requested, machine }: Selector,
  { path, podUid, isMachine = false }: CgroupLocation,
  labels: Labels,
  whenUnknown = false,
): boolean {
  if (machine || isMachine) return machine === true && isMachine;
  if (cgroups && !cgroups.some((each) => each.test(path))) return false;
  if (units && !unitsOf(path).some((name) => units.some((each) => each.test(name)))) return false;
  if (requested === undefined) return true;
  const found = podUid === undefined ? undefined : labels.get(podUid);
  if (found === undefined) return podUid !== undefined && whenUnknown;
  return requested.every(([key, value]) => found.get(key) === value);
}

/**
 * The slices that contain a cgroup, and the service or scope in them. Cgroups below a service are its own and may have any name.
 */
function unitsOf(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  const unit = names.findIndex((name) => !name.endsWith(".slice"));
  return unit < 0 ? names : names.slice(0, unit + 1);
}
