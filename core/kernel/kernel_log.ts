/** Opens /dev/kmsg, where that is the kernel log (kernel: Documentation/ABI/testing/dev-kmsg). */

import { OomkitError } from "../errors.ts";
import { type Fd, O_NONBLOCK, O_RDONLY, openFd, seekToEnd } from "./fd.ts";
import { asSystemCallError } from "./libc.ts";

const PATH = "/dev/kmsg";
/** A record has at most 8 KiB (CONSOLE_EXT_LOG_MAX); read(2) into a shorter buffer fails with EINVAL. */
export const MAX_RECORD_BYTES = 8192;
/** Character device 1:11 (kernel: Documentation/admin-guide/devices.txt). */
const MAJOR = 1;
const MINOR = 11;

/**
 * Non-blocking, at the end of the log. Throws {@link OomkitError} where another file is in its place, and `SystemCallError` where it
 * may not be read.
 */
export function openKernelLog(): Fd {
  // Before it is opened: to open a terminal or a tape has effects.
  const other = otherFileAt(PATH);
  if (other !== undefined) throw new OomkitError(`${PATH} is not the kernel log but ${other}`);
  using opened = new DisposableStack();
  const fd = opened.use(openFd(PATH, O_RDONLY | O_NONBLOCK));
  seekToEnd(fd);
  opened.move();
  return fd;
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
