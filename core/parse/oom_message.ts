/**
 * What the kernel's OOM killer writes to its log (kernel: mm/oom_kill.c, mm/memcontrol.c), from 3.x to 6.x.
 *
 * A comm is whatever the process called itself and a cgroup may be named almost anything, so that neither is delimited:
 * lines are read from their ends, which the kernel wrote itself, and by what must hold between the fields.
 */

import { isInSubtree } from "../cgroup_path.ts";

export type OomMessage =
  | OomKill
  | Killed
  | {
    /** Before 5.2, ahead of `killed`: the process chosen. Up to 4.20 one of its children may die in its place. */
    readonly kind: "chosen";
    readonly memcg: boolean;
    readonly pid: number;
    readonly comm: string;
  }
  | { readonly kind: "invoked"; readonly comm: string; readonly oomScoreAdj?: number }
  | { readonly kind: "task-in"; readonly taskMemcg: string; readonly oomMemcg: string }
  | { readonly kind: "group"; readonly memcg: string }
  | { readonly kind: "reaped"; readonly pid: number; readonly comm: string };

/** Since 5.0: the summary that names the owner of the limit and the victim. */
export interface OomKill {
  readonly kind: "oom-kill";
  /** `CONSTRAINT_MEMCG` and so on. Up to 5.2 it says `CONSTRAINT_NONE` for cgroups too: go by `global`. */
  readonly constraint: string;
  /** The machine ran out, not a cgroup. */
  readonly global: boolean;
  /** The cgroup whose limit was hit; a path from the hierarchy's root, whatever the reader's namespace. */
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
  /** Whether a cgroup's limit was the reason; absent before 5.2, where the line does not say. */
  readonly memcg?: boolean;
  /** In the initial pid namespace. A thread's, if the main thread had already ended. */
  readonly pid: number;
  readonly comm: string;
  /** Bytes, all of them. */
  readonly totalVm?: number;
  readonly anonRss?: number;
  readonly fileRss?: number;
  readonly shmemRss?: number;
  readonly pgtables?: number;
  readonly uid?: number;
  readonly oomScoreAdj?: number;
}

/** TASK_COMM_LEN without the NUL: bytes, of which a string has never more characters. */
const COMM_MAX = 15;

/**
 * Two paths joined by `separator`, of which one is the other or lies beneath it: that tells which of several separators
 * is the kernel's. Where more than one would do, the longest ancestor is the least likely to be a coincidence.
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
 * `…,task=COMM`: the first `,task=` that leaves no more than a comm. A process can call itself `a,task=b` without any
 * right, while cgroups are named by who runs the machine; so a path that ends in `,task=x` is the one read wrongly.
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
  // Ahead of the paths stands `cpuset=`, the name of one cgroup, which cannot hold a slash.
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
  return {
    kind: "oom-kill",
    constraint: ends[1]!,
    global: oomMemcg === undefined,
    ...(oomMemcg === undefined ? {} : { oomMemcg }),
    // Empty where the piece with the path went missing between two records.
    ...(taskMemcg === undefined || taskMemcg === "" ? {} : { taskMemcg }),
    task,
    pid: Number(ends[3]),
    uid: Number(ends[4]),
  };
}

const PREFIX = "(?:(Memory cgroup out of memory|Out of memory(?: \\([a-z_]+\\))?): )";
const KILLED = new RegExp(
  `^${PREFIX}?Killed process (\\d+)(?:, UID (\\d+),)? \\((.*)\\)(?:,? (total-vm:.*))?$`,
  "s",
);
const CHOSEN = new RegExp(
  `^${PREFIX}Kill process (\\d+) \\((.*)\\) score \\d+ or sacrifice child$`,
  "s",
);

function parseKilled(message: string): Killed | undefined {
  const match = KILLED.exec(message);
  if (match === null) return undefined;
  const [, reason, pid, oldUid, comm, figures = ""] = match;
  const bytes = (key: string): number | undefined => {
    const value = new RegExp(`\\b${key}:(\\d+)kB`).exec(figures)?.[1];
    return value === undefined ? undefined : Number(value) * 1024;
  };
  const totalVm = bytes("total-vm");
  const anonRss = bytes("anon-rss");
  const fileRss = bytes("file-rss");
  const shmemRss = bytes("shmem-rss");
  const pgtables = bytes("pgtables");
  const uid = /\bUID:(\d+)/.exec(figures)?.[1] ?? oldUid;
  const oomScoreAdj = /\boom_score_adj:(-?\d+)/.exec(figures)?.[1];
  return {
    kind: "killed",
    ...(reason === undefined ? {} : { memcg: reason.startsWith("Memory cgroup") }),
    pid: Number(pid),
    comm: comm!,
    ...(totalVm === undefined ? {} : { totalVm }),
    ...(anonRss === undefined ? {} : { anonRss }),
    ...(fileRss === undefined ? {} : { fileRss }),
    ...(shmemRss === undefined ? {} : { shmemRss }),
    ...(pgtables === undefined ? {} : { pgtables }),
    ...(uid === undefined ? {} : { uid: Number(uid) }),
    ...(oomScoreAdj === undefined ? {} : { oomScoreAdj: Number(oomScoreAdj) }),
  };
}

/** `undefined` for any line that is not the OOM killer's. */
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
    return {
      kind: "invoked",
      comm: comm!,
      ...(adj === undefined ? {} : { oomScoreAdj: Number(adj) }),
    };
  }
  match = /^oom_reaper: reaped process (\d+) \((.*)\),/s.exec(message);
  if (match !== null) return { kind: "reaped", pid: Number(match[1]), comm: match[2]! };
  match = /^Tasks in (.*) are going to be killed due to memory\.oom\.group set$/s.exec(message);
  if (match !== null) return { kind: "group", memcg: match[1]! };
  match = /^Task in (\/.*)$/s.exec(message);
  const separator = " killed as a result of limit of ";
  const paths = splitPaths(match?.[1] ?? "", separator, "second");
  if (paths === undefined || paths.includes("")) return undefined;
  return { kind: "task-in", taskMemcg: paths[0], oomMemcg: paths[1] };
}
