/** Signals to everybody in a cgroup who has asked for them. */

import { type Cgroup, tryReadControl, walk } from "../cgroup/cgroup.ts";
import { tryReadText } from "../cgroup/files.ts";
import { openDirectory } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd, signalPidfd } from "../kernel/process.ts";
import { parseProcStatus } from "../parse/procfs.ts";
import { isStillMember, pidsIn, type PinnedProcess } from "./kill.ts";

export interface Signalled {
  readonly pids: readonly number[];
  /** Left alone, since to most signals the default is to die. */
  readonly unhandled: number;
  /** Why it could not be sent to others. */
  readonly refused?: string;
}

/** Numbers of signal(7), alike on x86-64 and arm64. */
const NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGCONT: 18,
  SIGURG: 23,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
};

/** The signals that can be sent here: those that a process can handle and still go on. */
export const SENDABLE = Object.keys(NUMBERS) as Deno.Signal[];

/**
 * To the processes in `cgroup` and beneath it that handle `signal` (SigCgt in /proc/PID/status).
 *
 * @param isSpared pids that do not get it.
 * @param dryRun finds out who would get it.
 */
export function signalHandlingProcesses(
  cgroup: Cgroup,
  signal: Deno.Signal,
  isSpared: (pid: number) => boolean,
  dryRun: boolean,
): Signalled {
  const number = NUMBERS[signal]!;
  const pids: number[] = [];
  let unhandled = 0;
  let refused: string | undefined;
  for (const each of walk(cgroup)) {
    for (const pid of pidsIn(tryReadControl(each, "cgroup.procs") ?? "")) {
      if (isSpared(pid)) continue;
      try {
        const sent = signalIfHandled(each, pid, number, dryRun);
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
  const pinned: PinnedProcess = { pid, pidfd, cgroupFd };
  // What was read of the pid is of the process that is held only while that is still there.
  if (!isStillMember(pinned)) return "gone";
  return signalPidfd(pidfd, dryRun ? 0 : number) ? "sent" : "gone";
}
