/** Whom a guard takes: the kernel's own order, bent by what people ask for. Pure. */

import type { Process } from "../snapshot.ts";
import { type Candidate, rankVictims } from "./victim.ts";

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
