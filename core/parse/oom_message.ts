/**
 * Messages of the kernel's OOM killer (kernel: mm/oom_kill.c, mm/memcontrol.c), from 2.6.32 to 6.x. Pure.
 *
 * A process chooses its comm freely and a cgroup may have almost any name, and the kernel delimits neither. So lines are parsed from
 * their ends, which are the kernel's own words, and by what must hold between the fields.
 */

import { isInSubtree } from "../cgroup_path.ts";
import { omitUndefined } from "../omit_undefined.ts";

export type OomMessage =
  | OomKill
  | Killed
  | {
    /** Before 5.2, before `killed`: the chosen process. Up to 4.20 one of its children may be killed instead. */
    readonly kind: "chosen";
    readonly memcg: boolean;
    readonly pid: number;
    readonly comm: string;
  }
  | { readonly kind: "invoked"; readonly comm: string; readonly oomScoreAdj?: number }
  | MemcgUsage
  | { readonly kind: "task-in"; readonly taskMemcg: string; readonly oomMemcg: string }
  | { readonly kind: "group"; readonly memcg: string }
  | { readonly kind: "reaped"; readonly pid: number; readonly comm: string };

/** Since 5.0: the summary with the owner of the limit and the victim. */
export interface OomKill {
  readonly kind: "oom-kill";
  /** `CONSTRAINT_MEMCG` and so on. Up to 5.2 it is `CONSTRAINT_NONE` for cgroups too: use `global`. */
  readonly constraint: string;
  /** The machine ran out of memory, not a cgroup. */
  readonly global: boolean;
  /** The cgroup with the limit that was hit; a path from the hierarchy's root in every namespace. */
  readonly oomMemcg?: string;
  /** The victim's cgroup. */
  readonly taskMemcg?: string;
  readonly task: string;
  /** In the initial pid namespace. */
  readonly pid: number;
  readonly uid: number;
}

export interface Killed {
  readonly kind: "killed";
  /** Whether a cgroup's limit was the reason; absent before 5.2, where only the `chosen` line before it has it. */
  readonly memcg?: boolean;
  /** In the initial pid namespace. A thread id if the main thread had already ended. */
  readonly pid: number;
  readonly comm: string;
  /** Bytes, as are the next four. */
  readonly totalVm?: number;
  readonly anonRss?: number;
  readonly fileRss?: number;
  readonly shmemRss?: number;
  readonly pgtables?: number;
  readonly uid?: number;
  readonly oomScoreAdj?: number;
}

/** Of the cgroup that owns the limit, in every version of the message: mm/memcontrol.c, mem_cgroup_print_oom_meminfo. */
export interface MemcgUsage {
  readonly kind: "usage";
  /** Bytes, as is the limit. */
  readonly usage: number;
  readonly limit: number;
}

/** TASK_COMM_LEN without the NUL; a string of that many bytes has no more characters. */
const COMM_MAX = 15;

/**
 * Splits two paths at `separator`, of which one is the other's ancestor or the same: that identifies the kernel's separator among
 * several. If more than one fits, the longest ancestor is the least likely coincidence.
 */
function splitPaths(
  text: string,
  separator: string,
  ancestor: "first" | "second",
): [string, string] | undefined {
  let found: [string, string] | undefined;
  let fallback: [string, string] | undefined;
  for (let at = text.indexOf(separator); at >= 0; at = text.indexOf(separator, at + 1)) {
    const split: [string, string] = [text.slice(0, at), text.slice(at + separator.length)];
    fallback ??= split;
    if (ancestor === "first" && isInSubtree(split[1], split[0])) found = split;
    if (ancestor === "second" && isInSubtree(split[0], split[1])) found ??= split;
  }
  return found ?? fallback;
}

/**
 * `…,task=COMM`: splits at the first `,task=` that leaves no more than a comm. Any process can call itself `a,task=b`, but creating
 * a cgroup takes privilege; so a path that ends in `,task=x` is the case that is parsed wrongly.
 */
function splitTask(text: string): [string, string] | undefined {
  const separator = ",task=";
  const at = text.indexOf(separator, text.length - COMM_MAX - separator.length);
  return at < 0 ? undefined : [text.slice(0, at), text.slice(at + separator.length)];
}

function parseOomKill(message: string): OomKill | undefined {
  const ends = /^oom-kill:constraint=([A-Z_]+),(.*),pid=(\d+),uid=(\d+)$/s.exec(message);
  const parts = splitTask(ends?.[2] ?? "");
  if (ends === null || parts === undefined) return undefined;
  const [context, task] = parts;
  // `cpuset=` before the paths is the name of one cgroup, which cannot contain a slash.
  const oomAt = context.indexOf(",oom_memcg=/");
  const taskAt = context.indexOf(",task_memcg=/");
  let oomMemcg: string | undefined;
  let taskMemcg: string | undefined;
  if (oomAt >= 0 && (taskAt < 0 || oomAt < taskAt)) {
    const paths = context.slice(oomAt + ",oom_memcg=".length);
    [oomMemcg, taskMemcg] = splitPaths(paths, ",task_memcg=", "first") ??
      [paths, undefined];
  } else if (taskAt >= 0) {
    taskMemcg = context.slice(taskAt + ",task_memcg=".length);
  }
  return omitUndefined({
    kind: "oom-kill" as const,
    constraint: ends[1]!,
    global: oomMemcg === undefined,
    oomMemcg,
    // Empty if the piece with the path was lost between two records.
    taskMemcg: taskMemcg || undefined,
    task,
    pid: Number(ends[3]),
    uid: Number(ends[4]),
  });
}

const PREFIX = "(?:(Memory cgroup out of memory|Out of memory(?: \\([a-z_]+\\))?): )";
/**
 * The uid is before the comm in el5 (2.6.18) and el6 (2.6.32), after it in el7 (3.10), and among the figures since 5.4; other kernels up to 5.3 leave
 * it out. The comm ends at the last parenthesis: no figure has one.
 */
const KILLED = new RegExp(
  `^${PREFIX}?Killed process (\\d+)(?:, UID (\\d+),)? \\((.*)\\)(?:, UID (\\d+),|[,.])?(?: (total-vm:.*))?$`,
  "s",
);
/** 2.6.32 writes `kill` and `or a child`. */
const CHOSEN = new RegExp(
  `^${PREFIX}[Kk]ill process (\\d+) \\((.*)\\) score \\d+ or (?:sacrifice|a) child$`,
  "s",
);

function parseKilled(message: string): Killed | undefined {
  const match = KILLED.exec(message);
  if (match === null) return undefined;
  const [, reason, pid, uidOfEl6, comm, uidOfEl7, figures = ""] = match;
  const bytes = (key: string): number | undefined => {
    const value = new RegExp(`\\b${key}:(\\d+)kB`).exec(figures)?.[1];
    return value === undefined ? undefined : Number(value) * 1024;
  };
  const uid = /\bUID:(\d+)/.exec(figures)?.[1] ?? uidOfEl7 ?? uidOfEl6;
  const oomScoreAdj = /\boom_score_adj:(-?\d+)/.exec(figures)?.[1];
  return omitUndefined({
    kind: "killed" as const,
    memcg: reason?.startsWith("Memory cgroup"),
    pid: Number(pid),
    comm: comm!,
    totalVm: bytes("total-vm"),
    anonRss: bytes("anon-rss"),
    fileRss: bytes("file-rss"),
    shmemRss: bytes("shmem-rss"),
    pgtables: bytes("pgtables"),
    uid: uid === undefined ? undefined : Number(uid),
    oomScoreAdj: oomScoreAdj === undefined ? undefined : Number(oomScoreAdj),
  });
}

/** `undefined` for any other line. */
export function parseOomMessage(message: string): OomMessage | undefined {
  if (message.startsWith("oom-kill:")) return parseOomKill(message);
  const killed = parseKilled(message);
  if (killed !== undefined) return killed;
  let match = CHOSEN.exec(message);
  if (match !== null) {
    return {
      kind: "chosen",
      memcg: match[1]!.startsWith("Memory cgroup"),
      pid: Number(match[2]),
      comm: match[3]!,
    };
  }
  match = /^(.{0,15}) invoked oom-killer: gfp_mask=(?:.* oom_score_adj=(-?\d+))?/s.exec(message);
  if (match !== null) {
    const [, comm, adj] = match;
    return { kind: "invoked", comm: comm!, ...(adj && { oomScoreAdj: Number(adj) }) };
  }
  match = /^oom_reaper: reaped process (\d+) \((.*)\),/s.exec(message);
  if (match !== null) return { kind: "reaped", pid: Number(match[1]), comm: match[2]! };
  match = /^Tasks in (.*) are going to be killed due to memory\.oom\.group set$/s.exec(message);
  if (match !== null) return { kind: "group", memcg: match[1]! };
  match = /^memory: usage (\d+)kB, limit (\d+)kB, failcnt \d+$/.exec(message);
  if (match !== null) {
    return { kind: "usage", usage: 1024 * Number(match[1]), limit: 1024 * Number(match[2]) };
  }
  match = /^Task in (\/.*)$/s.exec(message);
  const separator = " killed as a result of limit of ";
  const paths = splitPaths(match?.[1] ?? "", separator, "second");
  if (paths === undefined || paths.includes("")) return undefined;
  return { kind: "task-in", taskMemcg: paths[0], oomMemcg: paths[1] };
}
