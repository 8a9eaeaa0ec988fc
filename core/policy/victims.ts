/**
 * The order in which processes are killed: the kernel's own (mm/oom_kill.c, oom_badness and oom_evaluate_task), and that of a
 * guard, which is the kernel's within the user's preferences. Pure.
 */

import type { Limits, Process } from "../snapshot.ts";
import type { CgroupOrder, CgroupRank } from "./victim_order.ts";

const OOM_SCORE_ADJ_MIN = -1000;

export interface Candidate {
  readonly process: Process;
  /** Badness in bytes: the memory of the process, shifted by oom_score_adj thousandths of `oomTotalBytes`. */
  readonly badness: number;
}

export interface Machine {
  /** Bytes; the kernel computes badness in pages. */
  readonly pageSize: number;
  /** False in a pid namespace other than the initial one, where pid 1 is a process like any other. */
  readonly pidOneIsInit?: boolean;
}

/**
 * The candidates of an OOM, the most likely victim first. In a memory cgroup the kernel scales oom_score_adj by the limit of the
 * cgroup, not by the memory of the machine, so /proc/PID/oom_score alone can name the wrong process.
 *
 * Left out, as by the kernel: pid 1 of the machine, oom_score_adj -1000, and processes without memory of their own (zombies,
 * kernel threads). Not visible in /proc: a vfork child that still has its parent's memory, which the kernel passes over, and a
 * process that is already being killed, for which it waits.
 *
 * @param oomTotalBytes see {@link oomTotalBytesOf}; for an OOM of the machine its memory and swap.
 */
export function rankVictims(
  processes: readonly Process[],
  oomTotalBytes: number,
  { pageSize, pidOneIsInit = true }: Machine,
): Candidate[] {
  const perThousandth = Math.floor(oomTotalBytes / pageSize / 1000) * pageSize;
  return processes
    .filter((p) => !(pidOneIsInit && p.pid === 1))
    .filter((p) => p.oomScoreAdj !== OOM_SCORE_ADJ_MIN && p.rss !== undefined)
    .map((process) => ({ process, badness: badness(process, perThousandth) }))
    .sort((a, b) => b.badness - a.badness || youngerFirst(a.process, b.process));
}

/** Among equals the kernel takes the last one, and it goes through processes in the order of their start. */
function youngerFirst(a: Process, b: Process): number {
  return a.startTime === b.startTime ? b.pid - a.pid : a.startTime < b.startTime ? 1 : -1;
}

function badness({ rss, swap, pageTables, oomScoreAdj }: Process, perThousandth: number): number {
  const memory = [rss, swap, pageTables].reduce<number>((sum, part) => sum + (part ?? 0), 0);
  return memory + (oomScoreAdj ?? 0) * perThousandth;
}

/**
 * What a cgroup at its limit can hold, swap included: totalpages of oom_badness, from mm/memcontrol.c, mem_cgroup_get_max.
 *
 * @param swapTotal of the machine, bytes.
 * @returns bytes; `Infinity` without a limit, `undefined` when unknown.
 */
export function oomTotalBytesOf(
  { max, swap, memsw }: Limits,
  swapTotal: number | undefined,
): number | undefined {
  if (max === undefined || swapTotal === undefined) return undefined;
  const swappable = swap ?? (memsw === undefined ? Infinity : Math.max(0, memsw - max));
  return max + Math.min(swappable, swapTotal);
}

/**
 * The cgroup that is killed as a whole with the victim: the topmost with memory.oom.group from the victim's up to the
 * owner of the limit (mm/memcontrol.c, mem_cgroup_get_oom_group); `undefined` when the victim is killed alone.
 *
 * @param victim path of the victim's cgroup.
 * @param owner path of the cgroup that has the limit; "/" for an OOM of the machine.
 */
export function groupOf(
  victim: string,
  owner: string,
  hasGroup: (path: string) => boolean,
): string | undefined {
  let topmost: string | undefined;
  for (let at = victim; at.length >= owner.length; at = at.slice(0, at.lastIndexOf("/")) || "/") {
    if (hasGroup(at)) topmost = at;
    if (at === owner || at === "/") break;
  }
  return topmost;
}

/** Whether a process is killed with its group: the kernel spares pid 1 of the machine and oom_score_adj -1000 here too. */
export function diesWithGroup(
  process: Process,
  { pidOneIsInit = true }: Pick<Machine, "pidOneIsInit"> = {},
): boolean {
  return process.oomScoreAdj !== OOM_SCORE_ADJ_MIN && !(pidOneIsInit && process.pid === 1);
}

/** Regular expressions on the command line, as {@link matchedLine} returns it, or on the path of the cgroup. */
export interface VictimPreferences {
  readonly prefer: readonly RegExp[];
  readonly avoid: readonly RegExp[];
  readonly ignore: readonly RegExp[];
  /** Programs that are never killed, whatever cgroup they are in: that may have the name of one. */
  readonly essentials?: readonly Essential[];
  /** Only the comm is matched, as by earlyoom: it can be read also when the process's memory is swapped out. */
  readonly byName?: true;
  /** The order of cgroups, before that of their processes. */
  readonly cgroupOrder?: CgroupOrder;
}

export interface Essential {
  /** As the user knows it. */
  readonly name: string;
  /** On the command line, or on the comm. */
  readonly expression: RegExp;
}

/** The extended attributes of a cgroup that systemd-oomd and oomd read; see `core/cgroup/preference.ts`. */
export type Attribute = "prefer" | "avoid" | "omit";

export interface RankedCandidate extends Candidate {
  readonly preference: "prefer" | "none" | "avoid";
  /** The expression or attribute that the preference comes from. */
  readonly preferenceReason: string | undefined;
  /** Of its cgroup; `undefined` if that has no place in the order. */
  readonly cgroupRank: CgroupRank | undefined;
}

export interface ExcludedProcess {
  readonly process: Process;
  readonly preferenceReason: string;
}

export interface RankedCandidates {
  /** The first one is killed first. */
  readonly candidates: readonly RankedCandidate[];
  readonly excluded: readonly ExcludedProcess[];
}

export interface CandidatePool extends Required<Machine> {
  readonly processes: readonly Process[];
  /** See {@link oomTotalBytesOf}. */
  readonly oomTotalBytes: number;
  /** Never killed: the guard itself and its parents. */
  readonly protectedPids: ReadonlySet<number>;
  /** By cgroup path; `excluded`: a rule excludes everything there; `unknown`: it may be `omit`. */
  readonly attributes: ReadonlyMap<string, Attribute | "excluded" | "unknown">;
  /** By cgroup path. */
  readonly cgroupRanks?: ReadonlyMap<string, CgroupRank>;
}

/** The first is killed first. */
export const PREFERENCE_ORDER = ["prefer", "none", "avoid"] as const;

export function rankCandidates(
  pool: CandidatePool,
  preferences: VictimPreferences,
): RankedCandidates {
  const excluded: ExcludedProcess[] = [];
  const open: Process[] = [];
  for (const process of pool.processes) {
    const preferenceReason = exclusionReason(process, pool, preferences);
    if (preferenceReason === undefined) open.push(process);
    else excluded.push({ process, preferenceReason });
  }
  const candidates = rankVictims(open, pool.oomTotalBytes, pool).map((candidate) => ({
    ...candidate,
    ...preferenceOf(candidate.process, pool, preferences),
    cgroupRank: pool.cgroupRanks?.get(candidate.process.cgroup),
  }));
  // Sorting is stable: the kernel's order remains within each cgroup.
  candidates.sort(byPreferenceAndCgroup);
  return { candidates, excluded };
}

export const byPreferenceAndCgroup = (
  a: Pick<RankedCandidate, "preference" | "cgroupRank">,
  b: Pick<RankedCandidate, "preference" | "cgroupRank">,
): number =>
  PREFERENCE_ORDER.indexOf(a.preference) - PREFERENCE_ORDER.indexOf(b.preference) ||
  placeOf(a.cgroupRank) - placeOf(b.cgroupRank);

const placeOf = (rank: CgroupRank | undefined) => rank?.place ?? Number.MAX_SAFE_INTEGER;

function exclusionReason(
  process: Process,
  pool: CandidatePool,
  preferences: VictimPreferences,
): string | undefined {
  const protection = protectionReason(process, pool, preferences);
  if (protection || process.rss !== undefined && !process.isExiting) return protection;
  // Kernel threads, and processes that have already freed their memory.
  return process.isExiting ? "it is exiting" : "no memory of its own";
}

/** Whether it may be killed, and not only after others. */
export const isFirstChoice = (
  process: Process,
  pool: CandidatePool,
  preferences: VictimPreferences,
): boolean =>
  exclusionReason(process, pool, preferences) === undefined &&
  preferenceOf(process, pool, preferences).preference !== "avoid";

/** Whether it is never chosen, whatever its state. */
export const isProtected = (...args: Parameters<typeof protectionReason>): boolean =>
  protectionReason(...args) !== undefined;

/** What protects a process, in so far as it is of the process itself. */
export type Identity = Pick<Process, "pid" | "comm" | "cmdline" | "cgroup" | "oomScoreAdj">;

function protectionReason(
  process: Identity,
  { protectedPids, attributes, pidOneIsInit }: CandidatePool,
  { ignore, essentials = [], byName }: VictimPreferences,
): string | undefined {
  if (protectedPids.has(process.pid)) return "oomkit itself, or one of its parents";
  if (process.pid === 1 && pidOneIsInit) return "init of the machine";
  if (process.oomScoreAdj === OOM_SCORE_ADJ_MIN) return "oom_score_adj is -1000";
  const line = byName ? process.comm : matchedLine(process);
  const essential = essentials.find(({ expression }) => expression.test(line));
  if (essential) return `--essentials ${essential.name}`;
  const expression = matching(process, ignore, byName);
  if (expression) return `--ignore ${expression.source}`;
  const attribute = attributes.get(process.cgroup);
  if (attribute === "excluded") return "excluded by the rule for its cgroup";
  if (attribute === "unknown") return "its cgroup may have oomd_omit, which cannot be read";
  return attribute === "omit" ? "its cgroup has oomd_omit" : undefined;
}

function preferenceOf(
  process: Process,
  { attributes }: CandidatePool,
  { prefer, avoid, byName }: VictimPreferences,
): Pick<RankedCandidate, "preference" | "preferenceReason"> {
  const avoided = matching(process, avoid, byName);
  if (avoided) return { preference: "avoid", preferenceReason: `--avoid ${avoided.source}` };
  const preferred = matching(process, prefer, byName);
  if (preferred) return { preference: "prefer", preferenceReason: `--prefer ${preferred.source}` };
  const attribute = attributes.get(process.cgroup);
  return attribute === "avoid" || attribute === "prefer"
    ? { preference: attribute, preferenceReason: `its cgroup has oomd_${attribute}` }
    : { preference: "none", preferenceReason: undefined };
}

/** What /proc/PID/cmdline was cut off at before Linux 4.2. */
const MAX_MATCHED_CHARACTERS = 4096;

/**
 * The text that expressions are matched against: the words of the command line joined by a space, cut off after 4096
 * characters; the comm if there is no command line. Matching runs in the monitor thread, so a guarded process must not decide
 * how long an expression backtracks, and its arguments may be megabytes.
 */
export function matchedLine({ cmdline, comm }: Pick<Process, "cmdline" | "comm">): string {
  if (cmdline.length === 0) return comm;
  // Each word but the first adds at least a space, so no further words can be part of the result.
  return cmdline.slice(0, MAX_MATCHED_CHARACTERS + 1).join(" ").slice(0, MAX_MATCHED_CHARACTERS);
}

function matching(
  process: Identity,
  expressions: readonly RegExp[],
  byName = false,
): RegExp | undefined {
  if (expressions.length === 0) return undefined;
  if (byName) return expressions.find((each) => each.test(process.comm));
  const line = matchedLine(process);
  return expressions.find((each) => each.test(line) || each.test(process.cgroup));
}
