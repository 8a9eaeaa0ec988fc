/** File descriptors with an owner: `Deno.FsFile` does not tell its own, and the kernel must be told one. */

import { asSystemCallError, check, cString, errno, libc, SystemCallError } from "./libc.ts";

// fcntl(2), generic ABI: alike on x86-64 and arm64.
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
/** Its value differs: 0o40000 on arm64 (arch/arm64/include/uapi/asm/fcntl.h), 0o200000 elsewhere. */
const O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;
const O_CLOEXEC = 0o2000000;

export interface Fd extends Disposable {
  readonly number: number;
  /** For messages. */
  readonly path: string;
  close(): void;
}

/** Takes ownership of `number`; closing twice is harmless. */
export function own(number: number, path: string): Fd {
  let open = true;
  const close = () => {
    if (open) libc().close(number);
    open = false;
  };
  return { number, path, close, [Symbol.dispose]: close };
}

/** One that another thread of this process owns; closing it here does nothing. */
export function borrowFd(number: number, path: string): Fd {
  return { number, path, close() {}, [Symbol.dispose]() {} };
}

/** Throws {@link SystemCallError}. */
export function openFd(path: string, flags = O_RDONLY): Fd {
  return own(check(libc().open(cString(path), flags | O_CLOEXEC, 0), "open", path), path);
}

/**
 * Holds on to a directory: what is opened by {@link openIn} is in this very directory, also when another takes its name.
 * Throws {@link SystemCallError}.
 */
export function openDirectory(path: string): Fd {
  return openFd(path, O_RDONLY | O_DIRECTORY);
}

/** The same; `undefined` when it is gone, or may not be opened. */
export function tryOpenDirectory(path: string): Fd | undefined {
  try {
    return openDirectory(path);
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}

/** Throws {@link SystemCallError}; ENOENT and ENODEV when the directory was removed. */
export function openIn(directory: Fd, name: string, flags = O_RDONLY): Fd {
  const path = `${directory.path}/${name}`;
  const number = libc().openat(directory.number, cString(name), flags | O_CLOEXEC, 0);
  return own(check(number, "open", path), path);
}

/** A non-blocking eventfd(2) whose counter is 0. */
export function openEventfd(): Fd {
  const EFD_CLOEXEC_NONBLOCK = O_CLOEXEC | O_NONBLOCK;
  return own(check(libc().eventfd(0, EFD_CLOEXEC_NONBLOCK), "eventfd", "counter"), "eventfd");
}

const counter = new BigUint64Array(1);

/** Takes the counter of an eventfd and sets it to 0; 0n when nothing was signalled. */
export function takeEventfd(fd: Fd): bigint {
  return readInto(fd, counter) === 8 ? counter[0]! : 0n;
}

/** Adds 1 to the counter of an eventfd, and so wakes who waits for it. */
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

/** write(2) of the whole text at once, as control files want it. Throws {@link SystemCallError}. */
export function writeText(fd: Fd, text: string | Uint8Array<ArrayBuffer>): void {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const n = Number(libc().write(fd.number, bytes, BigInt(bytes.length)));
  if (n === -1) throw new SystemCallError("write", errno(), fd.path);
}

/**
 * write(2) on another thread, for what takes the kernel long; nobody hears how it ended. `text` must stay as it is.
 */
export function writeOnThread(fd: Fd, text: Uint8Array<ArrayBuffer>): void {
  void libc().write_elsewhere(fd.number, text, BigInt(text.length));
}

/** write(2) on another thread: the result, -1 without a reason when it failed. `text` and `fd` must last until then. */
export async function writeAsync(fd: Fd, text: Uint8Array<ArrayBuffer>): Promise<number> {
  return Number(await libc().write_elsewhere(fd.number, text, BigInt(text.length)));
}

/** The inode of an open file. Throws {@link SystemCallError}. */
export function inodeOfFd(fd: Fd): number {
  // Through /proc: struct stat has another layout on each architecture.
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
