/** The processes of a cgroup and of everything beneath it, with what the OOM killer weighs. */

import { omitUndefined } from "../omit_undefined.ts";
import {
  parseCmdline,
  parseProcCgroup,
  parseProcStat,
  parseProcStatus,
  type ProcStatus,
} from "../parse/procfs.ts";
import type { Process } from "../snapshot.ts";
import { type Cgroup, isThere, isThreaded, readControl, tryReadControl, walk } from "./cgroup.ts";
import { listDirectories, tryReadText } from "./files.ts";
import { type Hierarchy, inInitialPidNamespace, memoryLine } from "./hierarchy.ts";
import { parsePids, pidsIn } from "./pids.ts";
import { invalidReason } from "./validate.ts";

/**
 * The pids in cgroup.procs, as this program's pid namespace knows them; those outside of it read as 0 and are left out.
 * `undefined` when the cgroup is gone.
 */
export function pidsOf(cgroup: Cgroup): number[] | undefined {
  const text = readControl(cgroup, "cgroup.procs");
  if (text === undefined) return undefined;
  // The kernel does not promise an order, nor that a pid comes but once.
  return [...pidsIn(text)].sort((a, b) => a - b);
}

export interface ProcessList {
  /** What vanishes meanwhile is left out, and so is this program, which is gone before anybody reads of it. */
  readonly processes: readonly Process[];
  /** How many there are of which nothing can be told: of another pid namespace, or hidden by /proc's mount option. */
  readonly hiddenProcesses: number;
  /** Paths of the cgroups that are there and do not say who is in them: how many there are is not known. */
  readonly unread: readonly string[];
}

export function listProcesses(cgroup: Cgroup): ProcessList {
  const processes: Process[] = [];
  const unread: string[] = [];
  let hiddenProcesses = 0;
  for (const each of walk(cgroup)) {
    const text = tryReadControl(each, "cgroup.procs");
    const isWhole = text !== undefined && invalidReason("cgroup.procs", text) === undefined;
    if (!isWhole && isThere(each) && !isThreaded(each)) unread.push(each.path);
    const readPids = () => parsePids(tryReadControl(each, "cgroup.procs") ?? "");
    const missing: number[] = [];
    for (const pid of new Set(parsePids(text ?? ""))) {
      if (pid === Deno.pid) continue;
      const process = pid === 0 ? undefined : readProcess(pid, each.path);
      if (process) processes.push(process);
      else missing.push(pid);
    }
    // One that ended meanwhile is in the file no longer, one that is only hidden still is.
    if (missing.length > 0) {
      hiddenProcesses += readPids().filter((pid) => missing.includes(pid)).length;
    }
  }
  return { processes, hiddenProcesses, unread };
}

/** `undefined` when the process is gone. What may not be read of it is absent. */
export function readProcess(pid: number, cgroup: string): Process | undefined {
  const stat = parseProcStat(tryReadText(`/proc/${pid}/stat`) ?? "");
  if (stat === undefined) return undefined;
  const status = parseProcStatus(tryReadText(`/proc/${pid}/status`) ?? "");
  const memory = stat.state === "Z" && status.rss === undefined ? memoryOfThreads(pid) : status;
  return omitUndefined({
    pid,
    startTime: stat.startTime,
    comm: stat.comm,
    state: stat.state,
    cmdline: parseCmdline(tryReadText(`/proc/${pid}/cmdline`) ?? ""),
    nsPids: status.nsPids,
    rss: memory.rss,
    swap: memory.swap,
    pageTables: memory.pageTables,
    oomScore: readNumber(pid, "oom_score"),
    oomScoreAdj: readNumber(pid, "oom_score_adj"),
    cgroup,
  });
}

/**
 * No more of a process than the OOM killer weighs, where every read counts. `undefined` when it is gone, and when it cannot be
 * read what spares it: nobody is to die for what is not known of him.
 *
 * @param withCmdline its command line too, which takes a lock of the process that it may be holding itself.
 */
export function readCandidate(
  pid: number,
  cgroup: string,
  withCmdline: boolean,
): Process | undefined {
  const text = tryReadText(`/proc/${pid}/status`);
  if (text === undefined) return undefined;
  const status = parseProcStatus(text);
  const oomScoreAdj = readNumber(pid, "oom_score_adj");
  const cmdline = withCmdline ? tryReadText(`/proc/${pid}/cmdline`) : "";
  if (oomScoreAdj === undefined || cmdline === undefined) return undefined;
  const memory = status.state === "Z" && status.rss === undefined ? memoryOfThreads(pid) : status;
  return omitUndefined({
    pid,
    startTime: 0n,
    comm: status.name ?? "",
    state: status.state ?? "",
    cmdline: parseCmdline(cmdline),
    nsPids: status.nsPids,
    rss: memory.rss,
    swap: memory.swap,
    pageTables: memory.pageTables,
    oomScoreAdj,
    cgroup,
  });
}

/** `undefined` when the process is gone. */
export function oomScoreAdjOf(pid: number): number | undefined {
  return readNumber(pid, "oom_score_adj");
}

/** Empty for a kernel thread, and for what is gone. */
export function commandLineOf(pid: number): string[] {
  return parseCmdline(tryReadText(`/proc/${pid}/cmdline`) ?? "");
}

/** When the main thread has ended before the others it is a zombie without memory, and theirs is what counts. */
function memoryOfThreads(pid: number): Pick<ProcStatus, "rss" | "swap" | "pageTables"> {
  for (const tid of listDirectories(`/proc/${pid}/task`) ?? []) {
    const status = parseProcStatus(tryReadText(`/proc/${pid}/task/${tid}/status`) ?? "");
    if (status.rss !== undefined) return status;
  }
  return {};
}

/** Nothing where the line has no end: half of oom_score_adj -1000, which spares a process, is -100, which does not. */
function readNumber(pid: number, file: string): number | undefined {
  const text = tryReadText(`/proc/${pid}/${file}`);
  return text !== undefined && /^-?\d{1,20}\n$/.test(text) ? Number(text) : undefined;
}

/**
 * The pids of the machine, or of this pid namespace, with the kernel's badness over the machine's memory; this program
 * is left out.
 */
export function oomScores(): { readonly pid: number; readonly score: number }[] {
  return (listDirectories("/proc") ?? [])
    .filter((name) => /^\d+$/.test(name) && Number(name) !== Deno.pid)
    .map((name) => ({ pid: Number(name), score: readNumber(Number(name), "oom_score") }))
    .filter((each): each is { pid: number; score: number } => each.score !== undefined);
}

/* This program and who started it. */

/** The own pid and those of all ancestors, as far as this pid namespace shows them. */
export function selfAndAncestors(): Set<number> {
  const lineage = new Set<number>();
  for (let pid: number | undefined = Deno.pid; pid && !lineage.has(pid);) {
    lineage.add(pid);
    pid = parseProcStatus(tryReadText(`/proc/${pid}/status`) ?? "").ppid;
  }
  return lineage;
}

/* Where a process is that is about to be gone. */

/**
 * The cgroup of who was just killed, by his pid in the initial pid namespace; `undefined` where it is too late to tell, or
 * the pid is not known here.
 *
 * @param comm as the kernel had it, lest the pid is another's by now.
 */
export function cgroupOfKilled(
  pid: number,
  comm: string,
  { version }: Pick<Hierarchy, "version">,
): string | undefined {
  if (!inInitialPidNamespace()) return undefined;
  const line = memoryLine(parseProcCgroup(tryReadText(`/proc/${pid}/cgroup`) ?? ""), version);
  if (line === undefined || line.deleted) return undefined;
  // On v1 who has begun to exit is told to be in the root (kernel, proc_cgroup_show).
  if (line.path === "/") return undefined;
  return tryReadText(`/proc/${pid}/comm`) === `${comm}\n` ? line.path : undefined;
}
