/**
 * The directory of what running guards share with the next guard and with `oomkit status`: journals of changed settings and status
 * sockets, named after the pid and the start time of the guard.
 */

import { exists, tryReadText } from "../cgroup/files.ts";
import { isExiting } from "../cgroup/processes.ts";
import { parseProcStat } from "../parse/procfs.ts";
import { reasonOf } from "./write.ts";

/** Nothing clears root's before a reboot, which removes all cgroups too. */
export function stateDirectory(): string {
  const own = Deno.env.get("XDG_RUNTIME_DIR");
  // An empty variable counts as unset (XDG Base Directory Specification).
  return Deno.env.get("OOMKIT_STATE_DIR") ||
    (Deno.uid() === 0 || !own ? "/run/oomkit" : `${own}/oomkit`);
}

/**
 * Why the records in the directory cannot be read or are not trusted; `undefined` when they are, and when there is no such directory.
 */
export function untrustedReason(directory: string, uid = Deno.uid()): string | undefined {
  try {
    if (!exists(directory)) return undefined;
    return writableByOthersReason(directory, uid) ??
      (tryListNames(directory) === undefined ? "it cannot be read" : undefined);
  } catch (error) {
    return reasonOf(error);
  }
}

/**
 * Why other users could have put a file or a link in the place of any record; `undefined` when only the user and root may write in
 * the directory, or when each user may replace only its own files, as in /tmp.
 */
function writableByOthersReason(directory: string, user = Deno.uid()): string | undefined {
  const { uid, mode } = Deno.statSync(directory);
  if (uid !== null && uid !== 0 && uid !== user) return `it belongs to the user ${uid}`;
  const isSticky = (mode! & 0o1000) !== 0;
  return (mode! & 0o022) === 0 || isSticky ? undefined : "other users may write there";
}

/** `json`: a journal; `json.new`: one that is not complete; `pauses`: what is suspended; `socket`: answers `oomkit status`. */
export interface RecordFile {
  readonly path: string;
  readonly kind: "json" | "json.new" | "pauses" | "socket";
  /** In the file's name. */
  readonly pid: number;
  /** The pid of its guard; `undefined` when that has ended. */
  readonly owner: number | undefined;
}

const RECORD_NAME = /^guard-(\d+)-(\d+)\.(json|json\.new|pauses|socket)$/;

/**
 * Those of a user; none when the directory is not trusted.
 * @param uid of the files and of the directory, which may also be root's.
 */
export function listRecords(directory: string, uid = Deno.uid()): RecordFile[] {
  if (untrustedReason(directory, uid) !== undefined) return [];
  return (tryListNames(directory) ?? []).flatMap((name) => {
    const [, number, since, kind] = RECORD_NAME.exec(name) ?? [];
    const path = `${directory}/${name}`;
    if (kind === undefined || !isOf(uid, path, kind === "socket")) return [];
    const pid = Number(number);
    const owner = startTime(pid) === since ? pid : undefined;
    return { path, kind: kind as RecordFile["kind"], pid, owner };
  });
}

function tryListNames(directory: string): string[] | undefined {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name);
  } catch {
    return undefined;
  }
}

/** Records of other users are neither trusted nor removed, and no link is followed. */
function isOf(uid: number | null, path: string, isSocket: boolean): boolean {
  try {
    const info = Deno.lstatSync(path);
    return info.uid === uid && (isSocket ? info.isSocket === true : info.isFile);
  } catch {
    // Its guard has just ended and removed it.
    return false;
  }
}

/** Without its kind. */
export const ownPath = (directory: string): string =>
  `${directory}/guard-${Deno.pid}-${startTime(Deno.pid)}`;

/**
 * Empty when the process has ended; it may remain a zombie, as in a container with a first process that does not wait for it. One that
 * is exiting changes nothing any more: after the pipe to its watchdog it closes v1 notifications, which takes the kernel some 0.1 s.
 */
function startTime(pid: number): string {
  if (isExiting(pid)) return "";
  const { state = "X", startTime } = parseProcStat(tryReadText(`/proc/${pid}/stat`) ?? "") ?? {};
  return "ZX".includes(state) ? "" : String(startTime);
}

/** Throws where other users may write in it. */
export function prepareDirectory(directory: string): void {
  Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const reason = writableByOthersReason(directory);
  if (reason !== undefined) throw new Error(reason);
}

export function createOwn(path: string): Deno.FsFile {
  // A file left by a failed write, or a link placed there, must not be written through.
  removeFile(path);
  return Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
}

/**
 * A record that stays is harmless: to restore what is restored already has no effect, and a socket without a guard is ignored.
 */
export function removeRecord(path: string): void {
  try {
    removeFile(path);
  } catch {
    // The directory may have become read-only, or another user's.
  }
}

/** Throws unless it is gone. */
export function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    const { NotADirectory, NotFound } = Deno.errors;
    if (!(error instanceof NotFound || error instanceof NotADirectory)) throw error;
  }
}
