/** File descriptors with an owner. `Deno.FsFile` hides its number, which system calls need. */

import { asSystemCallError, check, cString, errno, libc, SystemCallError } from "./libc.ts";

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
export function borrowFd(number: number, path: string): Fd {
  return { number, path, close() {}, [Symbol.dispose]() {} };
}

/** Throws {@link SystemCallError}. */
export function openFd(path: string, flags = O_RDONLY): Fd {
  return own(check(libc().open(cString(path), flags | O_CLOEXEC, 0), "open", path), path);
}

/**
 * {@link openIn} opens files in this very directory, even if another one gets its name. Throws {@link SystemCallError}.
 */
export function openDirectory(path: string): Fd {
  return openFd(path, O_RDONLY | O_DIRECTORY);
}

/** Like {@link openDirectory}; `undefined` if it does not exist or may not be opened. */
export function tryOpenDirectory(path: string): Fd | undefined {
  try {
    return openDirectory(path);
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
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
export function takeEventfd(fd: Fd): bigint {
  return readInto(fd, counter) === 8 ? counter[0]! : 0n;
}

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

/**
 * write(2) on another thread, for writes that take the kernel long; ignores the result. `text` must not change meanwhile.
 */
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
