/** File descriptors with an owner. `Deno.FsFile` hides its number, which system calls need. */

import { decodeName } from "../names.ts";
import {
  asSystemCallError,
  check,
  cString,
  errno,
  isTransient,
  libc,
  SystemCallError,
  unlessFailed,
} from "./libc.ts";

// fcntl(2), generic ABI: the same on x86-64 and arm64.
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
/** 0o40000 on arm64 (arch/arm64/include/uapi/asm/fcntl.h), 0o200000 elsewhere. */
const O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;
const O_CLOEXEC = 0o2000000;

export interface Fd extends Disposable {
  readonly number: number;
  /** For messages. */
  readonly path: string;
  close(): void;
}

/** Takes ownership of `number`. Closing twice does nothing. */
export function own(number: number, path: string): Fd {
  let open = true;
  const close = () => {
    if (open) libc().close(number);
    open = false;
  };
  return { number, path, close, [Symbol.dispose]: close };
}

/** A descriptor that another thread of this process owns; closing it here does nothing. */
export const borrowFd = (number: number, path: string): Fd => ({
  number,
  path,
  close() {},
  [Symbol.dispose]() {},
});

/** Throws {@link SystemCallError}. */
export const openFd = (path: string, flags = O_RDONLY): Fd =>
  own(check(libc().open(cString(path), flags | O_CLOEXEC, 0), "open", path), path);

/** {@link openIn} opens files in this very directory, even if another one gets its name. Throws {@link SystemCallError}. */
export const openDirectory = (path: string): Fd => openFd(path, O_RDONLY | O_DIRECTORY);

/** Like {@link openDirectory}; `undefined` if it does not exist or may not be opened. */
export const tryOpenDirectory = (path: string): Fd | undefined =>
  unlessFailed(() => openDirectory(path));

/** A directory that is opened when it is needed, and then stays open until `rest`: an open file takes a descriptor. */
export class LazyDirectory {
  #fd: Fd | undefined;

  /** @param inode `undefined` for whichever directory has the path. */
  constructor(private readonly path: string, private readonly inode?: number) {}

  /** Throws {@link SystemCallError}; ENOENT also when another directory has the path. */
  open(): Fd {
    if (this.#fd) return this.#fd;
    using opened = new DisposableStack();
    const fd = opened.use(openDirectory(this.path));
    const isOther = this.inode !== undefined && inodeOfFd(fd) !== this.inode;
    if (isOther) throw new SystemCallError("open", "ENOENT", this.path);
    opened.move();
    return this.#fd = fd;
  }

  rest(): void {
    this.#fd?.close();
    this.#fd = undefined;
  }
}

/** Throws {@link SystemCallError}; ENOENT or ENODEV if the directory was removed. */
export function openIn(directory: Fd, name: string, flags = O_RDONLY): Fd {
  const path = `${directory.path}/${name}`;
  const number = libc().openat(directory.number, cString(name), flags | O_CLOEXEC, 0);
  return own(check(number, "open", path), path);
}

/** A non-blocking eventfd(2) with counter 0. */
export function openEventfd(): Fd {
  const EFD_CLOEXEC_NONBLOCK = O_CLOEXEC | O_NONBLOCK;
  return own(check(libc().eventfd(0, EFD_CLOEXEC_NONBLOCK), "eventfd", "counter"), "eventfd");
}

const counter = new BigUint64Array(1);

/** Returns the counter of an eventfd and resets it to 0; 0n if it was not signalled. */
export const takeEventfd = (fd: Fd): bigint => readInto(fd, counter) === 8 ? counter[0]! : 0n;

/** Adds 1 to the counter of an eventfd, which wakes its waiters. */
export function signalEventfd(fd: Fd): void {
  libc().write(fd.number, new BigUint64Array([1n]), 8n);
}

/**
 * read(2). Returns the number of bytes, or `undefined` when there is nothing now (EAGAIN).
 * Throws {@link SystemCallError} otherwise; `EPIPE` from /dev/kmsg means that records were overwritten.
 */
export function readInto(fd: Fd, buffer: ArrayBufferView<ArrayBuffer>): number | undefined {
  const n = Number(libc().read(fd.number, buffer, BigInt(buffer.byteLength)));
  if (n >= 0) return n;
  const code = errno();
  if (code === "EAGAIN") return undefined;
  throw new SystemCallError("read", code, fd.path);
}

/** Writes the text in one write(2), as control files require. Throws {@link SystemCallError}. */
export function writeText(fd: Fd, text: string | Uint8Array<ArrayBuffer>): void {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const n = Number(libc().write(fd.number, bytes, BigInt(bytes.length)));
  if (n === -1) throw new SystemCallError("write", errno(), fd.path);
}

/** write(2) on another thread, for writes that take the kernel long; ignores the result. `text` must not change meanwhile. */
export function writeOnThread(fd: Fd, text: Uint8Array<ArrayBuffer>): void {
  void libc().write_elsewhere(fd.number, text, BigInt(text.length));
}

/** write(2) on another thread. Returns its result, -1 for any error. `text` and `fd` must stay valid until then. */
export async function writeAsync(fd: Fd, text: Uint8Array<ArrayBuffer>): Promise<number> {
  return Number(await libc().write_elsewhere(fd.number, text, BigInt(text.length)));
}

/** The inode of an open file. Throws {@link SystemCallError}. */
export function inodeOfFd(fd: Fd): number {
  // Through /proc: the layout of struct stat depends on the architecture.
  try {
    return Deno.statSync(`/proc/self/fd/${fd.number}`).ino ?? 0;
  } catch (error) {
    throw asSystemCallError(error, "stat", fd.path);
  }
}

/** Throws {@link SystemCallError}. */
export function seekToEnd(fd: Fd): void {
  const SEEK_END = 2;
  check(Number(libc().lseek(fd.number, 0n, SEEK_END)), "lseek", fd.path);
}

const attribute = new Uint8Array(256);
const decoder = new TextDecoder();

/**
 * An extended attribute: xattr(7). `undefined` if there is no such attribute, the file system does not support any, or it may not be
 * read. Throws {@link SystemCallError} if the call fails for another reason.
 */
export function readAttribute(file: Fd, name: string): string | undefined {
  const n = Number(
    libc().fgetxattr(file.number, cString(name), attribute, BigInt(attribute.length)),
  );
  if (n >= 0) return decoder.decode(attribute.subarray(0, n));
  const error = new SystemCallError("fgetxattr", errno(), `${name} of ${file.path}`);
  if (isTransient(error)) throw error;
  return undefined;
}

// asm/unistd_64.h and asm-generic/unistd.h; glibc has the function only since 2.30.
const SYS_GETDENTS64 = Deno.build.arch === "aarch64" ? 61n : 217n;
/** dirent.h, DT_DIR. */
const DIRECTORY = 4;
/** struct linux_dirent64: u64 d_ino, d_off; u16 d_reclen; u8 d_type; char d_name[] */
const LENGTH_OFFSET = 16;
const TYPE_OFFSET = 18;
const NAME_OFFSET = 19;

const entries = new Uint8Array(32 * 1024);
const entriesView = new DataView(entries.buffer);

/**
 * The names of the directories in `path`, unsorted, without `.` and `..`. Deno leaves out names that are not UTF-8. Throws
 * {@link SystemCallError}.
 */
export function namesOfDirectories(path: string): string[] {
  using directory = openDirectory(path);
  const names: string[] = [];
  const to = Deno.UnsafePointer.value(Deno.UnsafePointer.of(entries));
  for (;;) {
    const size = BigInt(entries.length);
    const n = Number(
      libc().syscall(SYS_GETDENTS64, BigInt(directory.number), BigInt(to), size, 0n),
    );
    if (n < 0) throw new SystemCallError("getdents64", errno(), path);
    if (n === 0) return names.filter((name) => name !== "." && name !== "..");
    for (let at = 0; at < n; at += entriesView.getUint16(at + LENGTH_OFFSET, true)) {
      if (entries[at + TYPE_OFFSET] !== DIRECTORY) continue;
      const begin = at + NAME_OFFSET;
      names.push(decodeName(entries.subarray(begin, entries.indexOf(0, begin))));
    }
  }
}
