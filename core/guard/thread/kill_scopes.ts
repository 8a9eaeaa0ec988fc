/** What is killed with a victim: the cgroup with memory.oom.group, and the container. */

import { type Cgroup, tryReadControl, walkAccessible } from "../../cgroup/cgroup.ts";
import { identify } from "../../cgroup/identity.ts";
import { tryListPids } from "../../cgroup/pids.ts";
import { oomScoreAdjOf, readCandidate } from "../../cgroup/processes.ts";
import { isInSubtree } from "../../cgroup_path.ts";
import type { Spared } from "../../control/kill.ts";
import { killActionOf } from "../../policy/actions.ts";
import { type CandidatePool, groupOf, rankCandidates } from "../../policy/victims.ts";
import type { GuardPolicy } from "../policy.ts";

/** Of a guarded cgroup. */
export interface KillContext {
  readonly policy: GuardPolicy;
  /** Whether a rule excludes this path. */
  isExcluded(path: string): boolean;
  /** The cgroup that has the limit: the kernel selects its victim in it. */
  readonly limitOwner: Cgroup;
}

/** Of the actions: the cgroup with memory.oom.group if there is one, and the container. */
export type VictimScopes = Readonly<Record<"victim" | "container", KillScope | undefined>>;

/** A cgroup that is killed as a whole with a victim. */
export interface KillScope {
  readonly cgroup: Cgroup;
  /** What is not killed with it: the kernel spares oom_score_adj -1000 in a group too. */
  readonly spared: Spared;
}

/** What is killed with the victims of a selection. Several are often in one cgroup, of which all processes are read once. */
export class KillScopes {
  readonly #byCgroup = new Map<string, VictimScopes>();
  readonly #containers = new Map<string, KillScope>();

  /** @param cgroups by path: all that the processes of the pool are in, and those above. */
  constructor(
    private readonly cgroups: ReadonlyMap<string, Cgroup>,
    private readonly pool: CandidatePool,
    private readonly scope: Cgroup,
    private readonly context: KillContext,
  ) {}

  /** @param path of the victim's cgroup. */
  of(path: string): VictimScopes {
    const known = this.#byCgroup.get(path);
    if (known) return known;
    const group = this.#groupOf(path);
    const ofGroup = group && this.#scopeOf(group, immunityIn(group));
    const scopes = { victim: ofGroup, container: this.#containerOf(path, group, ofGroup) };
    this.#byCgroup.set(path, scopes);
    return scopes;
  }

  #groupOf(path: string): Cgroup | undefined {
    const hasGroup = (each: string) => {
      const at = this.cgroups.get(each);
      return at !== undefined && tryReadControl(at, "memory.oom.group")?.trim() === "1";
    };
    const groupPath = groupOf(path, this.context.limitOwner.path, hasGroup);
    return groupPath === undefined ? undefined : this.cgroups.get(groupPath);
  }

  #containerOf(
    path: string,
    group: Cgroup | undefined,
    ofGroup: KillScope | undefined,
  ): KillScope | undefined {
    const { scope } = this;
    const container = scope.machine
      ? containerOnMachine(path, this.cgroups)
      : containerAround(path, this.cgroups, scope);
    if (container === undefined || (scope.machine && !killsContainers(this.context.policy))) {
      return undefined;
    }
    const isInGroup = group && group.path !== container.path &&
      isInSubtree(container.path, group.path);
    if (isInGroup) return ofGroup;
    const ofContainer = this.#containers.get(container.path) ?? this.#scopeOf(container);
    this.#containers.set(container.path, ofContainer);
    return ofContainer;
  }

  #scopeOf(cgroup: Cgroup, immunity?: Immunity): KillScope {
    const { pool, scope, context: { policy, isExcluded } } = this;
    return {
      cgroup,
      spared: {
        pids: new Set([
          ...policy.protectedPids,
          // In a container everything belongs together; on the machine essentials may be in the same cgroup.
          ...scope.machine ? ignoredIn(cgroup, policy, pool) : [],
          ...immunity?.immune ?? [],
        ]),
        isSparedCgroup: (path) => isExcludedIn(scope, path, isExcluded),
        ...immunity && { knownMortal: immunity.mortal },
      },
    };
  }
}

/** Whether a rule excludes this cgroup or one above it, although it is in a cgroup that is killed as a whole. */
function isExcludedIn(
  scope: Cgroup,
  path: string,
  isExcluded: KillContext["isExcluded"],
): boolean {
  for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    // A rule for a parent does not exclude a cgroup that is guarded itself.
    if (!isInSubtree(scope.path, at) && isExcluded(at)) return true;
  }
  return false;
}

/** Pids with oom_score_adj -1000, and those with another value. */
interface Immunity {
  readonly immune: readonly number[];
  readonly mortal: ReadonlySet<number>;
}

/** What the kernel spares also when it kills a group; reads all of it, also when the pool is partial. */
function immunityIn(group: Cgroup): Immunity {
  const pids = [...walkAccessible(group)].flatMap(pidsOf);
  const scores = new Map(pids.map((pid) => [pid, oomScoreAdjOf(pid)]));
  const isMortal = (pid: number) => scores.get(pid) !== undefined && scores.get(pid) !== -1000;
  return {
    immune: pids.filter((pid) => scores.get(pid) === -1000),
    mortal: new Set(pids.filter(isMortal)),
  };
}

const pidsOf = (cgroup: Cgroup) => [...tryListPids(cgroup)];

/** The outermost container cgroup from the guarded one down to the victim's; the guarded one if there is none. */
function containerAround(
  path: string,
  cgroups: ReadonlyMap<string, Cgroup>,
  scope: Cgroup,
): Cgroup {
  let outermost = scope;
  for (let at = path; at.length > scope.path.length; at = at.slice(0, at.lastIndexOf("/"))) {
    const cgroup = cgroups.get(at);
    if (cgroup && identify(at).containerId !== undefined) outermost = cgroup;
  }
  return identify(scope.path).containerId === undefined ? outermost : scope;
}

/** The victim's own cgroup, such as that of a service, where it is in no container. `undefined` in the root. */
function containerOnMachine(
  path: string,
  cgroups: ReadonlyMap<string, Cgroup>,
): Cgroup | undefined {
  const own = cgroups.get(path);
  if (own === undefined || path === own.hierarchy.root) return undefined;
  const outermost = cgroups.get(path.split("/").slice(0, 2).join("/")) ?? own;
  const container = containerAround(path, cgroups, outermost);
  return identify(container.path).containerId === undefined ? own : container;
}

/** Pids of the subtree that are never chosen. */
function ignoredIn(cgroup: Cgroup, { preferences }: GuardPolicy, pool: CandidatePool): number[] {
  const read = new Map(pool.processes.map((process) => [process.pid, process]));
  const processes = [...walkAccessible(cgroup)].flatMap((each) =>
    pidsOf(each).flatMap((pid) =>
      read.get(pid) ?? readCandidate(pid, each.path, !preferences.byName) ?? []
    )
  );
  return rankCandidates({ ...pool, processes }, preferences).excluded
    .map(({ process }) => process.pid);
}

export const killsContainers = ({ actions }: GuardPolicy): boolean =>
  Object.values(actions).some((list) => killActionOf(list) === "container");
