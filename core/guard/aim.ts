/**
 * Whom to strike, found out ahead of time: at the last level nothing is left to be read but whether it still holds. Each read
 * that the CPU's caches do not know takes some 85 µs, in which an allocator without a brake takes 200 KiB.
 */

import { type Cgroup, isThere, peekControl, walk } from "../cgroup/cgroup.ts";
import { inInitialPidNamespace } from "../cgroup/hierarchy.ts";
import { identify } from "../cgroup/identity.ts";
import { readPreference } from "../cgroup/preference.ts";
import { commandLineOf, readCandidate } from "../cgroup/processes.ts";
import { type Held, pidsIn } from "../act/held.ts";
import { type Fd, inodeOfFd, openDirectory } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd } from "../kernel/process.ts";
import { type Attribute, type Choice, chooseVictim, type Ranking } from "../policy/choose.ts";
import { groupOf } from "../policy/victim.ts";
import type { Process } from "../snapshot.ts";
import { type Weighed, weighed } from "./messages.ts";
import type { GuardPlan } from "./plan.ts";

/** A process that is held, and the cgroup that it was in. */
export interface Pick extends Held {
  readonly weighed: Weighed;
  /** By somebody else, before. */
  readonly isStopped: boolean;
  /** What dies as a whole together with it: of memory.oom.group, or its container where that is asked for. */
  readonly group: Cgroup | undefined;
  readonly container: Cgroup;
}

export interface Aim {
  /** The first is taken first. */
  readonly picks: readonly Pick[];
  /** The first few of all, those that are spared at the end. */
  readonly candidates: readonly Weighed[];
  readonly at: number;
  /** The level left no time to look at all. */
  readonly isPartial: boolean;
  /** Lets go of all picks, or of those that fit. */
  close(which?: (pick: Pick) => boolean): void;
}

/** Several allocators at once can need more than one; who is beyond these is looked for again. */
const PICKS = 8;
const TOLD = 10;

export interface Aiming {
  readonly plan: GuardPlan;
  /** Path of the cgroup whose limit it is. */
  readonly owner: string;
  /** Bytes, see `oomCapacity`. */
  readonly capacity: number;
  /** Asked between two processes; once it says yes, what is known by then has to do. */
  pressed(): boolean;
  /** Pids that are passed over. */
  readonly struck: ReadonlySet<number>;
}

/** @returns `undefined` when the cgroup is gone. */
export function takeAim(scope: Cgroup, aiming: Aiming): Aim | undefined {
  const { plan, owner, capacity } = aiming;
  const rank = (field: Field) =>
    chooseVictim({ ...field, capacity, untouchable: plan.untouchable }, plan.preferences);
  let field = lookAround(scope, aiming);
  let ranking = rank(field);
  if (field.isPartial && ranking.choices.length === 0) {
    field = lookAround(scope, { ...aiming, pressed: () => false });
    ranking = rank(field);
  }
  const byPath = new Map(field.cgroups.map((cgroup) => [cgroup.path, cgroup]));
  const picks: Pick[] = [];
  for (const choice of ranking.choices.slice(0, PICKS)) {
    const pick = hold(choice, byPath, scope, owner, field.isPartial);
    if (pick) picks.push(pick);
  }
  const close = (which: (pick: Pick) => boolean = () => true) => {
    for (const pick of picks.filter(which)) {
      pick.pidfd.close();
      pick.home.close();
    }
  };
  if (!isThere(scope)) close();
  return isThere(scope)
    ? {
      picks,
      candidates: told(ranking, picks),
      at: performance.now(),
      isPartial: field.isPartial,
      close,
    }
    : undefined;
}

interface Field {
  readonly cgroups: readonly Cgroup[];
  readonly processes: readonly Process[];
  readonly attributes: ReadonlyMap<string, Attribute>;
  readonly pidOneIsInit: boolean;
  readonly isPartial: boolean;
}

function lookAround(scope: Cgroup, { plan, pressed, struck }: Aiming): Field {
  const { preferences, untouchable } = plan;
  const withCmdline = Object.values(preferences).some(({ length }) => length > 0);
  const cgroups: Cgroup[] = [];
  const processes: Process[] = [];
  const attributes = new Map<string, Attribute>();
  const guardedBy = uidOf(scope);
  let isPartial = false;
  for (const cgroup of walk(scope)) {
    cgroups.push(cgroup);
    const inherited = attributes.get(cgroup.path.slice(0, cgroup.path.lastIndexOf("/")));
    const attribute = preferenceOf(cgroup, guardedBy) ?? inherited;
    if (attribute) attributes.set(cgroup.path, attribute);
    for (const pid of pidsIn(peekControl(cgroup, "cgroup.procs") ?? "")) {
      if (struck.has(pid)) continue;
      if (processes.length > 0 && pressed()) isPartial = true;
      if (isPartial) break;
      const process = readCandidate(pid, cgroup.path, withCmdline && !untouchable.has(pid));
      if (process) processes.push(process);
    }
    if (isPartial) break;
  }
  return { cgroups, processes, attributes, pidOneIsInit: inInitialPidNamespace(), isPartial };
}

function uidOf({ dir }: Cgroup): number {
  try {
    return Deno.statSync(dir).uid ?? 0;
  } catch {
    // Gone: whoever owned it has nothing to say any more.
    return -1;
  }
}

function preferenceOf(cgroup: Cgroup, guardedBy: number): Attribute | undefined {
  try {
    using directory = openDirectory(cgroup.dir);
    return readPreference(directory, uidOf(cgroup), guardedBy);
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}

function hold(
  choice: Choice,
  cgroups: ReadonlyMap<string, Cgroup>,
  scope: Cgroup,
  owner: string,
  isPressed: boolean,
): Pick | undefined {
  const { process } = choice;
  const cgroup = cgroups.get(process.cgroup)!;
  const home = openHome(cgroup);
  if (home === undefined) return undefined;
  const pidfd = openPidfd(process.pid);
  if (pidfd === undefined) {
    home.close();
    return undefined;
  }
  // To read it takes a lock of the process, which it holds while it allocates.
  const cmdline = process.cmdline.length > 0 || isPressed
    ? process.cmdline
    : commandLineOf(process.pid);
  const hasGroup = (path: string) => {
    const at = cgroups.get(path);
    return at !== undefined && peekControl(at, "memory.oom.group")?.trim() === "1";
  };
  const group = groupOf(process.cgroup, owner, hasGroup);
  return {
    pid: process.pid,
    weighed: weighed({ ...process, cmdline }, choice),
    isStopped: process.state === "T" || process.state === "t",
    pidfd,
    home,
    group: group === undefined ? undefined : cgroups.get(group),
    container: containerAround(process.cgroup, cgroups, scope),
  };
}

/** The outermost cgroup of a container from the guarded one down to the victim's; the guarded one where there is none. */
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

function openHome(cgroup: Cgroup): Fd | undefined {
  try {
    const home = openDirectory(cgroup.dir);
    if (inodeOfFd(home) === cgroup.inode) return home;
    home.close();
    return undefined;
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}

/** Of those that are held more is known. */
function told({ choices, spared }: Ranking, picks: readonly Pick[]): Weighed[] {
  const held = new Map(picks.map((pick) => [pick.pid, pick.weighed]));
  const first = choices.slice(0, TOLD).map((choice) =>
    held.get(choice.process.pid) ?? weighed(choice.process, choice)
  );
  const rest = spared.slice(0, TOLD - first.length).map(({ process, because }) =>
    weighed(process, { badness: 0, standing: "spared", because })
  );
  return [...first, ...rest];
}
