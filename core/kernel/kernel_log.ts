/** Reads /dev/kmsg, where that is the kernel log (kernel: Documentation/ABI/testing/dev-kmsg). */

import { OomkitError } from "../errors.ts";
import { type Fd, O_NONBLOCK, O_RDONLY, openFd, readInto, seekToEnd } from "./fd.ts";
import { asSystemCallError, SystemCallError } from "./libc.ts";

const PATH = "/dev/kmsg";
/** A record has at most 8 KiB (CONSOLE_EXT_LOG_MAX); read(2) into a shorter buffer fails with EINVAL. */
export const MAX_RECORD_BYTES = 8192;
/** In a row. Between two reads the whole log would have to be overwritten each time. */
const MAX_FAILURES = 100;
/** Character device 1:11 (kernel: Documentation/admin-guide/devices.txt). */
const MAJOR = 1;
const MINOR = 11;

/**
 * Non-blocking. Throws {@link OomkitError} where another file is in its place, and `SystemCallError` where it may not be read.
 *
 * @param from the end of the log, or the oldest record that the kernel still has.
 */
export function openKernelLog(from: "end" | "oldest" = "end"): Fd {
  // Before it is opened: to open a terminal or a tape has effects.
  const other = otherFileAt(PATH);
  if (other !== undefined) throw new OomkitError(`${PATH} is not the kernel log but ${other}`);
  using opened = new DisposableStack();
  const fd = opened.use(openFd(PATH, O_RDONLY | O_NONBLOCK));
  if (from === "end") seekToEnd(fd);
  opened.move();
  return fd;
}

/** Takes ownership of the opened log. */
export class KernelLogReader implements Disposable {
  /** How often records were overwritten before they could be read. */
  overwrites = 0;
  readonly #buffer = new Uint8Array(MAX_RECORD_BYTES);
  readonly #decoder = new TextDecoder();

  constructor(readonly fd: Fd) {}

  /** The text of the next record; `undefined` at the end of the log. Throws `SystemCallError`. */
  next(): string | undefined {
    for (let failures = 0;; failures++) {
      try {
        const length = readInto(this.fd, this.#buffer);
        // The kernel never returns 0: the file is at its end for good, but always ready for epoll.
        if (length === 0) throw new SystemCallError("read", "ENODATA", this.fd.path);
        return length === undefined
          ? undefined
          : this.#decoder.decode(this.#buffer.subarray(0, length));
      } catch (error) {
        const code = error instanceof SystemCallError ? error.code : "";
        // EPIPE: records were overwritten; the next read returns the oldest that is left.
        if (code === "EPIPE") this.overwrites += 1;
        const isPassing = code === "EPIPE" || code === "EINTR";
        if (!isPassing || failures === MAX_FAILURES) throw error;
      }
    }
  }

  [Symbol.dispose](): void {
    this.fd.close();
  }
}

/** LXC, LXD and kind put /dev/null, /dev/console or an empty file in its place. */
function otherFileAt(path: string): string | undefined {
  const info = statOf(path);
  if (info.isFile) return "a regular file";
  if (info.isDirectory) return "a directory";
  if (info.isFifo) return "a FIFO";
  if (!info.isCharDevice) return "no character device";
  const [major, minor] = numbersOf(info.rdev ?? 0);
  return major === MAJOR && minor === MINOR ? undefined : `the device ${major}:${minor}`;
}

function statOf(path: string): Deno.FileInfo {
  try {
    return Deno.statSync(path);
  } catch (error) {
    throw asSystemCallError(error, "stat", path);
  }
}

/** sys/sysmacros.h, without the upper 32 bits, which no Linux driver has. */
const numbersOf = (rdev: number): [major: number, minor: number] => [
  (rdev >> 8) & 0xfff,
  (rdev & 0xff) | ((rdev >> 12) & 0xfff00),
];
