/** The only text I/O on cgroupfs and /proc: what is not there is `undefined`, what may not be read is an error. */

import { OomkitError, shortened } from "../errors.ts";
import { namesOfDirectories } from "../kernel/directory.ts";
import { openFd } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";

/**
 * errno values that mean "not there": ENOENT and ENOTDIR before open, ENODEV and ESRCH after it (the cgroup or process
 * went away in between), EOPNOTSUPP (95) for pressure files of a kernel with PSI switched off.
 */
const ABSENT = new Set([2, 3, 19, 20, 95]);
const DENIED = new Set([1, 13]);
const ENAMETOOLONG = 36;
const ERRNOS: Readonly<Record<string, number>> = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EACCES: 13,
  ENODEV: 19,
  ENOTDIR: 20,
};

/** Deno leaves `code` out for some errno values but always ends the text with "(os error N)". */
export function errnoOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof SystemCallError) return ERRNOS[error.code];
  const found = /\(os error (\d+)\)/.exec(error.message);
  return found ? Number(found[1]) : undefined;
}

/**
 * Runs `use` with another path that leads to the same where Deno could not take `path`, since it is no UTF-8 (`core/names.ts`).
 * Throws `SystemCallError` where that cannot be opened.
 */
export function reach<T>(path: string, use: (path: string) => T): T {
  if (path.isWellFormed()) return use(path);
  const end = path.lastIndexOf("/");
  const isDescendant = path.slice(end).isWellFormed();
  using directory = openFd(isDescendant ? path.slice(0, end) : path);
  return use(`/proc/self/fd/${directory.number}${isDescendant ? path.slice(end) : ""}`);
}

/** Runs `action`; `undefined` when its object is absent; an {@link OomkitError} when it was refused or failed. */
function ifPresent<T>(verb: string, path: string, action: (path: string) => T): T | undefined {
  try {
    return reach(path, action);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== undefined && ABSENT.has(errno)) return undefined;
    if (errno !== undefined && DENIED.has(errno)) {
      throw new OomkitError(
        `cannot ${verb} ${path}: permission denied`,
        "run as root or as its owner",
      );
    }
    if (errno === ENAMETOOLONG) {
      throw new OomkitError(
        `cannot ${verb} ${shortened(path)}: the name is too long`,
        "a name has at most 255 bytes, a path 4095",
      );
    }
    if (error instanceof Error) {
      throw new OomkitError(`cannot ${verb} ${path}: ${error.message.split(" (os error")[0]}`);
    }
    throw error;
  }
}

export function readText(path: string): string | undefined {
  return ifPresent("read", path, Deno.readTextFileSync);
}

/**
 * Like {@link readText}, for a tree that anybody may have laid out: a FIFO in the place of a control file would be
 * waited for, and a device never end. Costs another system call, which a kernel's own tree need not pay.
 */
export function readRegularText(path: string): string | undefined {
  const info = ifPresent("look at", path, Deno.statSync);
  if (info === undefined) return undefined;
  if (info.isFile) return readText(path);
  throw new OomkitError(
    `cannot read ${path}: it is no regular file`,
    "put a copy of a control file there, or nothing",
  );
}

function peek<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof OomkitError) return undefined;
    throw error;
  }
}

/** Like {@link readText}, but what may not be read counts as absent too: for what is only nice to know. */
export function tryReadText(path: string): string | undefined {
  return peek(() => readText(path));
}

/** Like {@link readRegularText}, in the same spirit. */
export function tryReadRegularText(path: string): string | undefined {
  return peek(() => readRegularText(path));
}

/** Like {@link listDirectories}, in the same spirit. */
export function tryListDirectories(dir: string): string[] | undefined {
  return peek(() => listDirectories(dir));
}

/** How many names a directory has: on kernfs its own two and one for each directory in it. */
export function linksOf(dir: string): number | undefined {
  return peek(() => ifPresent("look at", dir, Deno.statSync))?.nlink ?? undefined;
}

/** The names of the directories in `dir`, unsorted; `undefined` when there is no such directory. */
export function listDirectories(dir: string): string[] | undefined {
  return ifPresent("list", dir, (dir) => {
    const names: string[] = [];
    for (const entry of Deno.readDirSync(dir)) if (entry.isDirectory) names.push(entry.name);
    return names;
  });
}

/** Like {@link listDirectories}, with those that are no UTF-8, and of a kernel's own tree only. */
export function tryListAllDirectories(dir: string): string[] | undefined {
  return peek(() => ifPresent("list", dir, () => namesOfDirectories(dir)));
}

/** The names of the files in `dir`, unsorted; `undefined` when it is not there, or may not be looked into. */
export function tryListFiles(dir: string): string[] | undefined {
  const list = (dir: string) => {
    const entries = [...Deno.readDirSync(dir)];
    return entries.filter(({ isFile }) => isFile).map(({ name }) => name);
  };
  return peek(() => ifPresent("list", dir, list));
}

/** The inode of a directory: with its path, the identity of a cgroup. `undefined` where there is none. */
export function inodeOf(dir: string): number | undefined {
  const info = ifPresent("look at", dir, Deno.statSync);
  return info?.isDirectory ? info.ino ?? undefined : undefined;
}

export function exists(path: string): boolean {
  return ifPresent("look at", path, Deno.lstatSync) !== undefined;
}

/** `path` with all symbolic links followed; `undefined` where it leads nowhere. */
export function realPath(path: string): string | undefined {
  return ifPresent("follow", path, Deno.realPathSync);
}

/** The target of a symbolic link such as /proc/self/ns/cgroup. */
export function readLink(path: string): string | undefined {
  return ifPresent("read", path, Deno.readLinkSync);
}

/** Opens `path` and closes it again: why that is refused, in one line; `undefined` when it is not. */
export function canOpen(path: string, { write = false }): string | undefined {
  const verb = write ? "write" : "read";
  try {
    // To open one would wait for somebody at its other end.
    if (Deno.statSync(path).isFifo) return `cannot ${verb} ${path}: it is a FIFO`;
    Deno.openSync(path, { read: !write, write }).close();
    return undefined;
  } catch (error) {
    return `cannot ${verb} ${path}: ${reason(error)}`;
  }
}

/** Puts an inotify watch on `path` and takes it off again: why that is refused; `undefined` when it is not. */
export function canWatch(path: string): string | undefined {
  try {
    Deno.watchFs(path).close();
    return undefined;
  } catch (error) {
    return `cannot watch it: ${reason(error)}`;
  }
}

const reason = (error: unknown) =>
  error instanceof Error ? error.message.split(/ \(os error|: (?:open|stat) '/)[0]! : String(error);
