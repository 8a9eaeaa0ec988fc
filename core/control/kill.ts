/** Signals to a process that is pinned by a pidfd, and to all processes of a cgroup. With `dryRun` only the last call is left out. */

import {
  type Cgroup,
  isThreaded,
  mayBeThere,
  tryListSubtree,
  tryReadControl,
  walkAccessible,
} from "../cgroup/cgroup.ts";
import { inodeOf, tryExists, tryReadNames, tryReadText, unlessRefused } from "../cgroup/files.ts";
import { readCgroupLines } from "../cgroup/hierarchy.ts";
import { parsePids, pidsIn, pidsInCgroup } from "../cgroup/pids.ts";
import { type Fd, inodeOfFd, O_WRONLY, openDirectory, openIn, writeText } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd, signalPidfd } from "../kernel/process.ts";
import { parseMountinfo, visibleMounts } from "../parse/mountinfo.ts";
import { isOutsideNamespace } from "../parse/procfs.ts";
import type { SuspendedCgroup, SuspensionLog } from "./journal.ts";
import { writeControl } from "./write.ts";

export const SIGKILL = 9;
export const SIGTERM = 15;
export const SIGCONT = 18;
export const SIGSTOP = 19;

/** Why a signal was not sent. `gone` is an ordinary outcome: try the next process. */
export type KillFailure = "gone" | { readonly reason: string };

const failureOf = (error: unknown): KillFailure => {
  if (error instanceof SystemCallError) {
    const hint = error.code === "EPERM" ? " (it takes the same user, or CAP_KILL)" : "";
    return { reason: `${error.call}: ${error.code}${hint}` };
  }
  throw error;
};

export interface PinnedProcess {
  readonly pid: number;
  readonly pidfd: Fd;
  /** The directory of the cgroup in which the process was found. */
  readonly cgroupFd: Fd;
}

/**
 * Whether the pinned process is in its cgroup now. A process that moved out is not listed; a later process with the same pid is
 * not the one that the pidfd refers to.
 */
export function isStillMember({ cgroupFd, pid }: PinnedProcess): boolean {
  return pidsInCgroup(cgroupFd).has(pid);
}

/** What is left alive when everything in a cgroup is killed. */
export interface Spared {
  readonly pids: ReadonlySet<number>;
  /** Whether everything in the cgroup with this path is, also what appears there later. */
  readonly isSparedCgroup?: (path: string) => boolean;
  /**
   * Whether another process in the cgroup with this path is: it may have come since these pids were read. Absent where all others are
   * killed; `undefined` where it cannot be read, as of a process that has exited.
   */
  readonly isSparedProcess?: (pid: number, path: string) => boolean | undefined;
  /** Whether that takes no read. */
  readonly isKnown?: (pid: number) => boolean;
}

const isSparedCgroup = ({ path }: Cgroup, spared: Spared): boolean =>
  spared.isSparedCgroup?.(path) ?? false;

/** @param ifUnknown the result where that cannot be read. */
const isSparedPid = (
  pid: number,
  { path }: Cgroup,
  { pids, isSparedProcess }: Spared,
  ifUnknown: boolean,
): boolean =>
  pids.has(pid) ||
  (isSparedProcess !== undefined && (isSparedProcess(pid, path) ?? ifUnknown));

/** @param present the pids in its cgroup now: a process that has moved out is not signalled. */
export function signalProcess(
  { pid, pidfd }: PinnedProcess,
  present: ReadonlySet<number>,
  signal: number,
  dryRun: boolean,
): KillFailure | undefined {
  if (!present.has(pid)) return "gone";
  try {
    return signalPidfd(pidfd, dryRun ? 0 : signal) ? undefined : "gone";
  } catch (error) {
    return failureOf(error);
  }
}

/**
 * Signals everything in the subtree. SIGKILL goes through cgroup.kill where the kernel has it (v2, Linux 5.14), which no fork
 * escapes; elsewhere this is one round, to be repeated until {@link isEmpty}.
 *
 * @param freeze where to record that the cgroup is frozen meanwhile, so that a fork bomb cannot outrun the signals; `false` to
 * not freeze it.
 */
export function killCgroup(
  cgroup: Cgroup,
  signal: number,
  dryRun: boolean,
  spared: Spared,
  freeze: SuspensionLog | false,
): KillFailure | undefined {
  try {
    using directory = openDirectory(cgroup.dir);
    if (inodeOfFd(directory) !== cgroup.inode) return "gone";
    // Without the file it does not matter, and takes a walk.
    const mayKillAll = signal === SIGKILL && tryExists(`${cgroup.dir}/cgroup.kill`);
    if (mayKillAll && holdsNone(cgroup, spared)) {
      using file = openIn(directory, "cgroup.kill", O_WRONLY);
      if (!dryRun) writeText(file, "1");
      return undefined;
    }
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    // ENOENT: v1, or older than 5.14.
    if (error.code !== "ENOENT") return { reason: `${error.call} cgroup.kill: ${error.code}` };
  }
  const freezer = freeze && !dryRun ? freezerOf(cgroup) : undefined;
  if (!freeze || !freezer) return signalEach(cgroup, dryRun ? 0 : signal, spared);
  const file = `${freezer.dir}/${freezer.file}`;
  freeze.begin([freezer]);
  writeControl(file, freezer.set);
  try {
    return signalEach(cgroup, signal, spared);
  } finally {
    // A frozen process dies when it thaws.
    writeControl(file, freezer.before);
    freeze.end([freezer]);
  }
}

/** Whether only spared processes are left in the subtree. A service that was started again is in another cgroup of the same name. */
export function isEmpty(cgroup: Cgroup, spared: Spared): boolean {
  if (!mayBeThere(cgroup)) return true;
  return tryListSubtree(cgroup)?.every((each) =>
    isSparedCgroup(each, spared) ||
    (readWholePids(each)?.every((pid) => isSparedPid(pid, each, spared, false)) ??
      !mayBeThere(each))
  ) ?? false;
}

/** cgroup.kill cannot leave out a process. */
function holdsNone(cgroup: Cgroup, spared: Spared): boolean {
  const { pids, isSparedProcess } = spared;
  const isAllKilled = pids.size === 0 && !isSparedProcess && !spared.isSparedCgroup;
  return isAllKilled || (tryListSubtree(cgroup)?.every((each) =>
    !isSparedCgroup(each, spared) &&
    readWholePids(each)?.every((pid) => !isSparedPid(pid, each, spared, true))
  ) ?? false);
}

/** @returns why no process could be signalled; a process that is refused does not make a failure of those that were signalled. */
function signalEach(
  cgroup: Cgroup,
  signal: number,
  spared: Spared,
): KillFailure | undefined {
  let failure: KillFailure | undefined;
  let isAnySignalled = false;
  for (const each of walkAccessible(cgroup)) {
    if (isSparedCgroup(each, spared)) continue;
    const pids = readWholePids(each) ?? [];
    const isKnown = (pid: number) => spared.isKnown?.(pid) ?? true;
    // What has to be read first must not delay the others: a fork bomb goes on meanwhile.
    for (const some of [pids.filter(isKnown), pids.filter((pid) => !isKnown(pid))]) {
      if (some.length === 0) continue;
      const signalled = signalThese(some, each, signal, spared);
      failure = signalled.failure ?? failure;
      isAnySignalled ||= signalled.isAny;
    }
  }
  return isAnySignalled ? undefined : failure;
}

function signalThese(
  pids: readonly number[],
  cgroup: Cgroup,
  signal: number,
  spared: Spared,
): { readonly failure: KillFailure | undefined; readonly isAny: boolean } {
  let failure: KillFailure | undefined;
  let isAny = false;
  const pinned: { readonly pid: number; readonly pidfd: Fd | undefined }[] = [];
  try {
    for (const pid of pids) {
      if (!isSparedPid(pid, cgroup, spared, true)) pinned.push({ pid, pidfd: openPidfd(pid) });
    }
  } catch (error) {
    failure = failureOf(error);
  }
  // Check membership after opening the pidfds: from then on no pid can be reused.
  const present = new Set(readWholePids(cgroup));
  for (const { pid, pidfd } of pinned) {
    if (pidfd === undefined) continue;
    try {
      if (present.has(pid) && signalPidfd(pidfd, signal)) isAny = true;
    } catch (error) {
      failure = failureOf(error);
    } finally {
      pidfd.close();
    }
  }
  return { failure, isAny };
}

/** `undefined` when the cgroup is gone, cannot be read, or was read in part. */
function readWholePids(cgroup: Cgroup): number[] | undefined {
  const text = tryReadControl(cgroup, "cgroup.procs");
  if (text === undefined) return isThreaded(cgroup) ? [] : undefined;
  return text === "" || text.endsWith("\n") ? [...pidsIn(text)] : undefined;
}

/**
 * The freezer of exactly this subtree (kernel, cgroup-v1/freezer-subsystem.rst; cgroup-v2.rst, cgroup.freeze); `undefined` when there
 * is none. On v1 it is a cgroup of another hierarchy, and is used only when all of its processes are in `cgroup`.
 */
function freezerOf(cgroup: Cgroup): SuspendedCgroup | undefined {
  const { dir: own, inode: ownInode, hierarchy: { version: { freezeFile } } } = cgroup;
  if (freezeFile !== undefined) {
    return tryExists(`${own}/${freezeFile}`)
      ? { dir: own, inode: ownInode, file: freezeFile, before: "0", set: "1" }
      : undefined;
  }
  const inside = new Set(
    [...walkAccessible(cgroup)].flatMap((each) =>
      parsePids(tryReadControl(each, "cgroup.procs") ?? "")
    ),
  );
  const [first] = inside;
  const dir = first === undefined ? undefined : freezerDirectory(first);
  const inode = dir === undefined ? undefined : unlessRefused(() => inodeOf(dir));
  if (dir === undefined || inode === undefined) return undefined;
  const stopped = parsePids(tryReadText(`${dir}/cgroup.procs`) ?? "");
  if (stopped.length === 0 || stopped.some((pid) => !inside.has(pid))) return undefined;
  return { dir, inode, file: "freezer.state", before: "THAWED", set: "FROZEN" };
}

function freezerDirectory(pid: number): string | undefined {
  const [mount] = visibleMounts(
    parseMountinfo(tryReadNames("/proc/self/mountinfo") ?? ""),
    ({ fsType, superOptions }) => fsType === "cgroup" && superOptions.includes("freezer"),
  );
  const line = readCgroupLines(pid).find(({ controllers }) => controllers.includes("freezer"));
  // The root has no freezer.state.
  if (mount?.root !== "/" || line === undefined || line.path === "/") return undefined;
  return isOutsideNamespace(line.path) ? undefined : `${mount.mountPoint}${line.path}`;
}
