/** What is killed with a victim: the cgroup with memory.oom.group, and the container. */

import { type Cgroup, tryReadControl, walkAccessible } from "../../cgroup/cgroup.ts";
import { identify } from "../../cgroup/identity.ts";
import { tryListPids } from "../../cgroup/pids.ts";
import { oomScoreAdjOf, readIdentity } from "../../cgroup/processes.ts";
import { isInSubtree } from "../../cgroup_path.ts";
import type { Spared } from "../../control/kill.ts";
import { killActionOf } from "../../policy/actions.ts";
import {
  type CandidatePool,
  groupOf,
  type Identity,
  isProtected,
  type VictimPreferences,
} from "../../policy/victims.ts";
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
  readonly #known = {
    group: new Map<string, KillScope>(),
    container: new Map<string, KillScope>(),
  };

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
    const ofGroup = group && this.#scopeOf(group, "group");
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
    // Of a group that is the container, oom_score_adj -1000 is killed too, but not on the machine.
    const isInGroup = group && isInSubtree(container.path, group.path) &&
      (scope.machine || group.path !== container.path);
    return isInGroup ? ofGroup : this.#scopeOf(container, "container");
  }

  #scopeOf(cgroup: Cgroup, kind: "group" | "container"): KillScope {
    const known = this.#known[kind].get(cgroup.path);
    if (known) return known;
    const { scope, context: { policy, isExcluded } } = this;
    const { immune, ...immunity } = this.#immunityIn(cgroup, kind);
    const killScope = {
      cgroup,
      spared: {
        pids: new Set([...policy.protectedPids, ...immune]),
        isSparedCgroup: (path: string) => isExcludedIn(scope, path, isExcluded),
        ...immunity,
      },
    };
    this.#known[kind].set(cgroup.path, killScope);
    return killScope;
  }

  /** In a container everything belongs together; on the machine essentials may be in the same cgroup. */
  #immunityIn(cgroup: Cgroup, kind: "group" | "container"): Immunity {
    const { pool, scope, context: { policy: { preferences } } } = this;
    if (scope.machine) return essentialsIn(cgroup, preferences, pool);
    return kind === "group" ? immunityIn(cgroup, oomScoreAdjOf, isImmuneValue) : { immune: [] };
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

/** What is not killed with the others of a cgroup. */
interface Immunity extends Pick<Spared, "isSparedProcess" | "isKnown"> {
  readonly immune: readonly number[];
}

/**
 * Reads all processes of the subtree, and later those that were not there or could not be read: a process that may be immune must not be
 * killed, and each is read once.
 *
 * @param read `undefined` for a process that is gone, or cannot be read.
 */
function immunityIn<T>(
  cgroup: Cgroup,
  read: (pid: number, path: string) => T | undefined,
  isImmune: (found: T) => boolean,
): Immunity {
  const known = new Map<number, boolean>();
  const isSparedProcess = (pid: number, path: string) => {
    if (known.has(pid)) return known.get(pid);
    const process = read(pid, path);
    if (process !== undefined) known.set(pid, isImmune(process));
    return known.get(pid);
  };
  for (const each of walkAccessible(cgroup)) {
    for (const pid of tryListPids(each)) isSparedProcess(pid, each.path);
  }
  const immune = [...known].flatMap(([pid, is]) => is ? [pid] : []);
  return { immune, isSparedProcess, isKnown: (pid) => known.has(pid) };
}

/** What the kernel spares also when it kills a group (mm/oom_kill.c, oom_kill_memcg_member). */
const isImmuneValue = (oomScoreAdj: number) => oomScoreAdj === -1000;

/** What is never chosen either. */
function essentialsIn(
  cgroup: Cgroup,
  preferences: VictimPreferences,
  pool: CandidatePool,
): Immunity {
  const read = new Map<number, Identity>(pool.processes.map((process) => [process.pid, process]));
  return immunityIn(
    cgroup,
    (pid, path) => read.get(pid) ?? readIdentity(pid, path, preferences.byName === true),
    (process) => isProtected(process, pool, preferences),
  );
}

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

export const killsContainers = ({ actions }: GuardPolicy): boolean =>
  Object.values(actions).some((list) => killActionOf(list) === "container");
