/**
 * Selects victims ahead of time and pins them by pidfd: at the imminent level nothing is left to read but whether a victim is
 * still in its cgroup. A read that misses the CPU caches takes about 85 µs, in which an unthrottled allocator takes 200 KiB.
 */

import {
  accessibleChildrenOf,
  type Cgroup,
  mayBeThere,
  tryReadSnapshot,
  walkCharged,
} from "../../cgroup/cgroup.ts";
import { inInitialPidNamespace } from "../../cgroup/hierarchy.ts";
import { tryListPids } from "../../cgroup/pids.ts";
import { readPreference } from "../../cgroup/preference.ts";
import { commandLineOf, isExiting, readCandidate } from "../../cgroup/processes.ts";
import { isInSubtree } from "../../cgroup_path.ts";
import type { PinnedProcess } from "../../control/kill.ts";
import type { CandidateJson } from "../../events/event.ts";
import { type OpenControlFile, tryOpenControlFile } from "../../kernel/control_file.ts";
import { type Fd, inodeOfFd, openDirectory } from "../../kernel/fd.ts";
import { isTransient, SystemCallError } from "../../kernel/libc.ts";
import { pageSize } from "../../kernel/page_size.ts";
import { openPidfd } from "../../kernel/process.ts";
import { ACTIONS, type KillAction } from "../../policy/actions.ts";
import {
  type Attribute,
  byPreferenceAndCgroup,
  type CandidatePool,
  isFirstChoice,
  rankCandidates,
  type RankedCandidate,
  type RankedCandidates,
} from "../../policy/victims.ts";
import type { Process } from "../../snapshot.ts";
import { type GuardPolicy, isExcluded, type PolicySet } from "../policy.ts";
import type { GuardedCgroup } from "../registry.ts";
import {
  type KillContext,
  killsContainers,
  type KillScope,
  KillScopes,
  type VictimScopes,
} from "./kill_scopes.ts";
import { type CgroupRanking, type CgroupRanks, rankingOf } from "./cgroup_ranking.ts";
import { readLargest } from "./largest_processes.ts";

/** A process pinned by pidfd, and the cgroup that it was in. */
export interface Victim extends PinnedProcess {
  readonly scored: CandidateJson;
  readonly rank: Pick<RankedCandidate, "preference" | "cgroupRank">;
  /** `undefined` when it may not be read, or there is no other candidate to compare with. */
  readonly statm: OpenControlFile | undefined;
  /** Stopped by another program before. */
  readonly isStopped: boolean;
  readonly killScopes: VictimScopes;
}

export interface VictimSelection {
  /** The first is killed first. */
  victims: readonly Victim[];
  /** The first few of all candidates, excluded processes last. */
  candidates: readonly CandidateJson[];
  /** Milliseconds of this thread's clock; `-Infinity` after a kill, since new processes may have taken the victim's place. */
  at: number;
  /** There was no time to read all processes. */
  readonly isPartial: boolean;
  /**
   * A process at the same limit that was killed or exits, and still holds memory: usage read before it is gone is no reason to kill another
   * one. The kernel waits for its own victims too (mm/oom_kill.c, oom_evaluate_task).
   */
  exiting: ExitingProcess | undefined;
  readonly known: KnownProcesses;
  /** There are more candidates than victims. */
  readonly hasMore: boolean;
  /** Why a candidate could not be pinned. */
  readonly pinFailure: string | undefined;
  /** The kernel's victim, if it is outside of the guarded cgroup; then there are no victims. */
  readonly outside: CandidateJson | undefined;
  /** Releases all victims, or those that match. */
  close(which?: (victim: Victim) => boolean): void;
}

/** What is known of the processes at a limit, for the next selection. */
export interface KnownProcesses {
  /** Resident memory in bytes by pid, as it was last read: a process that has given up its address space shows none while that is freed. */
  readonly rssByPid: ReadonlyMap<number, number>;
  /** The process that the kernel would kill first, or has killed; `attribute` is that of its cgroup. */
  readonly first:
    | {
      readonly pid: number;
      readonly cgroup: Cgroup;
      readonly attribute: ReadAttribute | undefined;
    }
    | undefined;
}

type ReadAttribute = Attribute | "excluded" | "unknown";

export const NOTHING_KNOWN: KnownProcesses = { rssByPid: new Map(), first: undefined };

export interface ExitingProcess {
  readonly pid: number;
  /** Bytes that it holds, or held when they were last read; an estimate if they never were, `undefined` if there is none. */
  readonly rss: number | undefined;
  /** Its address space is gone already, so that it cannot be seen how much is still to be freed. */
  readonly isFreeing: boolean;
  /** Not in the guarded cgroup. */
  readonly isOutside: boolean;
}

export interface SelectionContext extends KillContext {
  /** Bytes, see `oomTotalBytesOf`. */
  readonly oomTotalBytes: number;
  /** Called between two processes; when true, the processes read so far must do, unless an unread one outside may be larger. */
  outOfTime(): boolean;
  /** Bytes at the limit's owner, now. */
  usage(): number;
  /** Pids to leave out. */
  readonly signalled: ReadonlySet<number>;
  /** From the selection before. */
  readonly known: KnownProcesses;
  /** Of the order that the policy asks for. */
  readonly ranking?: CgroupRanking | undefined;
}

/** Constant for the life of this program. */
const pidOneIsInit = inInitialPidNamespace();

/** Several concurrent allocators can need more than one victim; beyond these the selection is repeated. */
const MAX_VICTIMS = 8;
const MAX_REPORTED_CANDIDATES = 10;

/** @returns `undefined` when the cgroup is gone. */
export function selectVictims(
  scope: Cgroup,
  selectionContext: SelectionContext,
): VictimSelection | undefined {
  const { policy } = selectionContext;
  const isInside = ({ process }: RankedCandidate) => isInSubtree(process.cgroup, scope.path);
  const pickIn = (pool: ReadPool) => {
    const ranking = rankCandidates(pool, policy.preferences);
    const [first] = ranking.candidates;
    const outside = first && !isInside(first) ? scored(first.process, first) : undefined;
    const isLastResort = first === undefined && killsContainers(policy) && !scope.machine;
    const candidates = isLastResort ? rankImmune(pool, policy) : ranking.candidates;
    const inside = outside ? [] : candidates.filter(isInside);
    const pinned = pinVictims(inside, pool, scope, selectionContext);
    return { ranking, outside, ...pinned };
  };
  let pool = readPool(scope, selectionContext);
  let picked = pickIn(pool);
  const mayDo = picked.victims.some(({ scored: { preference } }) =>
    preference === "prefer" || (preference === "none" && !mayPrefer(pool, policy))
  );
  if (pool.isPartial && !mayDo && picked.outside === undefined) {
    picked.victims.forEach(releaseVictim);
    pool = readPool(scope, { ...selectionContext, outOfTime: () => false });
    picked = pickIn(pool);
  }
  const { ranking, outside, victims, hasMore, pinFailure } = picked;
  if (!mayBeThere(scope)) {
    victims.forEach(releaseVictim);
    return undefined;
  }
  const rssByPid = rssByPidIn(pool, selectionContext);
  const exiting = exitingIn(pool, scope, rssByPid);
  const selection: VictimSelection = {
    victims,
    candidates: reportedCandidates(ranking, victims),
    at: performance.now(),
    isPartial: pool.isPartial,
    exiting,
    known: { rssByPid, first: firstIn(pool, exiting?.pid ?? ranking.candidates[0]?.process.pid) },
    hasMore,
    pinFailure,
    outside,
    close: (which = () => true) => selection.victims.filter(which).forEach(releaseVictim),
  };
  return selection;
}

/** Whether there may be an unread process that is killed before those without a preference. */
const mayPrefer = ({ attributes }: ReadPool, { preferences }: GuardPolicy): boolean =>
  preferences.prefer.length > 0 || [...attributes.values()].includes("prefer");

function rssByPidIn(
  { processes }: ReadPool,
  { known }: SelectionContext,
): ReadonlyMap<number, number> {
  const byPid = new Map<number, number>();
  for (const { pid, rss } of processes) {
    const bytes = rss ?? known.rssByPid.get(pid);
    if (bytes !== undefined) byPid.set(pid, bytes);
  }
  return byPid;
}

/** Of several the largest. */
function exitingIn(
  pool: ReadPool,
  scope: Cgroup,
  rssByPid: ReadonlyMap<number, number>,
): ExitingProcess | undefined {
  const { processes, protectedPids } = pool;
  const unmapped = new Map<string, number | undefined>();
  const estimateIn = (path: string) => {
    if (!unmapped.has(path)) unmapped.set(path, unmappedBytesIn(pool, path));
    return unmapped.get(path);
  };
  const exiting = processes.filter(({ isExiting, pid }) => isExiting && !protectedPids.has(pid))
    .map(({ pid, rss, cgroup }) => ({
      pid,
      rss: rssByPid.get(pid) ?? estimateIn(cgroup),
      isFreeing: rss === undefined,
      isOutside: !isInSubtree(cgroup, scope.path),
    }));
  return exiting.toSorted((a, b) => (b.rss ?? 0) - (a.rss ?? 0))[0];
}

/**
 * Anonymous memory of a cgroup that no process has mapped: it is being freed. Rather too little, as files that are mapped count in the
 * resident memory of the others. `undefined` when not all processes were read.
 */
function unmappedBytesIn(
  { processes, cgroups, isPartial }: ReadPool,
  path: string,
): number | undefined {
  const cgroup = isPartial ? undefined : cgroups.find((each) => each.path === path);
  const anon = cgroup && tryReadSnapshot(cgroup, ["memory.stat"]).stats.anon;
  if (anon === undefined) return undefined;
  const mapped = processes.filter((process) => isInSubtree(process.cgroup, path))
    .reduce((sum, { rss = 0 }) => sum + rss, 0);
  return Math.max(0, anon - mapped);
}

function firstIn(
  { processes, cgroups, attributes }: ReadPool,
  first: number | undefined,
): KnownProcesses["first"] {
  const process = processes.find(({ pid }) => pid === first);
  const cgroup = cgroups.find(({ path }) => path === process?.cgroup);
  return process && cgroup &&
    { pid: process.pid, cgroup, attribute: attributes.get(cgroup.path) };
}

/** The processes with oom_score_adj -1000, which the kernel never kills: a container that has no others is killed all the same. */
function rankImmune(pool: ReadPool, { preferences }: GuardPolicy): readonly RankedCandidate[] {
  const immune = new Map(
    pool.processes.filter(({ oomScoreAdj }) => oomScoreAdj === -1000).map((
      each,
    ) => [each.pid, each]),
  );
  const processes = [...immune.values()].map((process) => ({ ...process, oomScoreAdj: 0 }));
  return rankCandidates({ ...pool, processes }, preferences).candidates.map((candidate) => ({
    ...candidate,
    process: immune.get(candidate.process.pid)!,
  }));
}

export function releaseVictim({ pidfd, cgroupFd, statm }: Victim): void {
  for (const file of [pidfd, cgroupFd, statm]) file?.close();
}

/** Sorts by what each victim has in memory now, within each preference and rank of a cgroup. */
export function byBadnessNow(victims: readonly Victim[]): readonly Victim[] {
  if (victims.length < 2) return victims;
  const badness = new Map(victims.map((victim) => [victim, badnessNow(victim)]));
  return victims.toSorted((a, b) =>
    byPreferenceAndCgroup(a.rank, b.rank) || badness.get(b)! - badness.get(a)!
  );
}

/** proc(5), /proc/PID/statm: the second number is the resident set in pages. */
function badnessNow({ statm, scored: { badness, rss } }: Victim): number {
  const pages = Number(statm?.text()?.split(" ")[1]);
  return Number.isFinite(pages) && rss !== null ? badness - rss + pages * pageSize() : badness;
}

/** Forgets a process that has exited since. */
export function exitingNow(selection: VictimSelection): ExitingProcess | undefined {
  const { exiting } = selection;
  if (exiting && !isExiting(exiting.pid)) selection.exiting = undefined;
  return selection.exiting;
}

/** Whether the kernel would kill a process outside of the guarded cgroup, or one there exits already. */
export const isOutsideFirst = (selection: VictimSelection): boolean =>
  selection.outside !== undefined ||
  (selection.exiting?.isOutside === true && exitingNow(selection) !== undefined);

/** Why no process was killed. */
export function noVictimReason(selection: VictimSelection | undefined): string {
  if (selection?.outside === undefined) {
    return selection?.pinFailure ?? "no process in the cgroup may be killed";
  }
  const { pid, comm, cgroup } = selection.outside;
  return `the kernel would kill pid ${pid} (${comm}) in ${cgroup}, which is not guarded`;
}

/** `undefined` when the victim is killed alone. */
export const killScopeOf = (
  { killScopes }: Victim,
  killAction: KillAction,
): KillScope | undefined => killScopes[ACTIONS[killAction].killScope];

interface ReadPool extends CandidatePool {
  readonly cgroups: readonly Cgroup[];
  readonly isPartial: boolean;
}

function readPool(
  scope: Cgroup,
  context: SelectionContext,
): ReadPool {
  const { limitOwner, policy, oomTotalBytes, isExcluded, signalled, known: { first } } = context;
  const { preferences, protectedPids } = policy;
  const { prefer, avoid, ignore, essentials = [], byName } = preferences;
  const withCmdline = !byName &&
    [prefer, avoid, ignore, essentials].some(({ length }) => length > 0);
  const read = (pid: number, path: string) =>
    readCandidate(pid, path, withCmdline && !protectedPids.has(pid));
  const cgroups: Cgroup[] = [];
  const processes: Process[] = [];
  const attributes: Map<string, ReadAttribute> = new Map();
  const guardedBy = uidOf(limitOwner);
  let isPartial = false;
  const known = first && !signalled.has(first.pid) ? read(first.pid, first.cgroup.path) : undefined;
  // There may be no time to read the others. A process that exits may hold memory although it is not listed any more (kernel,
  // css_task_iter_advance). One inside is left to the walk, which looks for its group.
  const isOutside = () =>
    !isInSubtree(first!.cgroup.path, scope.path) && tryListPids(first!.cgroup).has(first!.pid);
  if (known && (known.isExiting || isOutside())) {
    processes.push(known);
    cgroups.push(first!.cgroup);
    if (first!.attribute) attributes.set(first!.cgroup.path, first!.attribute);
  }
  const readUnknown = (pid: number, path: string) => pid === known?.pid ? known : read(pid, path);
  const begin = processes.length;
  // In a copied tree there are few.
  const isMachine = limitOwner.machine !== undefined && limitOwner.hierarchy.kernel;
  const cgroupRanks: CgroupRanks = context.ranking?.ranks(performance.now()) ?? new Map();
  const members = new Map<number, string>();
  for (const cgroup of walkCharged(limitOwner, accessibleChildrenOf)) {
    cgroups.push(cgroup);
    const inherited = attributes.get(cgroup.path.slice(0, cgroup.path.lastIndexOf("/")));
    // A rule for a parent does not exclude a cgroup that is guarded itself.
    const isExcludedHere = isExcluded(cgroup.path) && !isInSubtree(scope.path, cgroup.path);
    const attribute = isExcludedHere || inherited === "excluded"
      ? "excluded"
      : preferenceOf(cgroup, guardedBy) ?? inherited;
    if (attribute) attributes.set(cgroup.path, attribute);
    if (isPartial) continue;
    const pids = pidsOf(cgroup);
    for (const pid of pids) {
      if (signalled.has(pid) || processes[0]?.pid === pid) continue;
      if (isMachine) {
        members.set(pid, cgroup.path);
        continue;
      }
      // With an order of cgroups the first one may be any of them.
      const isOrdered = cgroupRanks.size > 0;
      if (!isOrdered && processes.length > begin && mayStop(processes, scope, context)) {
        isPartial = true;
      }
      if (isPartial) break;
      const process = readUnknown(pid, cgroup.path);
      if (process) processes.push(process);
    }
  }
  const pool = {
    cgroups,
    processes,
    attributes,
    cgroupRanks,
    oomTotalBytes,
    protectedPids,
    isPartial,
    pageSize: pageSize(),
    pidOneIsInit,
  };
  if (isMachine) {
    const mayBeFirst = (process: Process) => isFirstChoice(process, pool, preferences);
    processes.push(...readLargest({ members, cgroupRanks, read: readUnknown, mayBeFirst }));
  }
  return pool;
}

/**
 * A process inside of the guarded cgroup that is read before a larger one outside must not be killed in its place: the time for the others
 * is taken until none of them can be larger.
 */
function mayStop(
  processes: readonly Process[],
  scope: Cgroup,
  { limitOwner, outOfTime, usage }: SelectionContext,
): boolean {
  if (!outOfTime()) return false;
  if (limitOwner.path === scope.path) return true;
  const sizes = processes.map(({ rss = 0 }) => rss);
  const largest = processes.reduce(
    (most, { rss = 0, cgroup }) => isInSubtree(cgroup, scope.path) ? Math.max(most, rss) : most,
    0,
  );
  return largest >= usage() - sizes.reduce((sum, rss) => sum + rss, 0);
}

/** -1 when the cgroup is gone, so that its attributes do not count. */
function uidOf({ dir }: Cgroup): number {
  try {
    return Deno.statSync(dir).uid ?? 0;
  } catch {
    return -1;
  }
}

/** `unknown` where it could be read a moment later: what may be excluded must not be killed. */
function preferenceOf(cgroup: Cgroup, guardedBy: number): Attribute | "unknown" | undefined {
  try {
    using directory = openDirectory(cgroup.dir);
    return readPreference(directory, uidOf(cgroup), guardedBy);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    return isTransient(error) ? "unknown" : undefined;
  }
}

/** Pins the first ones that can be pinned. */
function pinVictims(
  candidates: readonly RankedCandidate[],
  pool: ReadPool,
  scope: Cgroup,
  selectionContext: SelectionContext,
): Pick<VictimSelection, "victims" | "hasMore" | "pinFailure"> {
  const victims: Victim[] = [];
  const byPath = new Map(pool.cgroups.map((cgroup) => [cgroup.path, cgroup]));
  const killScopes = new KillScopes(byPath, pool, scope, selectionContext);
  let pinFailure: string | undefined;
  for (const candidate of candidates) {
    if (victims.length === MAX_VICTIMS) return { victims, hasMore: true, pinFailure };
    try {
      const cgroup = byPath.get(candidate.process.cgroup)!;
      const victim = pinVictim(candidate, cgroup, killScopes, {
        hasTime: () => !pool.isPartial && !selectionContext.outOfTime(),
        hasRivals: candidates.length > 1,
      });
      if (victim) victims.push(victim);
    } catch (error) {
      // A seccomp filter may refuse it, or descriptors may run short.
      if (!(error instanceof SystemCallError)) throw error;
      pinFailure ??= error.message;
    }
  }
  return { victims, hasMore: false, pinFailure };
}

/** `undefined` when the process or its cgroup is gone. Throws `SystemCallError`. */
function pinVictim(
  candidate: RankedCandidate,
  cgroup: Cgroup,
  killScopes: KillScopes,
  { hasTime, hasRivals }: { hasTime(): boolean; readonly hasRivals: boolean },
): Victim | undefined {
  const { process } = candidate;
  const { pid } = process;
  using opened = new DisposableStack();
  const cgroupFd = openCgroupFd(cgroup);
  if (cgroupFd === undefined) return undefined;
  opened.use(cgroupFd);
  const pidfd = openPidfd(pid);
  if (pidfd === undefined) return undefined;
  opened.use(pidfd);
  // This read takes a lock that the process holds while it allocates.
  const cmdline = process.cmdline.length === 0 && hasTime() ? commandLineOf(pid) : process.cmdline;
  const scopes = killScopes.of(process.cgroup);
  opened.move();
  return {
    pid,
    scored: scored({ ...process, cmdline }, candidate),
    rank: candidate,
    isStopped: process.state === "T" || process.state === "t",
    pidfd,
    cgroupFd,
    statm: hasRivals ? tryOpenControlFile(`/proc/${pid}/statm`) : undefined,
    killScopes: scopes,
  };
}

const pidsOf = (cgroup: Cgroup) => [...tryListPids(cgroup)];

/** `undefined` when another cgroup has its name. Throws `SystemCallError`. */
function openCgroupFd(cgroup: Cgroup): Fd | undefined {
  using opened = new DisposableStack();
  const cgroupFd = opened.use(openDirectory(cgroup.dir));
  if (inodeOfFd(cgroupFd) !== cgroup.inode) return undefined;
  opened.move();
  return cgroupFd;
}

function scored(
  { pid, comm, cmdline, cgroup, rss, oomScoreAdj }: Process,
  { badness, preference, preferenceReason, cgroupRank }:
    & Pick<CandidateJson, "badness" | "preference">
    & Pick<RankedCandidate, "preferenceReason" | "cgroupRank">,
): CandidateJson {
  return {
    pid,
    comm,
    cmdline,
    cgroup,
    rss: rss ?? null,
    oom_score_adj: oomScoreAdj ?? null,
    badness,
    preference,
    preference_reason: preferenceReason ?? null,
    ...cgroupRank && { cgroup_rank: { ...cgroupRank, place: cgroupRank.place + 1 } },
  };
}

/** Pinned victims come with their command line. */
function reportedCandidates(
  { candidates, excluded }: RankedCandidates,
  victims: readonly Victim[],
): CandidateJson[] {
  const pinned = new Map(victims.map((victim) => [victim.pid, victim.scored]));
  const first = candidates.slice(0, MAX_REPORTED_CANDIDATES).map((candidate) =>
    pinned.get(candidate.process.pid) ?? scored(candidate.process, candidate)
  );
  const rest = excluded.slice(0, MAX_REPORTED_CANDIDATES - first.length).map((
    { process, preferenceReason },
  ) =>
    scored(process, {
      badness: 0,
      preference: "excluded",
      preferenceReason,
      cgroupRank: undefined,
    })
  );
  return [...first, ...rest];
}

/** The victim order in a guarded cgroup as of now, excluded processes last. */
export function predictVictims(
  { cgroup, limitOwner, settings: { oomTotalBytes }, policy }: GuardedCgroup,
  policies: PolicySet,
): readonly CandidateJson[] {
  const selection = selectVictims(cgroup, {
    policy,
    isExcluded: (path) => isExcluded(policies, path),
    limitOwner,
    oomTotalBytes,
    outOfTime: () => false,
    usage: () => 0,
    signalled: new Set(),
    known: NOTHING_KNOWN,
    ranking: rankingOf(policy.preferences, cgroup, limitOwner),
  });
  selection?.close();
  return selection?.candidates ?? [];
}
