/** Signals to the processes of a cgroup that handle them, and whether its processes may be signalled. */

import { type Cgroup, walk } from "../cgroup/cgroup.ts";
import { tryReadText } from "../cgroup/files.ts";
import { tryListPids } from "../cgroup/pids.ts";
import { openDirectory } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd, signalPidfd } from "../kernel/process.ts";
import { parseProcStatus } from "../parse/procfs.ts";
import { SIGNAL_NUMBERS, type SignalName } from "../policy/actions.ts";
import { isStillMember } from "./kill.ts";

export interface Signalled {
  readonly pids: readonly number[];
  /** Processes without a handler, which are skipped: the default action of most signals is to terminate. */
  readonly unhandled: number;
  /** Why it could not be sent to others. */
  readonly refused?: string;
}

/**
 * Signals the processes of the subtree that handle `signal` (SigCgt in /proc/PID/status).
 *
 * @param isExcluded pids that do not get it.
 * @param dryRun only finds out which would get it.
 */
export function signalHandlingProcesses(
  cgroup: Cgroup,
  signal: SignalName,
  isExcluded: (pid: number) => boolean,
  dryRun: boolean,
): Signalled {
  const pids: number[] = [];
  let unhandled = 0;
  let refused: string | undefined;
  for (const each of walk(cgroup)) {
    for (const pid of tryListPids(each)) {
      if (isExcluded(pid)) continue;
      try {
        const sent = signalIfHandled(each, pid, SIGNAL_NUMBERS[signal], dryRun);
        if (sent === "sent") pids.push(pid);
        else if (sent === "unhandled") unhandled += 1;
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error;
        refused = `${error.call} ${pid}: ${error.code}`;
      }
    }
  }
  return { pids, unhandled, ...(refused === undefined ? {} : { refused }) };
}

function signalIfHandled(
  cgroup: Cgroup,
  pid: number,
  number: number,
  dryRun: boolean,
): "sent" | "unhandled" | "gone" {
  using pidfd = openPidfd(pid);
  if (pidfd === undefined) return "gone";
  const { caughtSignals } = parseProcStatus(tryReadText(`/proc/${pid}/status`) ?? "");
  if (caughtSignals === undefined) return "gone";
  if ((caughtSignals >> BigInt(number - 1) & 1n) === 0n) return "unhandled";
  using cgroupFd = openDirectory(cgroup.dir);
  // What was read by pid belongs to the pinned process only while that still exists.
  if (!isStillMember({ pid, pidfd, cgroupFd })) return "gone";
  return signalPidfd(pidfd, dryRun ? 0 : number) ? "sent" : "gone";
}

/** The processes of a cgroup mostly belong to one user; a few are enough to know. */
const MAX_PROCESSES_CHECKED = 20;

/** Why no process of the cgroup may be signalled; `undefined` when one may, or when there is none to check. */
export function signalDenied(
  cgroup: Cgroup,
  protectedPids: ReadonlySet<number>,
): string | undefined {
  let refused: string | undefined;
  let checked = 0;
  for (const each of walk(cgroup)) {
    for (const pid of tryListPids(each)) {
      if (protectedPids.has(pid)) continue;
      if (++checked > MAX_PROCESSES_CHECKED) return refused;
      try {
        using pidfd = openPidfd(pid);
        if (pidfd && signalPidfd(pidfd, 0)) return undefined;
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error;
        refused = `${error.call} ${pid}: ${error.code}`;
      }
    }
  }
  return refused;
}
