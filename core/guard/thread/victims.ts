/** Who dies along with whom, who does not, and why nobody does. */

import { type Cgroup, isThere, tryReadControl, walk } from "../../cgroup/cgroup.ts";
import { inInitialPidNamespace } from "../../cgroup/hierarchy.ts";
import { identify } from "../../cgroup/identity.ts";
import { readPreference } from "../../cgroup/preference.ts";
import { commandLineOf, oomScoreAdjOf, readCandidate } from "../../cgroup/processes.ts";
import { tryListPids } from "../../cgroup/pids.ts";
import type { PinnedProcess } from "../../control/kill.ts";
import type { CandidateJson } from "../../events/event.ts";
import { type OpenControlFile, tryOpenControlFile } from "../../kernel/control_file.ts";
import { type Fd, inodeOfFd, openDirectory } from "../../kernel/fd.ts";
import { SystemCallError } from "../../kernel/libc.ts";
import { pageSize } from "../../kernel/page_size.ts";
import { openPidfd } from "../../kernel/process.ts";
import {
  type Attribute,
  groupOf,
  PREFERENCE_ORDER,
  rankCandidates,
  type RankedCandidate,
  type RankedCandidates,
} from "../../policy/victims.ts";
import type { Process } from "../../snapshot.ts";
import { toJsonCandidate } from "../events.ts";
import { ACTIONS, type KillAction } from "../../policy/actions.ts";
import { type GuardPolicy, isExcluded, type PolicySet } from "../policy.ts";
import type { GuardedCgroup } from "../registry.ts";
import { isInSubtree } from "../../cgroup_path.ts";
import type { CgroupState } from "./cgroup_state.ts";
import { scored, type ScoredProcess } from "./protocol.ts";

/** Said where there is nobody to be struck. */
export function noVictimReason({ selection }: CgroupState): string {
  if (selection?.outside === undefined) return "there is no process that may be taken";
  const { pid, comm, cgroup } = selection.outside;
  return `the kernel would take pid ${pid} (${comm}) in ${cgroup}, which is not guarded`;
}

/** Who is left alone when all of it dies. */
export function excludedPids(
  { group, exclusions }: Victim,
  killAction: KillAction,
  { protectedPids }: GuardPolicy,
) {
  if (ACTIONS[killAction].killScope === "container") return exclusions.container;
  return group ? exclusions.group : protectedPids;
}

/** What dies together with a victim. */
export function killScopeOf({ container, group }: Victim, killAction: KillAction) {
  return ACTIONS[killAction].killScope === "container" ? container : group;
}

/*
 * Whom to strike, found out ahead of time: at the last level nothing is left to be read but whether it still holds. Each read
 * that the CPU's caches do not know takes some 85 µs, in which an allocator without a brake takes 200 KiB.
 */

/** A process that is held, and the cgroup that it was in. */
export interface Victim extends PinnedProcess {
  readonly scored: ScoredProcess;
  /** `undefined` where it may not be read, or there is nobody to compare it with. */
  readonly statm: OpenControlFile | undefined;
  /** By somebody else, before. */
  readonly isStopped: boolean;
  /** What dies as a whole together with it: of memory.oom.group, or its container where that is asked for. */
  readonly group: Cgroup | undefined;
  readonly container: Cgroup;
  /** Who is left alone when one of them dies: the kernel spares oom_score_adj -1000 in a group too. */
  readonly exclusions: Readonly<Record<"group" | "container", ReadonlySet<number>>>;
}

export interface VictimSelection {
  /** The first is taken first. */
  victims: readonly Victim[];
  /** The first few of all, those that are spared at the end. */
  candidates: readonly ScoredProcess[];
  /** Milliseconds of this thread's clock; `-Infinity` once somebody was struck by it, and others may have come in his place. */
  at: number;
  /** The level left no time to look at all. */
  readonly isPartial: boolean;
  /** Whom the kernel would take, where that is nobody whom this guard may take. */
  readonly outside: ScoredProcess | undefined;
  /** Lets go of all picks, or of those that fit. */
  close(which?: (victim: Victim) => boolean): void;
}

/** It stays the same for as long as this program runs. */
const pidOneIsInit = inInitialPidNamespace();

/** Several allocators at once can need more than one; who is beyond these is looked for again. */
const MAX_VICTIMS = 8;
const MAX_REPORTED_CANDIDATES = 10;

export interface SelectionContext {
  readonly policy: GuardPolicy;
  /** Whether a rule leaves alone what lies there. */
  isExcluded(path: string): boolean;
  /** The cgroup whose limit it is: in it the kernel looks for its victim. */
  readonly limitOwner: Cgroup;
  /** Bytes, see `oomCapacity`. */
  readonly oomTotalBytes: number;
  /** Asked between two processes; once it says yes, what is known by then has to do. */
  outOfTime(): boolean;
  /** Pids that are passed over. */
  readonly signalled: ReadonlySet<number>;
}

/** @returns `undefined` when the cgroup is gone. */
export function selectVictims(
  scope: Cgroup,
  selectionContext: SelectionContext,
): VictimSelection | undefined {
  const { policy, oomTotalBytes } = selectionContext;
  const isInside = ({ process }: RankedCandidate) => isInSubtree(process.cgroup, scope.path);
  const pickIn = (pool: CandidatePool) => {
    const ranking = rankCandidates(
      { ...pool, oomTotalBytes, protectedPids: policy.protectedPids },
      policy.preferences,
    );
    const [first] = ranking.candidates;
    const outside = first && !isInside(first) ? scored(first.process, first) : undefined;
    const inside = outside ? [] : ranking.candidates.filter(isInside);
    const victims = inside.slice(0, MAX_VICTIMS)
      .flatMap((choice) =>
        pinVictim(choice, pool, scope, selectionContext, inside.length > 1) ?? []
      );
    return { ranking, outside, victims };
  };
  let pool = lookAround(scope, selectionContext);
  let picked = pickIn(pool);
  if (pool.isPartial && picked.victims.length === 0) {
    pool = lookAround(scope, { ...selectionContext, outOfTime: () => false });
    picked = pickIn(pool);
  }
  const { ranking, outside, victims } = picked;
  if (!isThere(scope)) {
    victims.forEach(releaseVictim);
    return undefined;
  }
  const selection: VictimSelection = {
    victims,
    candidates: told(ranking, victims),
    at: performance.now(),
    isPartial: pool.isPartial,
    outside,
    close: (which = () => true) => selection.victims.filter(which).forEach(releaseVictim),
  };
  return selection;
}

interface CandidatePool {
  readonly cgroups: readonly Cgroup[];
  readonly processes: readonly Process[];
  readonly attributes: ReadonlyMap<string, Attribute | "kept">;
  readonly pidOneIsInit: boolean;
  readonly isPartial: boolean;
}

/** What was held of it. */
export function releaseVictim({ pidfd, cgroupFd, statm }: Victim): void {
  for (const pinned of [pidfd, cgroupFd, statm]) pinned?.close();
}

/** The picks as they are to be taken now: who has grown since the aim was taken comes first among equals. */
export function byBadnessNow(victims: readonly Victim[]): readonly Victim[] {
  if (victims.length < 2) return victims;
  const weights = new Map(victims.map((victim) => [victim, badnessNow(victim)]));
  const preference = ({ scored }: Victim) =>
    PREFERENCE_ORDER.findIndex((each) => each === scored.preference);
  return victims.toSorted((a, b) =>
    preference(a) - preference(b) || weights.get(b)! - weights.get(a)!
  );
}

/** Its badness with what it has in memory now: proc(5), /proc/PID/statm, the second number, in pages. */
function badnessNow({ statm, scored: { badness, rss } }: Victim): number {
  const pages = Number(statm?.text()?.split(" ")[1]);
  return Number.isFinite(pages) && rss !== undefined ? badness - rss + pages * pageSize() : badness;
}

function lookAround(
  scope: Cgroup,
  { limitOwner: top, policy, isExcluded, outOfTime, signalled }: SelectionContext,
): CandidatePool {
  const { preferences, protectedPids } = policy;
  const withCmdline = Object.values(preferences).some(({ length }) => length > 0);
  const cgroups: Cgroup[] = [];
  const processes: Process[] = [];
  const attributes: Map<string, Attribute | "kept"> = new Map();
  const guardedBy = uidOf(top);
  let isPartial = false;
  for (const cgroup of walk(top)) {
    cgroups.push(cgroup);
    const inherited = attributes.get(cgroup.path.slice(0, cgroup.path.lastIndexOf("/")));
    // What is guarded for its own sake is not kept from it by a rule above.
    const isKeptHere = isExcluded(cgroup.path) && !isInSubtree(scope.path, cgroup.path);
    const attribute = isKeptHere || inherited === "kept"
      ? "kept"
      : preferenceOf(cgroup, guardedBy) ?? inherited;
    if (attribute) attributes.set(cgroup.path, attribute);
    for (const pid of pidsOf(cgroup)) {
      if (signalled.has(pid)) continue;
      if (processes.length > 0 && outOfTime()) isPartial = true;
      if (isPartial) break;
      const process = readCandidate(pid, cgroup.path, withCmdline && !protectedPids.has(pid));
      if (process) processes.push(process);
    }
    if (isPartial) break;
  }
  return { cgroups, processes, attributes, pidOneIsInit, isPartial };
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

function pinVictim(
  choice: RankedCandidate,
  pool: CandidatePool,
  scope: Cgroup,
  { limitOwner, policy, outOfTime }: SelectionContext,
  hasRivals: boolean,
): Victim | undefined {
  const { process } = choice;
  const { pid } = process;
  const { cgroups, isPartial } = pool;
  const byPath = new Map(cgroups.map((cgroup) => [cgroup.path, cgroup]));
  const cgroupFd = openCgroupFd(byPath.get(process.cgroup)!);
  const pidfd = cgroupFd && tryOpenPidfd(pid);
  if (cgroupFd === undefined || pidfd === undefined) return void cgroupFd?.close();
  const hasGroup = (path: string) => {
    const at = byPath.get(path);
    return at !== undefined && tryReadControl(at, "memory.oom.group")?.trim() === "1";
  };
  const groupPath = groupOf(process.cgroup, limitOwner.path, hasGroup);
  const group = groupPath === undefined ? undefined : byPath.get(groupPath);
  const container = containerAround(process.cgroup, byPath, scope);
  const kept = (top: Cgroup | undefined) => top ? keptIn(top, pool) : [];
  // To read it takes a lock of the process, which it holds while it allocates.
  const isKnown = process.cmdline.length > 0 || isPartial || outOfTime();
  const cmdline = isKnown ? process.cmdline : commandLineOf(pid);
  return {
    pid,
    scored: scored({ ...process, cmdline }, choice),
    isStopped: process.state === "T" || process.state === "t",
    pidfd,
    cgroupFd,
    statm: hasRivals ? tryOpenControlFile(`/proc/${pid}/statm`) : undefined,
    group,
    exclusions: {
      group: new Set([...policy.protectedPids, ...group ? immuneIn(group) : [], ...kept(group)]),
      container: new Set([...policy.protectedPids, ...kept(container)]),
    },
    container,
  };
}

/** Whom a rule leaves alone although it lies in what dies as a whole. */
function keptIn(top: Cgroup, { cgroups, attributes }: CandidatePool): number[] {
  const isExcluded = ({ path }: Cgroup) =>
    attributes.get(path) === "kept" && isInSubtree(path, top.path);
  return cgroups.filter(isExcluded).flatMap(pidsOf);
}

/** Whom the kernel spares also when all of a cgroup dies; asked of all, however many were looked at before. */
function immuneIn(group: Cgroup): number[] {
  return [...walk(group)].flatMap(pidsOf).filter((pid) => oomScoreAdjOf(pid) === -1000);
}

const pidsOf = (cgroup: Cgroup) => [...tryListPids(cgroup)];

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

/** `undefined` when it is gone, or cannot be held: a filter may forbid it, or descriptors may run short. */
function tryOpenPidfd(pid: number): Fd | undefined {
  try {
    return openPidfd(pid);
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}

function openCgroupFd(cgroup: Cgroup): Fd | undefined {
  try {
    const cgroupFd = openDirectory(cgroup.dir);
    if (inodeOfFd(cgroupFd) === cgroup.inode) return cgroupFd;
    cgroupFd.close();
    return undefined;
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}

/** Of those that are held more is known. */
function told(
  { candidates, excluded }: RankedCandidates,
  victims: readonly Victim[],
): ScoredProcess[] {
  const pinned = new Map(victims.map((victim) => [victim.pid, victim.scored]));
  const first = candidates.slice(0, MAX_REPORTED_CANDIDATES).map((choice) =>
    pinned.get(choice.process.pid) ?? scored(choice.process, choice)
  );
  const rest = excluded.slice(0, MAX_REPORTED_CANDIDATES - first.length).map((
    { process, preferenceReason },
  ) => scored(process, { badness: 0, preference: "excluded", preferenceReason }));
  return [...first, ...rest];
}

/* Who would be taken in a guarded cgroup now. */

/** The first one first; those that are spared at the end. */
export function predictVictims(
  { cgroup, limitOwner, settings: { oomTotalBytes }, policy }: GuardedCgroup,
  policies: PolicySet,
): readonly CandidateJson[] {
  const outOfTime = () => false;
  const kept = (path: string) => isExcluded(policies, path);
  const selectionContext = {
    policy,
    isExcluded: kept,
    limitOwner,
    oomTotalBytes,
    outOfTime,
    signalled: new Set<number>(),
  };
  const selection = selectVictims(cgroup, selectionContext);
  selection?.close();
  return (selection?.candidates ?? []).map(toJsonCandidate);
}
