/**
 * Control files that stay open: pread(2) of an open cgroup file takes a seventh of the time of opening it for each read
 * (`deno task bench`, docs/performance.md).
 */

import { withinFdBudget } from "./fd_budget.ts";
import { cString, libc, unlessFailed } from "./libc.ts";
import { type Fd, type LazyDirectory, O_NONBLOCK, O_RDONLY, openFd, openIn } from "./fd.ts";

export interface OpenControlFile extends ControlFile, Disposable {
  /** For an epoll set. */
  readonly fd: Fd;
}

/** A file that is read repeatedly. */
export interface ControlFile {
  /** The text, or `undefined` if the cgroup is gone (ENODEV) or the read failed. */
  text(): string | undefined;
  /**
   * The size in use on its only line, parsed without allocating; `undefined` for any other content, for a line without a newline, and
   * from 2^62 on: a counter of the kernel that fell below zero. Exact up to 2^53.
   */
  number(): number | undefined;
  close(): void;
}

export interface LazyControlFile extends ControlFile {
  /** Closes the file until the next read. */
  rest(): void;
}

const decoder = new TextDecoder();
/** memory.stat is the longest file, below 4 KiB on 6.x. Shared, because reads are synchronous. */
const buffer = new Uint8Array(64 * 1024);
const capacity = BigInt(buffer.length);
const LINE_FEED = 0x0a;
/** A u64 has at most 20 digits. */
const MAX_DIGITS = 20;
/** As in core/parse/cgroupfs.ts. */
const UNKNOWN_SIZE = 2 ** 62;

/** Throws `SystemCallError` if the file cannot be opened. */
export function openControlFile(path: string): OpenControlFile {
  // O_NONBLOCK has no effect on a control file; in a copied tree it keeps a FIFO from blocking.
  return keep(openFd(path, O_RDONLY | O_NONBLOCK));
}

/** `undefined` if the file does not exist or may not be opened. */
export const tryOpenControlFile = (path: string): OpenControlFile | undefined =>
  unlessFailed(() => openControlFile(path));

/** For a file that is rarely there: a failed attempt costs a call of access(2), and no exception. */
export function openerOf(path: string): () => OpenControlFile | undefined {
  const name = cString(path);
  return () => libc().access(name, F_OK) === 0 ? tryOpenControlFile(path) : undefined;
}

const F_OK = 0;

/** Stays open if there are enough descriptors; reads of a file that cannot be opened return `undefined`. */
export function openWithinBudget(path: string): ControlFile {
  const file = tryOpenControlFile(path);
  if (file && withinFdBudget(file.fd, "speed")) return file;
  file?.close();
  return reopenOnRead(path);
}

/**
 * For a shortage of descriptors: each read opens the file, which takes about 5 µs more, and reads whatever has that path by
 * then.
 */
export function reopenOnRead(path: string): LazyControlFile {
  const read = <T>(take: (file: OpenControlFile) => T): T | undefined => {
    using file = tryOpenControlFile(path);
    return file && take(file);
  };
  return {
    text: () => read((file) => file.text()),
    number: () => read((file) => file.number()),
    rest() {},
    close() {},
  };
}

/** Like {@link openControlFile}, in an open directory. */
export const openControlFileIn = (directory: Fd, name: string): OpenControlFile =>
  keep(openIn(directory, name, O_RDONLY | O_NONBLOCK));

/** Opened by the first read, and open until `rest`: an open file takes 5 KiB of the kernel's memory (6.18). */
export function openLazily(directory: LazyDirectory, name: string): LazyControlFile {
  let file: OpenControlFile | undefined;
  const opened = () => file ??= unlessFailed(() => openControlFileIn(directory.open(), name));
  const rest = () => {
    file?.close();
    file = undefined;
  };
  return { text: () => opened()?.text(), number: () => opened()?.number(), rest, close: rest };
}

function keep(fd: Fd): OpenControlFile {
  const { pread } = libc();
  const fill = () => pread(fd.number, buffer, capacity, 0n);
  return {
    fd,
    text() {
      const n = fill();
      return n < 0 ? undefined : decoder.decode(buffer.subarray(0, n));
    },
    number() {
      const n = fill();
      // The kernel ends every line within one read (fs/seq_file.c). Without a newline the number is cut off.
      const end = n - 1;
      if (end < 1 || end > MAX_DIGITS || buffer[end] !== LINE_FEED) return undefined;
      let value = 0;
      for (let at = 0; at < end; at++) {
        const digit = buffer[at]! - 0x30;
        if (digit < 0 || digit > 9) return undefined;
        value = value * 10 + digit;
      }
      return value < UNKNOWN_SIZE ? value : undefined;
    },
    close: fd.close,
    [Symbol.dispose]: fd.close,
  };
}
