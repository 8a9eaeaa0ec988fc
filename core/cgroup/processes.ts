/** Processes: those of a cgroup and everything below it, and what the OOM killer ranks them by. */

import { omitUndefined } from "../omit_undefined.ts";
import {
  mayBeRemoved,
  parseCmdline,
  parseKilobytes,
  parseProcStat,
  parseProcStatus,
  type ProcStatus,
} from "../parse/procfs.ts";
import type { Process } from "../snapshot.ts";
import {
  type Cgroup,
  invalidReason,
  isThere,
  isThreaded,
  readControl,
  tryReadControl,
  tryReadSnapshot,
  walkCharged,
} from "./cgroup.ts";
import { listDirectories, tryListDirectories, tryReadText } from "./files.ts";
import { type Hierarchy, inInitialPidNamespace, readMemoryLine } from "./hierarchy.ts";
import { parsePids, pidsIn } from "./pids.ts";

/**
 * The pids in cgroup.procs, in this program's pid namespace; pids outside of it read as 0 and are left out. `undefined` if
 * the cgroup is gone. Throws `OomkitError` if cgroup.procs may not be read.
 */
export function pidsOf(cgroup: Cgroup): number[] | undefined {
  const text = readControl(cgroup, "cgroup.procs");
  if (text === undefined) return undefined;
  return [...pidsIn(text)].sort((a, b) => a - b);
}

export interface ProcessList {
  /** Without processes that have ended meanwhile, and without this program, which ends before its output is read. */
  readonly processes: readonly Process[];
  /**
   * The number of processes that are not visible: in another pid namespace, or hidden by /proc's mount option. `undefined` where that
   * cannot be counted and there seem to be some.
   */
  readonly hiddenProcesses: number | undefined;
  /** Paths of the cgroups that exist but have no readable cgroup.procs, so that the number of processes is unknown. */
  readonly unread: readonly string[];
}

export function listProcesses(cgroup: Cgroup): ProcessList {
  const processes: Process[] = [];
  const unread: string[] = [];
  let hiddenProcesses = 0;
  for (const each of walkCharged(cgroup)) {
    const text = tryReadControl(each, "cgroup.procs");
    const isValid = text !== undefined && invalidReason("cgroup.procs", text) === undefined;
    if (!isValid && isThere(each) && !isThreaded(each)) unread.push(each.path);
    const missing: number[] = [];
    for (const pid of new Set(parsePids(text ?? ""))) {
      if (pid === Deno.pid) continue;
      const process = pid === 0 ? undefined : readProcess(pid, each.path);
      if (process) processes.push(process);
      else missing.push(pid);
    }
    if (missing.length > 0) {
      // A process that has ended meanwhile is no longer listed, one that is only hidden still is.
      const listed = parsePids(tryReadControl(each, "cgroup.procs") ?? "");
      hiddenProcesses += listed.filter((pid) => missing.includes(pid)).length;
    }
  }
  const isCounted = hiddenProcesses > 0 || !omitsProcesses(cgroup, processes.length);
  return { processes, hiddenProcesses: isCounted ? hiddenProcesses : undefined, unread };
}

/**
 * v1 leaves processes of other pid namespaces out of cgroup.procs, where v2 lists them as 0 (kernel, cgroup-v1.c, pidlist_array_load).
 * They show in the anonymous memory of a cgroup that lists none.
 */
function omitsProcesses(cgroup: Cgroup, visible: number): boolean {
  const { version, kernel } = cgroup.hierarchy;
  if (!version.omitsForeignPids || !kernel || visible > 0 || inInitialPidNamespace()) return false;
  return (tryReadSnapshot(cgroup, ["memory.stat"]).stats.anon ?? 0) > 0;
}

/** Whether /proc hides the processes of other users (hidepid, proc(5)); only in the initial pid namespace, where pid 1 always runs. */
export const procHidesProcesses = (): boolean =>
  inInitialPidNamespace() && tryReadText("/proc/1/oom_score") === undefined;

/** `undefined` if the process is gone. What may not be read is absent. */
export function readProcess(pid: number, cgroup: string): Process | undefined {
  const stat = parseProcStat(tryReadText(`/proc/${pid}/stat`) ?? "");
  if (stat === undefined) return undefined;
  const status = parseProcStatus(tryReadText(`/proc/${pid}/status`) ?? "");
  return omitUndefined({
    pid,
    startTime: stat.startTime,
    comm: stat.comm,
    state: stat.state,
    cmdline: commandLineOf(pid),
    nsPids: status.nsPids,
    ...sizesOf(pid, stat.state, status),
    oomScore: readNumber(pid, "oom_score"),
    oomScoreAdj: oomScoreAdjOf(pid),
    cgroup,
  });
}

/**
 * Only what the OOM killer ranks a process by, with few reads. `undefined` if the process is gone, or if what may exclude it from
 * being killed cannot be read: a process that may be excluded must not be killed.
 *
 * @param withCmdline reads the command line too, which takes a lock that the process may be holding itself.
 */
export function readCandidate(
  pid: number,
  cgroup: string,
  withCmdline: boolean,
): Process | undefined {
  const text = tryReadText(`/proc/${pid}/status`);
  if (text === undefined) return undefined;
  const status = parseProcStatus(text);
  const oomScoreAdj = oomScoreAdjOf(pid);
  const cmdline = withCmdline ? tryReadText(`/proc/${pid}/cmdline`) : "";
  if (oomScoreAdj === undefined || cmdline === undefined) return undefined;
  const sizes = sizesOf(pid, status.state, status);
  return omitUndefined({
    pid,
    startTime: 0n,
    comm: status.name ?? "",
    state: status.state ?? "",
    cmdline: parseCmdline(cmdline),
    nsPids: status.nsPids,
    ...sizes,
    oomScoreAdj,
    isExiting: isExitingBy(status, sizes.rss) || undefined,
    cgroup,
  });
}

/** {@link readCandidate} without its memory, in a third of the time. @param byName reads no command line. */
export function readIdentity(
  pid: number,
  cgroup: string,
  byName: boolean,
): Pick<Process, "pid" | "comm" | "cmdline" | "cgroup" | "oomScoreAdj"> | undefined {
  const oomScoreAdj = oomScoreAdjOf(pid);
  const cmdline = byName ? "" : tryReadText(`/proc/${pid}/cmdline`);
  // Of a process without a command line the name is matched.
  const comm = cmdline === "" ? tryReadText(`/proc/${pid}/comm`) : "";
  if (oomScoreAdj === undefined || cmdline === undefined || comm === undefined) return undefined;
  return { pid, comm: comm.trimEnd(), cmdline: parseCmdline(cmdline), oomScoreAdj, cgroup };
}

/** SIGKILL is pending, or it is without an address space but no zombie yet: its memory is being freed (kernel/exit.c, do_exit). */
const isExitingBy = ({ isKillPending, state = "Z" }: ProcStatus, rss?: number): boolean =>
  isKillPending === true || (rss === undefined && !/^[ZX]$/.test(state));

/** Whether a process that was exiting may still hold memory; false when it is gone. */
export function isExiting(pid: number): boolean {
  const text = tryReadText(`/proc/${pid}/status`);
  if (text === undefined) return false;
  const status = parseProcStatus(text);
  return isExitingBy(status, status.rss);
}

/** If the main thread has ended before the others, it is a zombie without an address space: another thread has the sizes. */
function sizesOf(pid: number, state: string | undefined, status: ProcStatus) {
  const { rss, swap, pageTables } = state !== "Z" || status.rss !== undefined
    ? status
    : (tryListDirectories(`/proc/${pid}/task`) ?? []).values()
      .map((tid) => parseProcStatus(tryReadText(`/proc/${pid}/task/${tid}/status`) ?? ""))
      .find((thread) => thread.rss !== undefined) ?? {};
  return { rss, swap, pageTables };
}

/** `undefined` if the process is gone. */
export const oomScoreAdjOf = (pid: number): number | undefined => readNumber(pid, "oom_score_adj");

/** Empty for a kernel thread and for a process that is gone. */
export const commandLineOf = (pid: number): string[] =>
  parseCmdline(tryReadText(`/proc/${pid}/cmdline`) ?? "");

/** `undefined` without a newline: a torn -1000, which protects a process, could read as -100, which does not. */
function readNumber(pid: number, file: string): number | undefined {
  const text = tryReadText(`/proc/${pid}/${file}`);
  return text !== undefined && /^-?\d{1,20}\n$/.test(text) ? Number(text) : undefined;
}

export interface OomScore {
  readonly pid: number;
  /** The kernel's badness relative to the machine's memory, in thousandths. */
  readonly score: number;
}

/** Of the pids of this pid namespace; without this program. */
export function oomScores(): OomScore[] {
  return (listDirectories("/proc") ?? [])
    .filter((name) => /^\d+$/.test(name) && Number(name) !== Deno.pid)
    .flatMap((name) => {
      const score = readNumber(Number(name), "oom_score");
      return score === undefined ? [] : [{ pid: Number(name), score }];
    });
}

/** proc(5), /proc/PID/statm: the second number. 0 for a process without memory of its own, and for one that is gone. */
export const residentPagesOf = (pid: number): number =>
  Number(tryReadText(`/proc/${pid}/statm`)?.split(" ")[1]) || 0;

/** Of this program. */
export const ownAnonymousBytes = (): number =>
  parseKilobytes(/^RssAnon:(.*)$/m.exec(tryReadText("/proc/self/status") ?? "")?.[1]) ?? 0;

/** The pids of this program and of all its ancestors in this pid namespace. */
export function selfAndAncestors(): Set<number> {
  const pids = new Set<number>();
  for (let pid: number | undefined = Deno.pid; pid && !pids.has(pid);) {
    pids.add(pid);
    pid = parseProcStatus(tryReadText(`/proc/${pid}/status`) ?? "").ppid;
  }
  return pids;
}

/**
 * The cgroup of a process that was just killed; `undefined` if it is too late to tell, or if this is not the initial pid
 * namespace.
 *
 * @param pid in the initial pid namespace.
 * @param comm from the kernel's report: the pid may be another process's by now.
 */
export function cgroupOfKilled(
  pid: number,
  comm: string,
  { version }: Pick<Hierarchy, "version">,
): string | undefined {
  if (!inInitialPidNamespace()) return undefined;
  const line = readMemoryLine(pid, version);
  if (line === undefined || mayBeRemoved(line.path)) return undefined;
  // v1 reports an exiting process to be in the root (kernel, proc_cgroup_show).
  if (line.path === "/") return undefined;
  return tryReadText(`/proc/${pid}/comm`) === `${comm}\n` ? line.path : undefined;
}
