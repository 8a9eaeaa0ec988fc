/** Processes as the kernel names them: what a pid alone cannot say safely. */

import { check, cString, errno, libc, SystemCallError } from "./libc.ts";
import { type Fd, own } from "./fd.ts";

// asm-generic/unistd.h; the same numbers on x86-64 and arm64.
const SYS_PIDFD_SEND_SIGNAL = 424n;
const SYS_PIDFD_OPEN = 434n;
const SYS_PROCESS_MRELEASE = 448n;
const PR_SET_PDEATHSIG = 1;
const X_OK = 1;

/** Holds on to a process, so that its pid cannot come to mean another; `undefined` when it is gone. */
export function openPidfd(pid: number): Fd | undefined {
  const fd = Number(libc().syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n, 0n, 0n));
  if (fd >= 0) return own(fd, `pidfd of ${pid}`);
  const code = errno();
  if (code === "ESRCH" || code === "EINVAL") return undefined;
  throw new SystemCallError("pidfd_open", code, String(pid));
}

/** False when the process is gone. Signal 0 only asks. Throws `SystemCallError` (EPERM) when it may not. */
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

/** Whether the process that is held has ended, also when nobody has waited for it yet: pidfd_open(2). */
export function hasEnded(pidfd: Fd): boolean {
  pollfdView.setInt32(0, pidfd.number, true);
  pollfdView.setInt16(4, POLLIN, true);
  return libc().poll(pollfd, 1n, 0) === 1;
}

/**
 * Frees the memory of a process that has been killed, without waiting for the process to do it (process_mrelease(2), Linux
 * 5.15); on another thread, since it takes some 30 ms a GiB. Where the kernel has no such call the process does it itself.
 */
export function releaseMemory(pidfd: Fd): void {
  void libc().syscall_elsewhere(SYS_PROCESS_MRELEASE, BigInt(pidfd.number), 0n, 0n, 0n);
}

/**
 * Asks the kernel to send `signal` to this process when the one that started it ends. Returns the parent's pid as it is
 * now: where it is not the expected one, the parent was gone before.
 */
export function dieWithParent(signal: number): number {
  check(libc().prctl(PR_SET_PDEATHSIG, BigInt(signal), 0n, 0n, 0n), "prctl", "PR_SET_PDEATHSIG");
  return libc().getppid();
}

/** Whether the kernel would let this user execute it: mode bits alone do not know of groups, ACLs and capabilities. */
export function isExecutable(path: string): boolean {
  try {
    return Deno.statSync(path).isFile && libc().access(cString(path), X_OK) === 0;
  } catch {
    return false;
  }
}
