/**
 * Whom to strike, found out ahead of time: at the last level nothing is left to be read but whether it still holds. Each read
 * that the CPU's caches do not know takes some 85 µs, in which an allocator without a brake takes 200 KiB.
 */

import { type Cgroup, isThere, peekControl, walk } from "../cgroup/cgroup.ts";
import { inInitialPidNamespace } from "../cgroup/hierarchy.ts";
import { identify } from "../cgroup/identity.ts";
import { readPreference } from "../cgroup/preference.ts";
import { commandLineOf, oomScoreAdjOf, readCandidate } from "../cgroup/processes.ts";
import { type Held, pidsIn } from "../act/held.ts";
import { type Fd, inodeOfFd, openDirectory } from "../kernel/fd.ts";
import { type KeptFile, peekKept } from "../kernel/kept_file.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd } from "../kernel/process.ts";
import {
  type Attribute,
  type Choice,
  chooseVictim,
  type Ranking,
  STANDINGS,
} from "../policy/choose.ts";
import { groupOf } from "../policy/victim.ts";
import type { Process } from "../snapshot.ts";
import { type Weighed, weighed } from "./messages.ts";
import type { GuardPlan } from "./plan.ts";
import { isWithin } from "./scope.ts";

/** A process that is held, and the cgroup that it was in. */
export interface Pick extends Held {
  readonly weighed: Weighed;
  /** `undefined` where it may not be read, or there is nobody to compare it with. */
  readonly statm: KeptFile | undefined;
  /** By somebody else, before. */
  readonly isStopped: boolean;
  /** What dies as a whole together with it: of memory.oom.group, or its container where that is asked for. */
  readonly group: Cgroup | undefined;
  readonly container: Cgroup;
  /** Who is left alone when one of them dies: the kernel spares oom_score_adj -1000 in a group too. */
  readonly spares: Readonly<Record<"group" | "container", ReadonlySet<number>>>;
}

export interface Aim {
  /** The first is taken first. */
  picks: readonly Pick[];
  /** The first few of all, those that are spared at the end. */
  candidates: readonly Weighed[];
  /** Milliseconds of this thread's clock; `-Infinity` once somebody was struck by it, and others may have come in his place. */
  at: number;
  /** The level left no time to look at all. */
  readonly isPartial: boolean;
  /** Whom the kernel would take, where that is nobody whom this guard may take. */
  readonly outside: Weighed | undefined;
  /** Lets go of all picks, or of those that fit. */
  close(which?: (pick: Pick) => boolean): void;
}

/** It stays the same for as long as this program runs. */
const pidOneIsInit = inInitialPidNamespace();

/** Several allocators at once can need more than one; who is beyond these is looked for again. */
const PICKS = 8;
const TOLD = 10;

export interface Aiming {
  readonly plan: GuardPlan;
  /** Whether a rule leaves alone what lies there. */
  isKept(path: string): boolean;
  /** The cgroup whose limit it is: in it the kernel looks for its victim. */
  readonly measured: Cgroup;
  /** Bytes, see `oomCapacity`. */
  readonly capacity: number;
  /** Asked between two processes; once it says yes, what is known by then has to do. */
  pressed(): boolean;
  /** Pids that are passed over. */
  readonly struck: ReadonlySet<number>;
}

/** @returns `undefined` when the cgroup is gone. */
export function takeAim(scope: Cgroup, aiming: Aiming): Aim | undefined {
  const { plan, capacity } = aiming;
  const isInside = ({ process }: Choice) => isWithin(process.cgroup, scope.path);
  const pickIn = (field: Field) => {
    const ranking = chooseVictim(
      { ...field, capacity, untouchable: plan.untouchable },
      plan.preferences,
    );
    const [first] = ranking.choices;
    const outside = first && !isInside(first) ? weighed(first.process, first) : undefined;
    const inside = outside ? [] : ranking.choices.filter(isInside);
    const picks = inside.slice(0, PICKS)
      .flatMap((choice) => hold(choice, field, scope, aiming, inside.length > 1) ?? []);
    return { ranking, outside, picks };
  };
  let field = lookAround(scope, aiming);
  let picked = pickIn(field);
  if (field.isPartial && picked.picks.length === 0) {
    field = lookAround(scope, { ...aiming, pressed: () => false });
    picked = pickIn(field);
  }
  const { ranking, outside, picks } = picked;
  if (!isThere(scope)) {
    picks.forEach(release);
    return undefined;
  }
  const aim: Aim = {
    picks,
    candidates: told(ranking, picks),
    at: performance.now(),
    isPartial: field.isPartial,
    outside,
    close: (which = () => true) => aim.picks.filter(which).forEach(release),
  };
  return aim;
}

interface Field {
  readonly cgroups: readonly Cgroup[];
  readonly processes: readonly Process[];
  readonly attributes: ReadonlyMap<string, Attribute | "kept">;
  readonly pidOneIsInit: boolean;
  readonly isPartial: boolean;
}

/** What was held of it. */
export function release({ pidfd, home, statm }: Pick): void {
  for (const held of [pidfd, home, statm]) held?.close();
}

/** The picks as they are to be taken now: who has grown since the aim was taken comes first among equals. */
export function inOrder(picks: readonly Pick[]): readonly Pick[] {
  if (picks.length < 2) return picks;
  const weights = new Map(picks.map((pick) => [pick, weightNow(pick)]));
  const standing = ({ weighed }: Pick) => STANDINGS.findIndex((each) => each === weighed.standing);
  return picks.toSorted((a, b) => standing(a) - standing(b) || weights.get(b)! - weights.get(a)!);
}

/** Its badness with what it has in memory now: proc(5), /proc/PID/statm, the second number, in pages. */
function weightNow({ statm, weighed: { badness, rss } }: Pick): number {
  const pages = Number(statm?.text()?.split(" ")[1]);
  return Number.isFinite(pages) && rss !== undefined ? badness - rss + pages * PAGE : badness;
}

const PAGE = 4096;

function lookAround(
  scope: Cgroup,
  { measured: top, plan, isKept, pressed, struck }: Aiming,
): Field {
  const { preferences, untouchable } = plan;
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
    const isKeptHere = isKept(cgroup.path) && !isWithin(scope.path, cgroup.path);
    const attribute = isKeptHere || inherited === "kept"
      ? "kept"
      : preferenceOf(cgroup, guardedBy) ?? inherited;
    if (attribute) attributes.set(cgroup.path, attribute);
    for (const pid of pidsOf(cgroup)) {
      if (struck.has(pid)) continue;
      if (processes.length > 0 && pressed()) isPartial = true;
      if (isPartial) break;
      const process = readCandidate(pid, cgroup.path, withCmdline && !untouchable.has(pid));
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

function hold(
  choice: Choice,
  field: Field,
  scope: Cgroup,
  { measured, plan, pressed }: Aiming,
  hasRivals: boolean,
): Pick | undefined {
  const { process } = choice;
  const { pid } = process;
  const { cgroups, isPartial } = field;
  const byPath = new Map(cgroups.map((cgroup) => [cgroup.path, cgroup]));
  const home = openHome(byPath.get(process.cgroup)!);
  const pidfd = home && peekPidfd(pid);
  if (home === undefined || pidfd === undefined) return void home?.close();
  const hasGroup = (path: string) => {
    const at = byPath.get(path);
    return at !== undefined && peekControl(at, "memory.oom.group")?.trim() === "1";
  };
  const groupPath = groupOf(process.cgroup, measured.path, hasGroup);
  const group = groupPath === undefined ? undefined : byPath.get(groupPath);
  const container = containerAround(process.cgroup, byPath, scope);
  const kept = (top: Cgroup | undefined) => top ? keptIn(top, field) : [];
  // To read it takes a lock of the process, which it holds while it allocates.
  const isKnown = process.cmdline.length > 0 || isPartial || pressed();
  const cmdline = isKnown ? process.cmdline : commandLineOf(pid);
  return {
    pid,
    weighed: weighed({ ...process, cmdline }, choice),
    isStopped: process.state === "T" || process.state === "t",
    pidfd,
    home,
    statm: hasRivals ? peekKept(`/proc/${pid}/statm`) : undefined,
    group,
    spares: {
      group: new Set([...plan.untouchable, ...group ? immuneIn(group) : [], ...kept(group)]),
      container: new Set([...plan.untouchable, ...kept(container)]),
    },
    container,
  };
}

/** Whom a rule leaves alone although it lies in what dies as a whole. */
function keptIn(top: Cgroup, { cgroups, attributes }: Field): number[] {
  const isKept = ({ path }: Cgroup) => attributes.get(path) === "kept" && isWithin(path, top.path);
  return cgroups.filter(isKept).flatMap(pidsOf);
}

/** Whom the kernel spares also when all of a cgroup dies; asked of all, however many were looked at before. */
function immuneIn(group: Cgroup): number[] {
  return [...walk(group)].flatMap(pidsOf).filter((pid) => oomScoreAdjOf(pid) === -1000);
}

const pidsOf = (cgroup: Cgroup) => [...pidsIn(peekControl(cgroup, "cgroup.procs") ?? "")];

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
function peekPidfd(pid: number): Fd | undefined {
  try {
    return openPidfd(pid);
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
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
