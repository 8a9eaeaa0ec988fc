/** Text I/O on cgroupfs and /proc: a missing file is `undefined`, a refused access throws {@link OomkitError}. */

import { errorText, OomkitError, shortened } from "../errors.ts";
import { namesOfDirectories, openFd } from "../kernel/fd.ts";
import { errnoOf } from "../kernel/libc.ts";
import { decodeName } from "../names.ts";

/**
 * ENOENT and ENOTDIR before open; ENODEV and ESRCH after it, if the cgroup or process went away in between; EOPNOTSUPP for
 * pressure files of a kernel with PSI disabled.
 */
const ABSENT = new Set(["ENOENT", "ESRCH", "ENODEV", "ENOTDIR", "EOPNOTSUPP"]);
const DENIED = new Set(["EPERM", "EACCES"]);

/**
 * Calls `use` with `path`, or with another path to the same file if Deno cannot take `path` because it is not UTF-8
 * (`core/names.ts`). Throws `SystemCallError` if that file cannot be opened.
 */
export function reach<T>(path: string, use: (path: string) => T): T {
  if (path.isWellFormed()) return use(path);
  const slash = path.lastIndexOf("/");
  const name = path.slice(slash);
  const opensParent = name.isWellFormed();
  using directory = openFd(opensParent ? path.slice(0, slash) : path);
  return use(`/proc/self/fd/${directory.number}${opensParent ? name : ""}`);
}

/** Freeing 512 MiB takes 25 ms (docs/performance.md). */
const MAX_TRIES_WITHOUT_MEMORY = 20;
const MS_BETWEEN_TRIES = 5;

/**
 * In a cgroup at its limit, as of `simulate --here`, the kernel memory of a system call is refused until the victim has exited.
 * Seen on v1 with Linux 5.10: ENOMEM of a read of memory.failcnt. Repeats the call for at most 100 ms.
 */
export function withMemory<T>(action: () => T): T {
  for (let tries = 1;; tries++) {
    try {
      return action();
    } catch (error) {
      if (errnoOf(error) !== "ENOMEM" || tries === MAX_TRIES_WITHOUT_MEMORY) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, MS_BETWEEN_TRIES);
    }
  }
}

/** `undefined` if the object of `action` is absent; throws {@link OomkitError} if the action failed otherwise. */
function ifPresent<T>(verb: string, path: string, action: (path: string) => T): T | undefined {
  try {
    return withMemory(() => reach(path, action));
  } catch (error) {
    const errno = errnoOf(error) ?? "";
    if (ABSENT.has(errno)) return undefined;
    if (DENIED.has(errno)) {
      throw new OomkitError(
        `cannot ${verb} ${path}: permission denied`,
        "run as root or as its owner",
      );
    }
    if (errno === "ENAMETOOLONG") {
      throw new OomkitError(
        `cannot ${verb} ${shortened(path)}: the name is too long`,
        "a name has at most 255 bytes, a path 4095",
      );
    }
    if (error instanceof Error) {
      throw new OomkitError(`cannot ${verb} ${path}: ${errorText(error)}`);
    }
    throw error;
  }
}

/** For optional data: what may not be read counts as absent. */
export function unlessRefused<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof OomkitError) return undefined;
    throw error;
  }
}

const lenient = <T>(read: (path: string) => T | undefined) => (path: string): T | undefined =>
  unlessRefused(() => read(path));

export const readText = (path: string): string | undefined =>
  ifPresent("read", path, Deno.readTextFileSync);

/**
 * Like {@link readText}, for a tree that is not the kernel's: opening a FIFO in place of a control file would block, and
 * reading a device would not end. Costs one more system call.
 */
export function readRegularText(path: string): string | undefined {
  const info = ifPresent("access", path, Deno.statSync);
  if (info === undefined) return undefined;
  if (info.isFile) return readText(path);
  throw new OomkitError(
    `cannot read ${path}: it is not a regular file`,
    "replace it with a copy of the control file, or remove it",
  );
}

/** The names of the directories in `dir`, unsorted; `undefined` if `dir` does not exist. */
export const listDirectories = (dir: string): string[] | undefined => list(dir, "isDirectory");

function list(dir: string, kind: "isDirectory" | "isFile"): string[] | undefined {
  return ifPresent("list", dir, (dir) => {
    const names: string[] = [];
    for (const entry of Deno.readDirSync(dir)) if (entry[kind]) names.push(entry.name);
    return names;
  });
}

export const tryReadText = lenient(readText);

/** Like {@link tryReadText}, of a file that contains file names: those need not be UTF-8 (`core/names.ts`). */
export const tryReadNames = lenient((path) => {
  const text = readText(path);
  // Deno replaces what is not UTF-8; most files need no second read.
  if (!text?.includes("\ufffd")) return text;
  const bytes = ifPresent("read", path, Deno.readFileSync);
  return bytes === undefined ? undefined : decodeName(bytes);
});
export const tryReadRegularText = lenient(readRegularText);
export const tryListDirectories = lenient(listDirectories);

/** Like {@link listDirectories}, names that are not UTF-8 included; only for the kernel's own trees. */
export const listAllDirectories = (dir: string): string[] | undefined =>
  ifPresent("list", dir, () => namesOfDirectories(dir));

export const tryListAllDirectories = lenient(listAllDirectories);

/** The names of the regular files in `dir`, unsorted; `undefined` if `dir` does not exist or may not be read. */
export const tryListFiles = lenient((dir) => list(dir, "isFile"));

/** The link count of a directory: on kernfs 2, and 1 more for each subdirectory. */
export const linksOf = lenient((dir) =>
  ifPresent("access", dir, Deno.statSync)?.nlink ?? undefined
);

/**
 * The inode of a directory: with its path, the identity of a cgroup. `undefined` if there is no such directory, or if it is in another
 * file system than `device`.
 */
export function inodeOf(dir: string, device?: number): number | undefined {
  const info = ifPresent("access", dir, Deno.statSync);
  if (!info?.isDirectory || (device !== undefined && info.dev !== device)) return undefined;
  return info.ino ?? undefined;
}

/** The `st_dev` of a directory: its file system. `undefined` if there is no such directory. */
export function deviceOf(dir: string): number | undefined {
  const info = ifPresent("access", dir, Deno.statSync);
  return info?.isDirectory ? info.dev : undefined;
}

export const tryDeviceOf = lenient(deviceOf);

export const exists = (path: string): boolean =>
  ifPresent("access", path, Deno.lstatSync) !== undefined;

export const tryExists = lenient(exists);

/** `path` with all symbolic links resolved; `undefined` if it does not exist. */
export const realPath = (path: string): string | undefined =>
  ifPresent("resolve", path, Deno.realPathSync);

/** The target of a symbolic link such as /proc/self/ns/cgroup. */
export const readLink = (path: string): string | undefined =>
  ifPresent("read", path, Deno.readLinkSync);
