/** Processes by pidfd, which unlike a pid cannot come to mean another process. */

import { check, cString, errno, libc, SystemCallError } from "./libc.ts";
import { type Fd, own } from "./fd.ts";

// asm-generic/unistd.h; the same numbers on x86-64 and arm64.
const SYS_PIDFD_SEND_SIGNAL = 424n;
const SYS_PIDFD_OPEN = 434n;
const SYS_PROCESS_MRELEASE = 448n;
const PR_SET_PDEATHSIG = 1;
const X_OK = 1;

/** `undefined` if the process is gone. Throws `SystemCallError`. */
export function openPidfd(pid: number): Fd | undefined {
  const fd = Number(libc().syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n, 0n));
  if (fd >= 0) return own(fd, `pidfd of ${pid}`);
  const code = errno();
  if (code === "ESRCH" || code === "EINVAL") return undefined;
  throw new SystemCallError("pidfd_open", code, String(pid));
}

/** False if the process is gone. Signal 0 only checks. Throws `SystemCallError` (EPERM) without permission. */
export function signalPidfd(pidfd: Fd, signal: number): boolean {
  const result = Number(
    libc().syscall(SYS_PIDFD_SEND_SIGNAL, BigInt(pidfd.number), BigInt(signal), 0n, 0n),
  );
  if (result === 0) return true;
  const code = errno();
  if (code === "ESRCH") return false;
  throw new SystemCallError("pidfd_send_signal", code, pidfd.path);
}

const pollfd = new Uint8Array(8);
const pollfdView = new DataView(pollfd.buffer);
const POLLIN = 1;

/** True also for a process that has not been waited for yet: pidfd_open(2). */
export function hasEnded(pidfd: Fd): boolean {
  pollfdView.setInt32(0, pidfd.number, true);
  pollfdView.setInt16(4, POLLIN, true);
  return libc().poll(pollfd, 1n, 0) === 1;
}

/**
 * Frees the memory of a killed process before it exits (process_mrelease(2), Linux 5.15). Runs on another thread, because it takes
 * about 30 ms per GiB. Without that call the memory is freed when the process exits.
 */
export function releaseMemory(pidfd: Fd): void {
  void libc().syscall_elsewhere(SYS_PROCESS_MRELEASE, BigInt(pidfd.number), 0n, 0n, 0n);
}

/**
 * Asks the kernel to send `signal` to this process when its parent ends. Returns the parent's pid: if it is not the expected one,
 * the parent had ended before.
 */
export function dieWithParent(signal: number): number {
  check(libc().prctl(PR_SET_PDEATHSIG, BigInt(signal), 0n, 0n, 0n), "prctl", "PR_SET_PDEATHSIG");
  return libc().getppid();
}

/** Whether this user may execute the file: access(2), because mode bits do not cover groups, ACLs and capabilities. */
export function isExecutable(path: string): boolean {
  try {
    return Deno.statSync(path).isFile && libc().access(cString(path), X_OK) === 0;
  } catch {
    return false;
  }
}

/** proc(5), fields 48 and 49 of /proc/PID/stat; the first after the name is field 3. */
const ARG_START = 48 - 3;
const ARG_END = 49 - 3;

/**
 * Replaces this program's command line, as setproctitle(3) does. The kernel takes it for a title where its last byte is not zero
 * (fs/proc/base.c, get_mm_cmdline). The words that the program was started with must have been read.
 */
export function setTitle(title: string): void {
  const stat = Deno.readTextFileSync("/proc/self/stat");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const start = BigInt(fields[ARG_START]!);
  const length = Number(BigInt(fields[ARG_END]!) - start);
  const pointer = Deno.UnsafePointer.create(start);
  if (pointer === null || length < 2) return;
  const line = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, length));
  line.fill(0);
  line.set(new TextEncoder().encode(title).subarray(0, length - 2));
  line[length - 1] = 0x20;
}
