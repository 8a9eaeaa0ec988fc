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

export interface KillLog {
  /** A message of the kernel, with its microseconds since boot; returns the kill that it completes. */
  take(message: string, timestamp: bigint): LoggedKill | undefined;
}

/** A group dies in one loop of the kernel; a kill that comes so long after its last one is another one's (microseconds). */
const GROUP_PAUSES = 500_000n;

export function createKillLog(): KillLog {
  let summary: Extract<OomMessage, { kind: "oom-kill" }> | undefined;
  let older: Extract<OomMessage, { kind: "task-in" }> | undefined;
  let group:
    | { readonly path: string; lastAt: bigint; readonly pids: Set<number> }
    | undefined;
  let last: LoggedKill | undefined;

  const killed = (line: Extract<OomMessage, { kind: "killed" }>): LoggedKill => {
    const told = summary?.pid === line.pid ? summary : undefined;
    const inGroup = group !== undefined;
    const again = inGroup && group!.pids.has(line.pid);
    group?.pids.add(line.pid);
    const cgroup = told?.taskMemcg ?? (again ? last?.cgroup : undefined) ?? older?.taskMemcg;
    const owner = told?.oomMemcg ?? (inGroup ? last?.owner : undefined) ?? older?.oomMemcg;
    const global = told?.global ?? line.memcg === false;
    const kill: LoggedKill = {
      victim: {
        pid: line.pid,
        comm: lossyName(line.comm),
        uid: line.uid ?? null,
        anon_rss: line.anonRss ?? null,
        file_rss: line.fileRss ?? null,
        shmem_rss: line.shmemRss ?? null,
        oom_score_adj: line.oomScoreAdj ?? null,
      },
      ...(cgroup === undefined ? {} : { cgroup }),
      ...(owner === undefined ? {} : { owner }),
      ...(inGroup ? { group: group!.path } : {}),
      scope: global ? "system" : "cgroup",
      again,
    };
    // Of a group the members after the first have no summary of their own.
    if (!inGroup) summary = undefined;
    older = undefined;
    return last = kill;
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
            pids: new Set(last ? [last.victim.pid] : []),
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
