/**
 * What each guard has changed, on disk before it is changed, so that it can be undone by the guard as it ends, by the next guard, or
 * by `oomkit guard --restore`. Two files for each guard, named after its pid and start time: `.json` has its changes of control
 * files, `.pauses` what it has stopped for some milliseconds.
 */

import { OomkitError } from "../errors.ts";
import { exists, inodeOf, tryReadText } from "../cgroup/files.ts";
import { pidsIn } from "../cgroup/pids.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { openPidfd, signalPidfd } from "../kernel/process.ts";
import {
  createOwn,
  listRecords,
  ownPath,
  prepareDirectory,
  removeRecord,
} from "./state_directory.ts";
import { mayWrite, reasonOf, writeControl } from "./write.ts";

export interface Change {
  /** The cgroup's directory and its inode; a new cgroup of that name is not touched. */
  readonly dir: string;
  readonly inode: number;
  readonly file: string;
  readonly before: string;
  /** As the kernel shows it after the write. */
  readonly set: string;
  /** What this guard had set before, and what the file still holds if the guard ended between record and write. */
  readonly earlier?: string;
}

/** A process stopped by SIGSTOP. */
export interface SuspendedProcess extends Pick<Change, "dir" | "inode" | "before" | "set"> {
  readonly file: "state";
  readonly pid: number;
}

/** A control file that stops everything in its cgroup, or its OOM killer. */
export interface SuspendedCgroup extends Change {
  readonly file: "freezer.state" | "cgroup.freeze" | "memory.oom_control";
}

export type Suspension = SuspendedProcess | SuspendedCgroup;

/** The result of restoring one change. `changed`: the value was changed by another program since, and stays. */
export interface Restored extends Pick<Change, "dir" | "inode" | "file" | "before" | "set"> {
  readonly outcome: "restored" | "gone" | "changed" | "failed";
  readonly reason?: string;
}
type Ended = Pick<Restored, "outcome" | "reason">;

export class Journal {
  readonly #path: string;
  /** By file, in the order in which they were made: a guard may have thousands, and looks all of them up every 10 s. */
  readonly #changes = new Map<string, Change>();
  #isSaved = false;
  #hasSuspensionLog = false;

  constructor(
    private readonly directory: string,
    private readonly beforeChange: () => void = () => {},
  ) {
    this.#path = `${ownPath(directory)}.json`;
  }

  /**
   * Records a change of a control file, then makes it. Returns why it could not, or `undefined` when it did. {@link restore} returns
   * the file to its value before the first change. Throws {@link OomkitError} when it cannot be recorded; then nothing is changed.
   */
  change(dir: string, inode: number, file: string, value: string): string | undefined {
    this.beforeChange();
    const path = `${dir}/${file}`;
    const known = this.#changes.get(path);
    const text = tryReadText(path)?.trim();
    if (text === undefined) return "no such file";
    const now = writablePart(file, text);
    const denied = mayWrite(path);
    if (denied !== undefined) return denied;
    const other = this.holder(dir, file);
    if (other !== undefined) return `the guard with pid ${other} has changed it`;
    // A value that another program has set since is what is restored.
    const before = known && now === known.set ? known.before : now;
    const change = { dir, inode, file, before, set: value, ...known && { earlier: known.set } };
    this.#record(path, change);
    const refused = inodeOf(dir) === inode ? writeControl(path, value) : "the cgroup is gone";
    if (refused !== undefined) {
      this.#record(path, known);
      return refused;
    }
    const set = writablePart(file, tryReadText(path)?.trim() ?? value);
    // The kernel rounds to whole pages.
    if (set !== value) this.#record(path, { ...change, set });
    return undefined;
  }

  /** The pid of another running guard that has changed the file. */
  holder(dir: string, file: string): number | undefined {
    return listJournals(this.directory).find(({ path, owner }) =>
      owner !== undefined && path !== this.#path &&
      readEntries(path, isChange).some((change) => change.dir === dir && change.file === file)
    )?.owner;
  }

  /** Whether the file still holds what this journal has set. */
  isOurs(dir: string, file: string): boolean {
    const path = `${dir}/${file}`;
    const now = writablePart(file, tryReadText(path)?.trim() ?? "");
    return this.#changes.get(path)?.set === now;
  }

  /** What this journal has changed in the file, and its value before. */
  changeOf(dir: string, file: string): Pick<Change, "before" | "set"> | undefined {
    const change = this.#changes.get(`${dir}/${file}`);
    return change && { before: change.before, set: change.set };
  }

  /** Creates the file of {@link ownSuspensionLog}. Returns why it cannot be created. */
  prepareSuspensionLog(): string | undefined {
    if (this.#hasSuspensionLog) return undefined;
    try {
      prepareDirectory(this.directory);
      createOwn(`${ownPath(this.directory)}.pauses`).close();
      this.#hasSuspensionLog = true;
      return undefined;
    } catch (error) {
      return reasonOf(error);
    }
  }

  /** Restores one file, one cgroup, or everything, the last change first; everything includes suspended processes. */
  restore(dir?: string, file?: string): Restored[] {
    const chosen = [...this.#changes.values()].filter((change) =>
      (dir === undefined || change.dir === dir) && (file === undefined || change.file === file)
    );
    // Before anything that may throw: what is stopped must run again.
    const resumed = dir === undefined && this.#hasSuspensionLog
      ? endSuspensions(`${ownPath(this.directory)}.pauses`)
      : [];
    const restored = chosen.toReversed().map(restoreChange);
    for (const { dir, file, outcome } of restored) {
      // What could not be restored stays on record for the next attempt.
      if (outcome !== "failed") this.#changes.delete(`${dir}/${file}`);
    }
    this.#save();
    return [...restored, ...resumed];
  }

  #record(path: string, change: Change | undefined): void {
    this.#changes.delete(path);
    if (change) this.#changes.set(path, change);
    this.#save();
  }

  #save(): void {
    const { size } = this.#changes;
    if (size === 0 && !this.#isSaved) return;
    this.#isSaved = size > 0;
    if (!this.#isSaved) return removeRecord(this.#path);
    replaceFile(this.directory, this.#path, JSON.stringify([...this.#changes.values()]));
  }
}

/**
 * Processes and cgroups that a guard stops for some milliseconds, and OOM killers that it stops near a limit, on record as long as that
 * lasts: if the guard is killed then, they are resumed. The file exists beforehand, since between two kills there is time for one write(2) (5 µs) and nothing else. It is
 * not flushed: a machine that goes down takes the stopped processes along.
 */
export class SuspensionLog {
  #file: Deno.FsFile | undefined;
  #isTried = false;
  readonly #current = new Set<Suspension>();

  /** @param path without it nothing is recorded. */
  constructor(readonly path?: string) {}

  /** Opens the file. Without a file nothing is recorded. */
  prepare(): void {
    if (this.#isTried || this.path === undefined) return;
    this.#isTried = true;
    try {
      this.#file = Deno.openSync(this.path, { write: true });
    } catch {
      // The main thread has reported it.
    }
  }

  /** To be called before they are stopped. */
  begin(suspensions: readonly Suspension[]): void {
    suspensions.forEach((suspension) => this.#current.add(suspension));
    this.#save();
  }

  /** To be called once they run again. */
  end(suspensions: readonly Suspension[]): void {
    suspensions.forEach((suspension) => this.#current.delete(suspension));
    this.#save();
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #save(): void {
    if (this.#file === undefined) return;
    try {
      this.#file.seekSync(0, Deno.SeekMode.Start);
      // The rest of a longer record stays after the newline; only the first line is read.
      this.#file.writeSync(new TextEncoder().encode(`${JSON.stringify([...this.#current])}\n`));
    } catch {
      // A full disk: a kill is not given up for it.
    }
  }
}

/** On the file that {@link Journal.prepareSuspensionLog} of this process has created, for any of its threads. */
export const ownSuspensionLog = (directory: string): SuspensionLog =>
  new SuspensionLog(`${ownPath(directory)}.pauses`);

/** @param dir the directory of its cgroup, which identifies the process: there is no time to read its start time. */
export function suspendedProcess(dir: string, pid: number): SuspendedProcess {
  return { dir, inode: 0, file: "state", pid, before: "running", set: `stopped (pid ${pid})` };
}

/** Restores the changes of guards that have ended; nothing when the directory is not trusted. */
export function restoreStale(directory: string): Restored[] {
  return listRecords(directory).filter(({ owner }) => owner === undefined).flatMap(
    ({ path, kind }) => {
      if (kind === "pauses") return endSuspensions(path);
      // A journal that was not complete yet: none of its new changes was made.
      if (kind === "json.new" || kind === "socket") removeRecord(path);
      if (kind !== "json") return [];
      return removeUnlessFailed(path, readEntries(path, isChange).toReversed().map(restoreChange));
    },
  );
}

/** The pids of running guards that have changed something. */
export function runningGuards(directory: string): number[] {
  return listJournals(directory).flatMap(({ owner }) => owner ?? []);
}

/** Resumes everything that is on record in the file at `path`. */
function endSuspensions(path: string): Restored[] {
  const restored = readEntries(path, isSuspension).map((suspension) => ({
    ...suspension,
    ...suspension.file === "state" ? resume(suspension) : thaw(suspension),
  }));
  return removeUnlessFailed(path, restored);
}

function removeUnlessFailed(path: string, restored: Restored[]): Restored[] {
  if (restored.every(({ outcome }) => outcome !== "failed")) removeRecord(path);
  return restored;
}

/** No other file is ever written, whatever a record says. */
const CHANGEABLE_FILES = ["memory.high", "memory.oom_control"];
const SUSPENDING_FILES = ["freezer.state", "cgroup.freeze", "memory.oom_control"];

const isChange = (each: unknown): each is Change => isChangeOf(each, CHANGEABLE_FILES);

function isChangeOf(each: unknown, files: readonly string[]): boolean {
  const { dir, inode, file, before, set } = (each ?? {}) as Partial<Change>;
  return [dir, before, set].every((text) => typeof text === "string") &&
    typeof inode === "number" && files.includes(file ?? "") && exists(`${dir}/cgroup.procs`);
}

function isSuspension(each: unknown): each is Suspension {
  const { dir, before, set, file, pid } = (each ?? {}) as Partial<SuspendedProcess>;
  if (String(file) !== "state") return isChangeOf(each, SUSPENDING_FILES);
  return [dir, before, set].every((text) => typeof text === "string") && Number(pid) > 1;
}

function restoreChange(change: Change): Restored {
  return { ...change, ...undo(change) };
}

function undo({ dir, inode, file, before, set, earlier }: Change): Ended {
  if (inodeOf(dir) !== inode) return { outcome: "gone" };
  const text = tryReadText(`${dir}/${file}`)?.trim();
  if (text === undefined) return { outcome: "gone" };
  const now = writablePart(file, text);
  if (now === before) return { outcome: "restored" };
  if (now !== set && now !== earlier) return { outcome: "changed" };
  return writeBack(`${dir}/${file}`, before);
}

/** Whatever it holds now, which is `FREEZING` for a while. */
function thaw({ dir, inode, file, before }: SuspendedCgroup): Ended {
  return inodeOf(dir) === inode ? writeBack(`${dir}/${file}`, before) : { outcome: "gone" };
}

function writeBack(path: string, before: string): Ended {
  const reason = writeControl(path, before);
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

/** v1's memory.oom_control shows more than what can be written to it. */
function writablePart(file: string, text: string): string {
  if (file !== "memory.oom_control") return text;
  return /^oom_kill_disable (\d)/m.exec(text)?.[1] ?? text;
}

function readEntries<Entry>(path: string, isEntry: (each: unknown) => each is Entry): Entry[] {
  try {
    const [line] = (tryReadText(path) ?? "[]").split("\n");
    return JSON.parse(line!).filter(isEntry);
  } catch {
    // Empty, or not written by a guard, which replaces its journal as a whole.
    return [];
  }
}

const listJournals = (directory: string) =>
  listRecords(directory).filter(({ kind }) => kind === "json");

/** Replaces the file in one step: a crash leaves the old or the new content. Throws {@link OomkitError}. */
function replaceFile(directory: string, path: string, text: string): void {
  try {
    prepareDirectory(directory);
    const temporary = `${path}.new`;
    using file = createOwn(temporary);
    file.writeSync(new TextEncoder().encode(text));
    file.syncDataSync();
    Deno.renameSync(temporary, path);
  } catch (error) {
    throw new OomkitError(
      `cannot record changes in ${directory}: ${reasonOf(error)}`,
      "set OOMKIT_STATE_DIR to a directory that no other user can write, or use --mode notify",
    );
  }
}
