/** Whom a guard takes: the kernel's own order, bent by what people ask for. Pure. */

import type { Process } from "../snapshot.ts";
import { type Candidate, rankVictims } from "./victim.ts";

/** Regular expressions on the command line as {@link matchedLine} gives it, or the cgroup's path. */
export interface Preferences {
  readonly prefer: readonly RegExp[];
  readonly avoid: readonly RegExp[];
  readonly ignore: readonly RegExp[];
}

/** What a cgroup says of itself by extended attributes: systemd, oomd; see `core/cgroup/preference.ts`. */
export type Attribute = "prefer" | "avoid" | "omit";

export interface Choice extends Candidate {
  readonly standing: "preferred" | "ordinary" | "avoided";
  /** What gave it its standing: the expression or the attribute. */
  readonly because: string | undefined;
}

export interface Spared {
  readonly process: Process;
  readonly because: string;
}

export interface Ranking {
  /** The first one is taken. */
  readonly choices: readonly Choice[];
  readonly spared: readonly Spared[];
}

export interface Field {
  readonly processes: readonly Process[];
  /** Bytes, see `oomCapacity`. */
  readonly capacity: number;
  readonly pidOneIsInit: boolean;
  /** Never taken: the guard itself and who started it. */
  readonly untouchable: ReadonlySet<number>;
  /** By cgroup path; `kept`: a rule leaves alone what lies there. */
  readonly attributes: ReadonlyMap<string, Attribute | "kept">;
}

/** In the order in which they are taken. */
export const STANDINGS = ["preferred", "ordinary", "avoided"] as const;

export function chooseVictim(field: Field, preferences: Preferences): Ranking {
  const spared: Spared[] = [];
  const open: Process[] = [];
  for (const process of field.processes) {
    const because = spareReason(process, field, preferences);
    if (because === undefined) open.push(process);
    else spared.push({ process, because });
  }
  const ranked = rankVictims(open, field.capacity, field);
  const choices = ranked.map((candidate) => ({
    ...candidate,
    ...standingOf(candidate.process, field, preferences),
  }));
  // Sorting is stable: within a standing the kernel's order stays.
  choices.sort((a, b) => STANDINGS.indexOf(a.standing) - STANDINGS.indexOf(b.standing));
  return { choices, spared };
}

function spareReason(
  process: Process,
  { untouchable, attributes, pidOneIsInit }: Field,
  { ignore }: Preferences,
): string | undefined {
  if (untouchable.has(process.pid)) return "it is oomkit itself, or started it";
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

function standingOf(
  process: Process,
  { attributes }: Field,
  { prefer, avoid }: Preferences,
): Pick<Choice, "standing" | "because"> {
  const avoided = matching(process, avoid);
  if (avoided) return { standing: "avoided", because: `--avoid ${avoided.source}` };
  const preferred = matching(process, prefer);
  if (preferred) return { standing: "preferred", because: `--prefer ${preferred.source}` };
  const attribute = attributes.get(process.cgroup);
  if (attribute === "avoid") return { standing: "avoided", because: "its cgroup has oomd_avoid" };
  if (attribute === "prefer") {
    return { standing: "preferred", because: "its cgroup has oomd_prefer" };
  }
  return { standing: "ordinary", because: undefined };
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
