/**
 * Control files that stay open: pread(2) of an open cgroup file costs a seventh of opening it each time
 * (`deno task bench`, docs/performance.md).
 */

import { withinFdBudget } from "./fd_budget.ts";
import { libc, SystemCallError } from "./libc.ts";
import { type Fd, O_NONBLOCK, O_RDONLY, openFd, openIn } from "./fd.ts";

export interface OpenControlFile extends ControlFile, Disposable {
  /** For an epoll set. */
  readonly fd: Fd;
}

/** What is read again and again. */
export interface ControlFile {
  /** The text, or `undefined` when the cgroup is gone (ENODEV) or the read failed. */
  text(): string | undefined;
  /**
   * The decimal that is all of its one line, in place and without allocating; `Infinity` for `max`; `undefined` when it is
   * anything else, a line without an end too. Exact up to 2^53.
   */
  number(): number | undefined;
  close(): void;
}

export interface LazyControlFile extends ControlFile {
  /** Not asked for in the near future. */
  rest(): void;
}

const decoder = new TextDecoder();
/** memory.stat is the longest, below 4 KiB on 6.x; shared, because reads are synchronous. */
const buffer = new Uint8Array(64 * 1024);
const capacity = BigInt(buffer.length);
const LINE_FEED = 0x0a;
/** Of a u64. */
const MAX_DIGITS = 20;

/** Whether `max` is all that stands there. */
function isMax(length: number): boolean {
  return length === 3 && buffer[0] === 0x6d && buffer[1] === 0x61 && buffer[2] === 0x78;
}

/** Throws `SystemCallError` when it cannot be opened. */
export function openControlFile(path: string): OpenControlFile {
  // Means nothing to a control file, and spares a watch of a copied tree the wait for a FIFO's other end.
  return keep(openFd(path, O_RDONLY | O_NONBLOCK));
}

/** `undefined` when it is gone, or may not be opened. */
export function tryOpenControlFile(path: string): OpenControlFile | undefined {
  return peek(() => openControlFile(path));
}

function peek(open: () => OpenControlFile): OpenControlFile | undefined {
  try {
    return open();
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}

/** It stays open where descriptors are to spare; of what cannot be opened nothing is read. */
export function openWithinBudget(path: string): ControlFile {
  const file = tryOpenControlFile(path);
  if (file && withinFdBudget(file.fd, "speed")) return file;
  file?.close();
  return reopenOnRead(path);
}

/**
 * Nothing is kept of it, where descriptors run short: each read opens it and takes some 5 µs more. What has the path by then is
 * what is read.
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

/** The same of a file in a directory that is held. */
export function openControlFileIn(directory: Fd, name: string): OpenControlFile {
  return keep(openIn(directory, name, O_RDONLY | O_NONBLOCK));
}

/** Opened by the first read, and kept until it may rest: to keep one open takes 5 KiB of the kernel's memory (6.18). */
export function openLazily(directory: Fd, name: string): LazyControlFile {
  let file: OpenControlFile | undefined;
  const opened = () => file ??= peek(() => openControlFileIn(directory, name));
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
      // The kernel ends every line, in the same read (fs/seq_file.c): half a number would be another one.
      const end = n - 1;
      if (end < 1 || end > MAX_DIGITS || buffer[end] !== LINE_FEED) return undefined;
      if (isMax(end)) return Infinity;
      let value = 0;
      for (let at = 0; at < end; at++) {
        const digit = buffer[at]! - 0x30;
        if (digit < 0 || digit > 9) return undefined;
        value = value * 10 + digit;
      }
      return value;
    },
    close: fd.close,
    [Symbol.dispose]: fd.close,
  };
}
