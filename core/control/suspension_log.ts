/**
 * What a guard stops for some milliseconds only, on record for as long as it is stopped: one that is killed meanwhile leaves
 * nobody stopped for good. The file is there beforehand, since between two blows there is time for one write(2) (5 µs) and for
 * nothing else. It is not flushed: a machine that goes down takes along whoever is stopped.
 */

import { exists, inodeOf, tryReadText } from "../cgroup/files.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd, signalPidfd } from "../kernel/process.ts";
import { writeControl } from "./write.ts";
import { pidsIn } from "./kill.ts";
import type { Change, Restored } from "./journal.ts";

export interface SuspendedProcess extends Pick<Change, "dir" | "inode" | "before" | "set"> {
  readonly file: "state";
  readonly pid: number;
}

/** Of a control file that stops all of its cgroup. */
export interface FrozenCgroup extends Change {
  readonly file: "freezer.state" | "cgroup.freeze";
}

export type Suspension = SuspendedProcess | FrozenCgroup;

export interface SuspensionLog {
  /** Opens the file, where there is one; where not, nothing is on record. */
  prepare(): void;
  /** To be called before they are stopped. */
  begin(suspensions: readonly Suspension[]): void;
  /** To be called once they go on. */
  end(suspensions: readonly Suspension[]): void;
  close(): void;
}

/** Where nobody is stopped in earnest. */
export const noSuspensionLog: SuspensionLog = { prepare() {}, begin() {}, end() {}, close() {} };

/** @param open opens the file for writing; throws where there is none. */
export function openSuspensionLog(open: () => Deno.FsFile): SuspensionLog {
  let file: Deno.FsFile | undefined;
  let isTried = false;
  const now = new Set<Suspension>();
  const save = () => {
    if (file === undefined) return;
    file.seekSync(0, Deno.SeekMode.Start);
    // What was longer stays behind the end of the line.
    file.writeSync(new TextEncoder().encode(`${JSON.stringify([...now])}\n`));
  };
  return {
    prepare() {
      if (isTried) return;
      isTried = true;
      try {
        file = open();
      } catch {
        // The main thread has said so.
      }
    },
    begin(suspensions) {
      suspensions.forEach((pause) => now.add(pause));
      save();
    },
    end(suspensions) {
      suspensions.forEach((pause) => now.delete(pause));
      save();
    },
    close() {
      file?.close();
      file = undefined;
    },
  };
}

/** @param home the directory of its cgroup; there is no time to find out when it was started. */
export function suspendedProcess(cgroupFd: string, pid: number): SuspendedProcess {
  const texts = { before: "running", set: `stopped (pid ${pid})` };
  return { dir: cgroupFd, inode: 0, file: "state", pid, ...texts };
}

/** Lets go on whoever is on record in the file that was left at `path`. */
export function endSuspensions(path: string): Restored[] {
  return readPauses(path).map((pause) => ({ ...pause, ...endPause(pause) }));
}

type Ended = Pick<Restored, "outcome" | "reason">;

function endPause(pause: Suspension): Ended {
  if (pause.file === "state") return resume(pause);
  const { dir, inode, file, before } = pause;
  if (inodeOf(dir) !== inode) return { outcome: "gone" };
  const reason = writeControl(`${dir}/${file}`, before);
  return reason === undefined ? { outcome: "restored" } : { outcome: "failed", reason };
}

/** Also who does not look stopped: a signal that is on its way stops him later. */
function resume({ dir, pid }: SuspendedProcess): Ended {
  const SIGCONT = 18;
  try {
    using pidfd = openPidfd(pid);
    // Asked once he is held: nobody can have his pid since. Who has it from before is in that cgroup hardly ever.
    const present = pidsIn(tryReadText(`${dir}/cgroup.procs`) ?? "");
    if (pidfd === undefined || !present.has(pid)) return { outcome: "gone" };
    return { outcome: signalPidfd(pidfd, SIGCONT) ? "restored" : "gone" };
  } catch (error) {
    if (error instanceof SystemCallError) return { outcome: "failed", reason: error.message };
    throw error;
  }
}

function readPauses(path: string): Suspension[] {
  try {
    const [line = ""] = (tryReadText(path) ?? "").split("\n");
    return line === "" ? [] : JSON.parse(line).filter(isPause);
  } catch {
    // Somebody else's.
    return [];
  }
}

const FREEZERS = ["freezer.state", "cgroup.freeze"];

function isPause(each: unknown): each is Suspension {
  const { dir, inode, file, before, set, pid } = (each ?? {}) as Partial<
    FrozenCgroup & Omit<SuspendedProcess, "file">
  >;
  if (![dir, before, set].every((text) => typeof text === "string")) return false;
  if (String(file) === "state") return Number(pid) > 1;
  return typeof inode === "number" && FREEZERS.includes(file ?? "") &&
    exists(`${dir}/cgroup.procs`);
}
