/**
 * Processes and cgroups that a guard stops for some milliseconds, on record while they are stopped: if the guard is killed then, they
 * are resumed. The file exists beforehand, since between two kills there is time for one write(2) (5 µs) and nothing else. It is
 * not flushed: a machine that goes down takes the stopped processes along.
 */

import { exists, inodeOf, tryReadText } from "../cgroup/files.ts";
import { pidsIn } from "../cgroup/pids.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd, signalPidfd } from "../kernel/process.ts";
import type { FrozenCgroup, Restored, SuspendedProcess, Suspension } from "./change.ts";
import { writeControl } from "./write.ts";

export interface SuspensionLog {
  /** Opens the file. Without a file nothing is recorded. */
  prepare(): void;
  /** To be called before they are stopped. */
  begin(suspensions: readonly Suspension[]): void;
  /** To be called once they run again. */
  end(suspensions: readonly Suspension[]): void;
  close(): void;
}

/** Records nothing: for a dry run. */
export const noSuspensionLog: SuspensionLog = { prepare() {}, begin() {}, end() {}, close() {} };

/** @param open opens the file for writing; throws where there is none. */
export function openSuspensionLog(open: () => Deno.FsFile): SuspensionLog {
  let file: Deno.FsFile | undefined;
  let isTried = false;
  const current = new Set<Suspension>();
  const save = () => {
    if (file === undefined) return;
    file.seekSync(0, Deno.SeekMode.Start);
    // The rest of a longer record stays after the newline; only the first line is read.
    file.writeSync(new TextEncoder().encode(`${JSON.stringify([...current])}\n`));
  };
  return {
    prepare() {
      if (isTried) return;
      isTried = true;
      try {
        file = open();
      } catch {
        // The main thread has reported it.
      }
    },
    begin(suspensions) {
      suspensions.forEach((suspension) => current.add(suspension));
      save();
    },
    end(suspensions) {
      suspensions.forEach((suspension) => current.delete(suspension));
      save();
    },
    close() {
      file?.close();
      file = undefined;
    },
  };
}

/** @param dir the directory of its cgroup, which identifies the process: there is no time to read its start time. */
export function suspendedProcess(dir: string, pid: number): SuspendedProcess {
  return { dir, inode: 0, file: "state", pid, before: "running", set: `stopped (pid ${pid})` };
}

/** Resumes everything that is on record in the file at `path`. */
export function endSuspensions(path: string): Restored[] {
  return readSuspensions(path).map((suspension) => ({
    ...suspension,
    ...suspension.file === "state" ? resume(suspension) : thaw(suspension),
  }));
}

type Ended = Pick<Restored, "outcome" | "reason">;

function thaw({ dir, inode, file, before }: FrozenCgroup): Ended {
  if (inodeOf(dir) !== inode) return { outcome: "gone" };
  const reason = writeControl(`${dir}/${file}`, before);
  return reason === undefined ? { outcome: "restored" } : { outcome: "failed", reason };
}

/** Also when the process is not stopped yet: a pending SIGSTOP would stop it later. */
function resume({ dir, pid }: SuspendedProcess): Ended {
  const SIGCONT = 18;
  try {
    using pidfd = openPidfd(pid);
    // Check membership after opening the pidfd: from then on the pid cannot be reused. A process that reused it earlier is hardly
    // ever in the same cgroup.
    const present = pidsIn(tryReadText(`${dir}/cgroup.procs`) ?? "");
    if (pidfd === undefined || !present.has(pid)) return { outcome: "gone" };
    return { outcome: signalPidfd(pidfd, SIGCONT) ? "restored" : "gone" };
  } catch (error) {
    if (error instanceof SystemCallError) return { outcome: "failed", reason: error.message };
    throw error;
  }
}

function readSuspensions(path: string): Suspension[] {
  try {
    const [line = ""] = (tryReadText(path) ?? "").split("\n");
    return line === "" ? [] : JSON.parse(line).filter(isSuspension);
  } catch {
    // Not written by a guard.
    return [];
  }
}

const FREEZER_FILES = ["freezer.state", "cgroup.freeze"];

function isSuspension(each: unknown): each is Suspension {
  const { dir, inode, file, before, set, pid } = (each ?? {}) as Partial<
    FrozenCgroup & Omit<SuspendedProcess, "file">
  >;
  if (![dir, before, set].every((text) => typeof text === "string")) return false;
  if (String(file) === "state") return Number(pid) > 1;
  return typeof inode === "number" && FREEZER_FILES.includes(file ?? "") &&
    exists(`${dir}/cgroup.procs`);
}
