/** Whom the kernel would choose, by its own rule: mm/oom_kill.c, oom_badness and oom_evaluate_task. Pure. */

import type { Limits, Process } from "../snapshot.ts";

const OOM_SCORE_ADJ_MIN = -1000;
const PAGE = 4096;

export interface Candidate {
  readonly process: Process;
  /** Badness in bytes: what it occupies, shifted by oom_score_adj thousandths of `capacity`. */
  readonly badness: number;
}

/**
 * The candidates of an OOM, the likeliest victim first. Inside a memory cgroup the kernel scales oom_score_adj by
 * the cgroup's limit, not by the machine's memory, so that /proc/PID/oom_score alone can name the wrong process.
 *
 * Left out, as the kernel leaves them out: pid 1 of the machine, oom_score_adj -1000, and what has no memory of its own
 * (zombies, kernel threads). What /proc does not tell: a vfork child that still has its parent's memory, and one that
 * is being killed already; the kernel passes over the first and waits for the second.
 *
 * @param capacity bytes, see {@link oomCapacity}; for an OOM of the machine its memory and swap.
 * @param options.pidOneIsInit false in a pid namespace of one's own, where pid 1 is a process like any other.
 */
export function rankVictims(
  processes: readonly Process[],
  oomTotalBytes: number,
  { pidOneIsInit = true }: { readonly pidOneIsInit?: boolean } = {},
): Candidate[] {
  return processes
    .filter((p) => !(pidOneIsInit && p.pid === 1))
    .filter((p) => p.oomScoreAdj !== OOM_SCORE_ADJ_MIN && p.rss !== undefined)
    .map((process) => ({ process, badness: badness(process, oomTotalBytes) }))
    .sort((a, b) => b.badness - a.badness || youngerFirst(a.process, b.process));
}

/** Of equals the kernel takes the one that it comes to last, and it goes through them as they were started. */
function youngerFirst(a: Process, b: Process): number {
  return a.startTime === b.startTime ? b.pid - a.pid : a.startTime < b.startTime ? 1 : -1;
}

function badness({ rss, swap, pageTables, oomScoreAdj }: Process, oomTotalBytes: number): number {
  const occupied = [rss, swap, pageTables].reduce<number>((sum, part) => sum + (part ?? 0), 0);
  const thousandth = Math.floor(oomTotalBytes / PAGE / 1000) * PAGE;
  return occupied + (oomScoreAdj ?? 0) * thousandth;
}

/**
 * What a cgroup at its limit can hold, swap included: mm/memcontrol.c, mem_cgroup_get_max. Bytes; `Infinity` without a
 * limit, `undefined` when it is not known.
 *
 * @param swapTotal of the machine, bytes.
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
 * The cgroup that dies as a whole with the victim: the topmost with memory.oom.group from the victim's up to the one
 * whose limit is hit (mm/memcontrol.c, mem_cgroup_get_oom_group); `undefined` when the victim dies alone.
 *
 * @param victim path of the victim's cgroup.
 * @param owner path of the cgroup whose limit is hit; "/" for an OOM of the machine.
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

/** Whether it dies with its group: the kernel spares pid 1 of the machine and oom_score_adj -1000 here too. */
export function diesWithGroup(process: Process, { pidOneIsInit = true } = {}): boolean {
  return process.oomScoreAdj !== OOM_SCORE_ADJ_MIN && !(pidOneIsInit && process.pid === 1);
}

/* Whom a guard takes: the kernel's own order, bent by what people ask for. Pure. */

/** Regular expressions on the command line as {@link matchedLine} gives it, or the cgroup's path. */
export interface VictimPreferences {
  readonly prefer: readonly RegExp[];
  readonly avoid: readonly RegExp[];
  readonly ignore: readonly RegExp[];
}

/** What a cgroup says of itself by extended attributes: systemd, oomd; see `core/cgroup/preference.ts`. */
export type Attribute = "prefer" | "avoid" | "omit";

export interface RankedCandidate extends Candidate {
  readonly preference: "prefer" | "none" | "avoid";
  /** What gave it its standing: the expression or the attribute. */
  readonly preferenceReason: string | undefined;
}

export interface ExcludedProcess {
  readonly process: Process;
  readonly preferenceReason: string;
}

export interface RankedCandidates {
  /** The first one is taken. */
  readonly candidates: readonly RankedCandidate[];
  readonly excluded: readonly ExcludedProcess[];
}

export interface CandidatePool {
  readonly processes: readonly Process[];
  /** Bytes, see `oomCapacity`. */
  readonly oomTotalBytes: number;
  readonly pidOneIsInit: boolean;
  /** Never taken: the guard itself and who started it. */
  readonly protectedPids: ReadonlySet<number>;
  /** By cgroup path; `kept`: a rule leaves alone what lies there. */
  readonly attributes: ReadonlyMap<string, Attribute | "kept">;
}

/** In the order in which they are taken. */
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
  const ranked = rankVictims(open, pool.oomTotalBytes, pool);
  const candidates = ranked.map((candidate) => ({
    ...candidate,
    ...preferenceOf(candidate.process, pool, preferences),
  }));
  // Sorting is stable: within a standing the kernel's order stays.
  candidates.sort((a, b) =>
    PREFERENCE_ORDER.indexOf(a.preference) - PREFERENCE_ORDER.indexOf(b.preference)
  );
  return { candidates, excluded };
}

function exclusionReason(
  process: Process,
  { protectedPids, attributes, pidOneIsInit }: CandidatePool,
  { ignore }: VictimPreferences,
): string | undefined {
  if (protectedPids.has(process.pid)) return "it is oomkit itself, or started it";
  if (process.pid === 1 && pidOneIsInit) return "it is the machine's init";
  if (process.oomScoreAdj === -1000) return "oom_score_adj is -1000";
  // Kernel threads, and processes that have given up their memory already.
  if (process.rss === undefined) return "it has no memory of its own";
  const expression = matching(process, ignore);
  if (expression) return `--ignore ${expression.source}`;
  const attribute = attributes.get(process.cgroup);
  if (attribute === "kept") return "the rule for its cgroup does not take it";
  return attribute === "omit" ? "its cgroup has oomd_omit" : undefined;
}

function preferenceOf(
  process: Process,
  { attributes }: CandidatePool,
  { prefer, avoid }: VictimPreferences,
): Pick<RankedCandidate, "preference" | "preferenceReason"> {
  const avoided = matching(process, avoid);
  if (avoided) return { preference: "avoid", preferenceReason: `--avoid ${avoided.source}` };
  const preferred = matching(process, prefer);
  if (preferred) return { preference: "prefer", preferenceReason: `--prefer ${preferred.source}` };
  const attribute = attributes.get(process.cgroup);
  if (attribute === "avoid") {
    return { preference: "avoid", preferenceReason: "its cgroup has oomd_avoid" };
  }
  if (attribute === "prefer") {
    return { preference: "prefer", preferenceReason: "its cgroup has oomd_prefer" };
  }
  return { preference: "none", preferenceReason: undefined };
}

/** Characters; what /proc gave of a command line before Linux 4.2. */
const LONGEST_LINE = 4096;

/**
 * What expressions are held against: the command line, its words joined by a space, cut off after 4096 characters; the comm
 * where there is none. They run in the thread that must be in time, and how long they backtrack must not be for a guarded
 * process to say, whose arguments may be megabytes.
 */
export function matchedLine({ cmdline, comm }: Pick<Process, "cmdline" | "comm">): string {
  if (cmdline.length === 0) return comm;
  // Each word but the first takes a space at least, so that no more of them can be in it.
  return cmdline.slice(0, LONGEST_LINE + 1).join(" ").slice(0, LONGEST_LINE);
}

function matching(process: Process, expressions: readonly RegExp[]): RegExp | undefined {
  if (expressions.length === 0) return undefined;
  const line = matchedLine(process);
  return expressions.find((each) => each.test(line) || each.test(process.cgroup));
}
