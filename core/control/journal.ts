/**
 * What a guard has changed, on disk before it is changed, so that it can be put back by anybody: by the guard as it ends, by
 * the next one, by `oomkit guard --restore`. One file for each guard, named after its pid and start time.
 */

import { OomkitError } from "../errors.ts";
import { exists, inodeOf, tryListFiles, tryReadText } from "../cgroup/files.ts";
import { parseProcStat } from "../parse/procfs.ts";
import { mayWrite, reasonOf, writeControl } from "./write.ts";
import { endSuspensions, openSuspensionLog, type SuspensionLog } from "./suspension_log.ts";

export interface Change {
  /** The cgroup's directory and its inode: another of that name is not touched. */
  readonly dir: string;
  readonly inode: number;
  readonly file: string;
  readonly before: string;
  /** As the kernel shows it once it is set. */
  readonly set: string;
  /** What was set before that, which it still is when the guard ended in between. */
  readonly earlier?: string;
}

/** What became of one change. `left`: somebody has changed it since, and it is his now. */
export interface Restored extends Change {
  readonly outcome: "restored" | "gone" | "left" | "failed";
  readonly reason?: string;
}

export interface Journal {
  /**
   * Changes a control file. Returns why it could not, or `undefined` when it did. What it was when this journal changed it
   * first is put back in the end.
   */
  change(dir: string, inode: number, file: string, value: string): string | undefined;
  /** The pid of another guard that runs and has changed it. */
  holder(dir: string, file: string): number | undefined;
  /** Whether what the file says now is what this journal has set. */
  isOurs(dir: string, file: string): boolean;
  /** Makes the record for who is stopped for a moment. Returns why it cannot be made. */
  prepareSuspensionLog(): string | undefined;
  /** Puts back one, or all, the last one first; with all, whoever is still stopped goes on as well. */
  restore(dir?: string, file?: string): Restored[];
}

/** The folder of the journals. Root's is not swept before a reboot, which takes all cgroups along. */
export function journalFolder(): string {
  const own = Deno.env.get("XDG_RUNTIME_DIR");
  return Deno.env.get("OOMKIT_STATE_DIR") ??
    (Deno.uid() === 0 || own === undefined ? "/run/oomkit" : `${own}/oomkit`);
}

/** Throws {@link OomkitError} when nothing can be written there. */
export function openJournal(folder: string): Journal {
  const path = `${ownPath(folder)}.json`;
  let changes: Change[] = [];
  let isSaved = false;
  let isExpecting = false;
  const save = () => {
    if (changes.length === 0 && !isSaved) return;
    isSaved = changes.length > 0;
    if (!isSaved) return removeFile(path);
    writeAtOnce(folder, path, JSON.stringify(changes));
  };
  return {
    change(dir, inode, file, value) {
      const known = changes.find((change) => change.dir === dir && change.file === file);
      const text = tryReadText(`${dir}/${file}`)?.trim();
      if (text === undefined) return "there is no such file";
      const now = settable(file, text);
      const denied = mayWrite(`${dir}/${file}`);
      if (denied !== undefined) return denied;
      const other = holderOf(folder, path, dir, file);
      if (other !== undefined) return `the guard with pid ${other} has changed it`;
      const rest = changes.filter((change) => change !== known);
      // Somebody else's value of meanwhile is what is put back.
      const before = known && now === known.set ? known.before : now;
      const earlier = known && { earlier: known.set };
      changes = [...rest, { dir, inode, file, before, set: value, ...earlier }];
      save();
      const refused = inodeOf(dir) === inode ? writeControl(`${dir}/${file}`, value) : "it is gone";
      if (refused !== undefined) {
        changes = known ? [...rest, known] : rest;
        save();
        return refused;
      }
      const set = settable(file, tryReadText(`${dir}/${file}`)?.trim() ?? value);
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
      const now = settable(file, tryReadText(`${dir}/${file}`)?.trim() ?? "");
      return changes.some((each) => each.dir === dir && each.file === file && each.set === now);
    },
    prepareSuspensionLog() {
      try {
        if (!isExpecting) prepareFolder(folder);
        if (!isExpecting) createOwn(`${ownPath(folder)}.pauses`).close();
        isExpecting = true;
        return undefined;
      } catch (error) {
        return reasonOf(error);
      }
    },
    restore(dir, file) {
      const meant = changes.filter((change) =>
        (dir === undefined || change.dir === dir) && (file === undefined || change.file === file)
      );
      const done = meant.toReversed().map(restoreChange);
      // What could not be put back stays on record for the next time.
      const failed = meant.filter((_, at) => done.at(-1 - at)?.outcome === "failed");
      changes = changes.filter((change) => !meant.includes(change) || failed.includes(change));
      save();
      return dir === undefined ? [...done, ...endAndForget(`${ownPath(folder)}.pauses`)] : done;
    },
  };
}

/** Of this very process, whichever of its threads asks: what {@link Journal.expectPauses} has made. */
export function ownSuspensionLog(folder: string): SuspensionLog {
  return openSuspensionLog(() => Deno.openSync(`${ownPath(folder)}.pauses`, { write: true }));
}

function endAndForget(path: string): Restored[] {
  const done = endSuspensions(path);
  if (done.every(({ outcome }) => outcome !== "failed")) removeFile(path);
  return done;
}

const ownPath = (folder: string) => `${folder}/guard-${Deno.pid}-${startTime(Deno.pid)}`;

/**
 * Why nothing in that folder is believed, or can be read, though something may be recorded there; `undefined` where it is, and
 * where there is no such folder.
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

/** Puts back what guards have left that are there no longer; nothing where the folder is not to be trusted. */
export function restoreStale(folder: string): Restored[] {
  return left(folder).filter(({ owner }) => owner === undefined).flatMap(({ path, kind }) => {
    if (kind === "pauses") return endAndForget(path);
    // It was to be the next journal; what it tells of has not been done.
    if (kind === "json.new") removeFile(path);
    if (kind !== "json") return [];
    const done = readJournal(path).toReversed().map(restoreChange);
    if (done.every(({ outcome }) => outcome !== "failed")) removeFile(path);
    return done;
  });
}

/** The pids of guards that run and have changed something. */
export function runningGuards(folder: string): number[] {
  return journals(folder).flatMap(({ owner }) => owner ?? []);
}

/** Nothing else is ever changed, whatever somebody may have put into the folder. */
const CHANGEABLE = ["memory.high", "memory.oom_control"];

function isChange(each: unknown): each is Change {
  const { dir, inode, file, before, set } = (each ?? {}) as Partial<Change>;
  return typeof dir === "string" && typeof inode === "number" && typeof before === "string" &&
    typeof set === "string" && CHANGEABLE.includes(file ?? "") && exists(`${dir}/cgroup.procs`);
}

function restoreChange(change: Change): Restored {
  const { dir, inode, file, before, set, earlier } = change;
  if (inodeOf(dir) !== inode) return { ...change, outcome: "gone" };
  const path = `${dir}/${file}`;
  const now = tryReadText(path)?.trim();
  if (now === undefined) return { ...change, outcome: "gone" };
  if (settable(file, now) === before) return { ...change, outcome: "restored" };
  if (![set, earlier].includes(settable(file, now))) return { ...change, outcome: "left" };
  const reason = writeControl(path, before);
  return reason === undefined
    ? { ...change, outcome: "restored" }
    : { ...change, outcome: "failed", reason };
}

/** v1's memory.oom_control shows more than what can be written to it. */
function settable(file: string, text: string): string {
  if (file !== "memory.oom_control") return text;
  return /^oom_kill_disable (\d)/m.exec(text)?.[1] ?? text;
}

/**
 * Why what lies in the folder may be somebody else's: whoever may write there can put another file, or a link, in the place of
 * any. `undefined` where only the own user and root may, or where each may replace no more than what is his, as in /tmp.
 */
function writableByOthersReason(folder: string): string | undefined {
  const { uid, mode } = Deno.statSync(folder);
  if (uid !== null && uid !== 0 && uid !== Deno.uid()) return `it belongs to the user ${uid}`;
  const isSticky = (mode! & 0o1000) !== 0;
  return (mode! & 0o022) === 0 || isSticky ? undefined : "others may write there";
}

interface Found {
  readonly path: string;
  readonly kind: string;
  /** `undefined` when it has ended. */
  readonly owner: number | undefined;
}

const journals = (folder: string) => left(folder).filter(({ kind }) => kind === "json");

/** Everything that guards have put there. */
function left(folder: string): Found[] {
  if (untrustedReason(folder) !== undefined) return [];
  return (tryListFiles(folder) ?? []).flatMap((name) => {
    const [, pid, since, kind] = /^guard-(\d+)-(\d+)\.(json|json\.new|pauses)$/.exec(name) ?? [];
    const path = `${folder}/${name}`;
    if (kind === undefined || !isOwn(path)) return [];
    const lives = startTime(Number(pid)) === since;
    return { path, kind, owner: lives ? Number(pid) : undefined };
  });
}

/** Another user's is believed in nothing, and left to him. */
function isOwn(path: string): boolean {
  try {
    return Deno.lstatSync(path).uid === Deno.uid();
  } catch {
    // Its guard has just ended.
    return false;
  }
}

function holderOf(folder: string, own: string, dir: string, file: string): number | undefined {
  return journals(folder).find(({ path, owner }) =>
    owner !== undefined && path !== own &&
    readJournal(path).some((change) => change.dir === dir && change.file === file)
  )?.owner;
}

function readJournal(path: string): Change[] {
  try {
    return JSON.parse(tryReadText(path) ?? "[]").filter(isChange);
  } catch {
    // It is written at once and in whole; this is somebody else's.
    return [];
  }
}

/** Empty when it has ended; nobody may have waited for it yet, as in a container whose first process does not. */
function startTime(pid: number): string {
  const { state = "X", startTime } = parseProcStat(tryReadText(`/proc/${pid}/stat`) ?? "") ?? {};
  return "ZX".includes(state) ? "" : String(startTime);
}

/** Either as it was or as it is to be, whatever happens meanwhile. */
function writeAtOnce(folder: string, path: string, text: string): void {
  try {
    prepareFolder(folder);
    const temporary = `${path}.new`;
    using file = createOwn(temporary);
    file.writeSync(new TextEncoder().encode(text));
    file.syncDataSync();
    Deno.renameSync(temporary, path);
  } catch (error) {
    throw new OomkitError(
      `cannot record in ${folder} what is changed: ${reasonOf(error)}`,
      "name a folder that nobody else can write with OOMKIT_STATE_DIR, or use --mode notify",
    );
  }
}

/** Throws where others may write in it. */
function prepareFolder(folder: string): void {
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const open = writableByOthersReason(folder);
  if (open !== undefined) throw new Error(open);
}

function createOwn(path: string): Deno.FsFile {
  // Left by a write that failed, or laid there as a link: what is there is not written through.
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
