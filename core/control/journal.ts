/**
 * The changes of each guard, on disk before they are made, so that they can be undone by the guard as it ends, by the next guard, or
 * by `oomkit guard --restore`. One file for each guard, named after its pid and start time.
 */

import { OomkitError } from "../errors.ts";
import { exists, inodeOf, tryListFiles, tryReadText } from "../cgroup/files.ts";
import { parseProcStat } from "../parse/procfs.ts";
import type { Change, Restored } from "./change.ts";
import { endSuspensions, openSuspensionLog, type SuspensionLog } from "./suspension_log.ts";
import { mayWrite, reasonOf, writeControl } from "./write.ts";

export interface Journal {
  /**
   * Records a change of a control file, then makes it. Returns why it could not, or `undefined` when it did. `restore` returns the
   * file to its value before the first change. Throws {@link OomkitError} when it cannot be recorded; then nothing is changed.
   */
  change(dir: string, inode: number, file: string, value: string): string | undefined;
  /** The pid of another running guard that has changed the file. */
  holder(dir: string, file: string): number | undefined;
  /** Whether the file still holds what this journal has set. */
  isOurs(dir: string, file: string): boolean;
  /** Creates the file that {@link ownSuspensionLog} writes. Returns why it cannot be created. */
  prepareSuspensionLog(): string | undefined;
  /** Restores one file, one cgroup, or everything, the last change first; everything includes suspended processes. */
  restore(dir?: string, file?: string): Restored[];
}

/** The folder of the journals. Nothing clears root's before a reboot, which removes all cgroups too. */
export function journalFolder(): string {
  const own = Deno.env.get("XDG_RUNTIME_DIR");
  return Deno.env.get("OOMKIT_STATE_DIR") ??
    (Deno.uid() === 0 || own === undefined ? "/run/oomkit" : `${own}/oomkit`);
}

export function openJournal(folder: string): Journal {
  const path = `${ownPath(folder)}.json`;
  let changes: Change[] = [];
  let isSaved = false;
  let hasSuspensionLog = false;
  const save = () => {
    if (changes.length === 0 && !isSaved) return;
    isSaved = changes.length > 0;
    if (!isSaved) return removeFile(path);
    replaceFile(folder, path, JSON.stringify(changes));
  };
  return {
    change(dir, inode, file, value) {
      const known = changes.find((change) => change.dir === dir && change.file === file);
      const text = tryReadText(`${dir}/${file}`)?.trim();
      if (text === undefined) return "no such file";
      const now = writablePart(file, text);
      const denied = mayWrite(`${dir}/${file}`);
      if (denied !== undefined) return denied;
      const other = holderOf(folder, path, dir, file);
      if (other !== undefined) return `the guard with pid ${other} has changed it`;
      const rest = changes.filter((change) => change !== known);
      // A value that another program has set since is what is restored.
      const before = known && now === known.set ? known.before : now;
      const earlier = known && { earlier: known.set };
      changes = [...rest, { dir, inode, file, before, set: value, ...earlier }];
      save();
      const refused = inodeOf(dir) === inode
        ? writeControl(`${dir}/${file}`, value)
        : "the cgroup is gone";
      if (refused !== undefined) {
        changes = known ? [...rest, known] : rest;
        save();
        return refused;
      }
      const set = writablePart(file, tryReadText(`${dir}/${file}`)?.trim() ?? value);
      if (set !== value) {
        // The kernel rounds to whole pages.
        changes = changes.map((change) =>
          change.dir === dir && change.file === file ? { ...change, set } : change
        );
        save();
      }
      return undefined;
    },
    holder: (dir, file) => holderOf(folder, path, dir, file),
    isOurs(dir, file) {
      const now = writablePart(file, tryReadText(`${dir}/${file}`)?.trim() ?? "");
      return changes.some((each) => each.dir === dir && each.file === file && each.set === now);
    },
    prepareSuspensionLog() {
      try {
        if (!hasSuspensionLog) prepareFolder(folder);
        if (!hasSuspensionLog) createOwn(`${ownPath(folder)}.pauses`).close();
        hasSuspensionLog = true;
        return undefined;
      } catch (error) {
        return reasonOf(error);
      }
    },
    restore(dir, file) {
      const chosen = changes.filter((change) =>
        (dir === undefined || change.dir === dir) && (file === undefined || change.file === file)
      );
      const restored = chosen.toReversed().map(restoreChange);
      // What could not be restored stays on record for the next attempt.
      const failed = chosen.filter((_, at) => restored.at(-1 - at)?.outcome === "failed");
      changes = changes.filter((change) => !chosen.includes(change) || failed.includes(change));
      save();
      if (dir !== undefined) return restored;
      return [...restored, ...endSuspensionsAndRemove(`${ownPath(folder)}.pauses`)];
    },
  };
}

/** The file that {@link Journal.prepareSuspensionLog} of this process has created, for any of its threads. */
export function ownSuspensionLog(folder: string): SuspensionLog {
  return openSuspensionLog(() => Deno.openSync(`${ownPath(folder)}.pauses`, { write: true }));
}

/**
 * Why the records in the folder cannot be read or are not trusted; `undefined` when they are, and when there is no such folder.
 */
export function untrustedReason(folder: string): string | undefined {
  try {
    if (!exists(folder)) return undefined;
    return writableByOthersReason(folder) ??
      (tryListFiles(folder) === undefined ? "it cannot be read" : undefined);
  } catch (error) {
    return reasonOf(error);
  }
}

/** Restores the changes of guards that have ended; nothing when the folder is not trusted. */
export function restoreStale(folder: string): Restored[] {
  return listRecords(folder).filter(({ owner }) => owner === undefined).flatMap(
    ({ path, kind }) => {
      if (kind === "pauses") return endSuspensionsAndRemove(path);
      // A journal that was not complete yet: none of its new changes was made.
      if (kind === "json.new") removeFile(path);
      if (kind !== "json") return [];
      return removeUnlessFailed(path, readJournal(path).toReversed().map(restoreChange));
    },
  );
}

/** The pids of running guards that have changed something. */
export function runningGuards(folder: string): number[] {
  return listJournals(folder).flatMap(({ owner }) => owner ?? []);
}

const endSuspensionsAndRemove = (path: string) => removeUnlessFailed(path, endSuspensions(path));

function removeUnlessFailed(path: string, restored: Restored[]): Restored[] {
  if (restored.every(({ outcome }) => outcome !== "failed")) removeFile(path);
  return restored;
}

/** No other file is ever written, whatever a record says. */
const CHANGEABLE_FILES = ["memory.high", "memory.oom_control"];

function isChange(each: unknown): each is Change {
  const { dir, inode, file, before, set } = (each ?? {}) as Partial<Change>;
  return typeof dir === "string" && typeof inode === "number" && typeof before === "string" &&
    typeof set === "string" && CHANGEABLE_FILES.includes(file ?? "") &&
    exists(`${dir}/cgroup.procs`);
}

function restoreChange(change: Change): Restored {
  const { dir, inode, file, before, set, earlier } = change;
  if (inodeOf(dir) !== inode) return { ...change, outcome: "gone" };
  const path = `${dir}/${file}`;
  const text = tryReadText(path)?.trim();
  if (text === undefined) return { ...change, outcome: "gone" };
  const now = writablePart(file, text);
  if (now === before) return { ...change, outcome: "restored" };
  if (now !== set && now !== earlier) return { ...change, outcome: "changed" };
  const reason = writeControl(path, before);
  return reason === undefined
    ? { ...change, outcome: "restored" }
    : { ...change, outcome: "failed", reason };
}

/** v1's memory.oom_control shows more than what can be written to it. */
function writablePart(file: string, text: string): string {
  if (file !== "memory.oom_control") return text;
  return /^oom_kill_disable (\d)/m.exec(text)?.[1] ?? text;
}

/**
 * Why other users could have put a file or a link in the place of any record; `undefined` when only this user and root may write in
 * the folder, or when each user may replace only its own files, as in /tmp.
 */
function writableByOthersReason(folder: string): string | undefined {
  const { uid, mode } = Deno.statSync(folder);
  if (uid !== null && uid !== 0 && uid !== Deno.uid()) return `it belongs to the user ${uid}`;
  const isSticky = (mode! & 0o1000) !== 0;
  return (mode! & 0o022) === 0 || isSticky ? undefined : "other users may write there";
}

interface RecordFile {
  readonly path: string;
  readonly kind: string;
  /** The pid of its guard; `undefined` when that has ended. */
  readonly owner: number | undefined;
}

const listJournals = (folder: string) => listRecords(folder).filter(({ kind }) => kind === "json");

function listRecords(folder: string): RecordFile[] {
  if (untrustedReason(folder) !== undefined) return [];
  return (tryListFiles(folder) ?? []).flatMap((name) => {
    const [, pid, since, kind] = /^guard-(\d+)-(\d+)\.(json|json\.new|pauses)$/.exec(name) ?? [];
    const path = `${folder}/${name}`;
    if (kind === undefined || !isOwn(path)) return [];
    const isRunning = startTime(Number(pid)) === since;
    return { path, kind, owner: isRunning ? Number(pid) : undefined };
  });
}

/** Records of other users are neither trusted nor removed. */
function isOwn(path: string): boolean {
  try {
    return Deno.lstatSync(path).uid === Deno.uid();
  } catch {
    // Its guard has just ended and removed it.
    return false;
  }
}

function holderOf(folder: string, own: string, dir: string, file: string): number | undefined {
  return listJournals(folder).find(({ path, owner }) =>
    owner !== undefined && path !== own &&
    readJournal(path).some((change) => change.dir === dir && change.file === file)
  )?.owner;
}

function readJournal(path: string): Change[] {
  try {
    return JSON.parse(tryReadText(path) ?? "[]").filter(isChange);
  } catch {
    // A guard replaces its journal as a whole, so this was not written by one.
    return [];
  }
}

const ownPath = (folder: string) => `${folder}/guard-${Deno.pid}-${startTime(Deno.pid)}`;

/** Empty when the process has ended; it may remain a zombie, as in a container with a first process that does not wait for it. */
function startTime(pid: number): string {
  const { state = "X", startTime } = parseProcStat(tryReadText(`/proc/${pid}/stat`) ?? "") ?? {};
  return "ZX".includes(state) ? "" : String(startTime);
}

/** Replaces the file in one step: a crash leaves the old or the new content. Throws {@link OomkitError}. */
function replaceFile(folder: string, path: string, text: string): void {
  try {
    prepareFolder(folder);
    const temporary = `${path}.new`;
    using file = createOwn(temporary);
    file.writeSync(new TextEncoder().encode(text));
    file.syncDataSync();
    Deno.renameSync(temporary, path);
  } catch (error) {
    throw new OomkitError(
      `cannot record changes in ${folder}: ${reasonOf(error)}`,
      "set OOMKIT_STATE_DIR to a folder that no other user can write, or use --mode notify",
    );
  }
}

/** Throws where other users may write in it. */
function prepareFolder(folder: string): void {
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const reason = writableByOthersReason(folder);
  if (reason !== undefined) throw new Error(reason);
}

function createOwn(path: string): Deno.FsFile {
  // A file left by a failed write, or a link placed there, must not be written through.
  removeFile(path);
  return Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
}

function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    const { NotADirectory, NotFound } = Deno.errors;
    if (!(error instanceof NotFound || error instanceof NotADirectory)) throw error;
  }
}
