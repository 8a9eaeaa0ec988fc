/** From lines of the kernel log to kills: who died, in which cgroup, by whose limit. Pure but for its own memory. */

import { lossyName } from "../names.ts";
import { type OomMessage, parseOomMessage } from "../parse/oom_message.ts";
import type { Victim } from "../report/event.ts";

export interface LoggedKill {
  readonly victim: Victim;
  /** The victim's cgroup; absent when the kernel left it out: it writes that line at most 10 times in 5 s. */
  readonly cgroup?: string;
  /** The cgroup whose limit was hit. */
  readonly owner?: string;
  /** The cgroup that is killed as a whole, of which this is one of the processes. */
  readonly group?: string;
  readonly scope: "cgroup" | "system";
  /** A group kill counts and logs its first victim twice. */
  readonly again: boolean;
}

type KilledLine = Extract<OomMessage, { kind: "killed" }>;
type Summary = Extract<OomMessage, { kind: "oom-kill" }>;

interface Logged {
  readonly line: KilledLine;
  readonly kill: LoggedKill;
}

interface Group {
  readonly path: string;
  lastAt: bigint;
  /** Killed before the rest was; until its second line. */
  first?: Logged;
  /** Told as the first one's second line, on the grounds that it is one of its threads. */
  standIn?: LoggedKill;
}

export interface KillLog {
  /** A message of the kernel, with its microseconds since boot; returns the kill that it completes. */
  take(message: string, timestamp: bigint): LoggedKill | undefined;
}

/** A group dies in one loop of the kernel; a kill that comes so long after its last one is another one's (microseconds). */
const GROUP_PAUSES = 500_000n;

export function createKillLog(): KillLog {
  let summary: Summary | undefined;
  let older: Extract<OomMessage, { kind: "task-in" }> | undefined;
  let group: Group | undefined;
  let last: Logged | undefined;

  const killed = (line: KilledLine): LoggedKill => {
    const told = summary && isAbout(line, summary) ? summary : undefined;
    const cgroup = told?.taskMemcg ?? older?.taskMemcg;
    const owner = told?.oomMemcg ?? (group ? last?.kill.owner : undefined) ?? older?.oomMemcg;
    const global = told?.global ?? line.memcg === false;
    const kill: LoggedKill = {
      victim: {
        pid: told?.pid ?? line.pid,
        comm: lossyName(told?.task ?? line.comm),
        uid: line.uid ?? null,
        anon_rss: line.anonRss ?? null,
        file_rss: line.fileRss ?? null,
        shmem_rss: line.shmemRss ?? null,
        oom_score_adj: line.oomScoreAdj ?? null,
      },
      ...(cgroup === undefined ? {} : { cgroup }),
      ...(owner === undefined ? {} : { owner }),
      ...(group ? { group: group.path } : {}),
      scope: global ? "system" : "cgroup",
      again: false,
    };
    // Of a group the members after the first have no summary of their own.
    if (!group) summary = undefined;
    older = undefined;
    last = { line, kill };
    return group ? inGroup(line, kill, group) : kill;
  };

  return {
    take(message, timestamp) {
      if (group && timestamp - group.lastAt > GROUP_PAUSES) group = undefined;
      const parsed = parseOomMessage(message);
      switch (parsed?.kind) {
        case "invoked":
        case "oom-kill":
          summary = parsed.kind === "oom-kill" ? parsed : undefined;
          group = undefined;
          return undefined;
        case "task-in":
          older = parsed;
          group = undefined;
          return undefined;
        case "group":
          // Written after the first victim, which is killed and logged again as one of the group.
          group = {
            path: parsed.memcg,
            lastAt: timestamp,
            ...(last ? { first: last } : {}),
          };
          return undefined;
        case "killed":
          // A slow console makes each line wait for the ones before it.
          if (group) group.lastAt = timestamp;
          return killed(parsed);
        default:
          return undefined;
      }
    },
  };
}

/** Where the main thread has ended before its process, the summary names the process and the line one of its threads. */
const isAbout = (line: KilledLine, summary: Summary) =>
  line.pid === summary.pid || line.uid === summary.uid;

/**
 * The first victim comes once more, under a thread's id if its main thread has ended by then. That is told by what is the
 * process's: its address space and its user. If the first one's own line follows after all, it was somebody else's.
 */
function inGroup(line: KilledLine, kill: LoggedKill, group: Group): LoggedKill {
  const { first, standIn } = group;
  if (first === undefined) return kill;
  const again = { ...kill, ...(first.kill.cgroup && { cgroup: first.kill.cgroup }), again: true };
  if (line.pid === first.line.pid) {
    delete group.first;
    return standIn ?? again;
  }
  if (standIn !== undefined || !isThreadOf(line, first.line)) return kill;
  group.standIn = kill;
  return again;
}

/** Workers of one parent have the same sizes but the same name, too; a runtime's threads have names of their own. */
const isThreadOf = (line: KilledLine, process: KilledLine) =>
  line.comm !== process.comm && line.totalVm !== undefined && line.totalVm === process.totalVm &&
  line.pgtables === process.pgtables && line.uid === process.uid &&
  line.oomScoreAdj === process.oomScoreAdj;
