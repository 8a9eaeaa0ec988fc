/**
 * The C library: the only dlopen. Unsafe code stays in this directory. The library is loaded by the first call, so that a
 * command without system calls of its own does not pay for it.
 */

import { encodeName } from "../names.ts";

const symbols = {
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  access: { parameters: ["buffer", "i32"], result: "i32" },
  openat: { parameters: ["i32", "buffer", "i32", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // i32 suffices for these reads; an isize result is a BigInt, which is allocated at each call.
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write_elsewhere: {
    name: "write",
    parameters: ["i32", "buffer", "usize"],
    result: "isize",
    nonblocking: true,
  },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32", nonblocking: true },
  poll_epoll: { name: "epoll_wait", parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  inotify_init1: { parameters: ["i32"], result: "i32" },
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  inotify_rm_watch: { parameters: ["i32", "i32"], result: "i32" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
  malloc_trim: { parameters: ["usize"], result: "i32" },
  mlock2: { parameters: ["usize", "usize", "u32"], result: "i32" },
  madvise: { parameters: ["pointer", "usize", "i32"], result: "i32" },
  memset: { parameters: ["usize", "i32", "usize"], result: "void" },
  fgetxattr: { parameters: ["i32", "buffer", "buffer", "usize"], result: "isize" },
  setpriority: { parameters: ["i32", "u32", "i32"], result: "i32" },
  sched_setscheduler: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  sched_getaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  sched_setaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  usleep: { parameters: ["u32"], result: "i32" },
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  getppid: { parameters: [], result: "i32" },
  syscall: { parameters: ["i64", "i64", "i64", "i64", "i64"], result: "i64" },
  syscall_elsewhere: {
    name: "syscall",
    parameters: ["i64", "i64", "i64", "i64", "i64"],
    result: "i64",
    nonblocking: true,
  },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

type Libc = Deno.DynamicLibrary<typeof symbols>["symbols"];

let loaded: Libc | undefined;
let errnoView: Deno.UnsafePointerView | undefined;

/** glibc's functions. Without glibc, throws what `Deno.dlopen` throws. */
export function libc(): Libc {
  if (loaded === undefined) {
    loaded = Deno.dlopen("libc.so.6", symbols).symbols;
    errnoView = new Deno.UnsafePointerView(loaded.__errno_location()!);
  }
  return loaded;
}

/** errno(3) of the generic Linux ABI from 1 on (asm-generic/errno-base.h and errno.h); the same on x86-64 and arm64. */
const FIRST_ERRNO_NAMES = (
  "EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV " +
  "ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG " +
  "ENOLCK ENOSYS ENOTEMPTY ELOOP"
).split(" ");
const ERRNO_NAMES: Readonly<Record<number, string>> = {
  ...Object.fromEntries(FIRST_ERRNO_NAMES.map((name, at) => [at + 1, name])),
  61: "ENODATA",
  75: "EOVERFLOW",
  95: "EOPNOTSUPP",
  110: "ETIMEDOUT",
  116: "ESTALE",
  122: "EDQUOT",
};

/** `errno N` for a number that is not in the table. */
const errnoName = (errno: number): string => ERRNO_NAMES[errno] ?? `errno ${errno}`;

/** A failed system call. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  /** @param code the errno's name. */
  constructor(readonly call: string, readonly code: string, readonly object: string) {
    super(`${call} ${object}: ${code}`);
  }
}

/** These say nothing about the object of the call, which may succeed a moment later. */
const TRANSIENT = new Set(["EINTR", "EIO", "EAGAIN", "ENOMEM", "ENFILE", "EMFILE"]);

export const isTransient = ({ code }: SystemCallError): boolean => TRANSIENT.has(code);

/**
 * The errno's name of the call just made. Only right after a *synchronous* call on this thread: after a `nonblocking` one it
 * is another thread's.
 */
export const errno = (): string => errnoName(errnoView!.getInt32());

/**
 * The errno's name behind a {@link SystemCallError} or an error that Deno threw. Deno leaves out `code` for some numbers but
 * always ends the message with "(os error N)".
 */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof SystemCallError) return error.code;
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1];
  return number === undefined ? undefined : errnoName(Number(number));
}

/** Turns an error that Deno threw for a system call into a {@link SystemCallError}; returns any other error unchanged. */
export function asSystemCallError(error: unknown, call: string, object: string): unknown {
  const code = errnoOf(error);
  return code === undefined ? error : new SystemCallError(call, code, object);
}

/** Returns `result`; throws {@link SystemCallError} if it is -1. */
export function check(result: number, call: string, object: string): number {
  if (result === -1) throw new SystemCallError(call, errno(), object);
  return result;
}

/** `undefined` if a system call of `action` failed. */
export function unlessFailed<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}

/** NUL-terminated. */
export const cString = (text: string): Uint8Array<ArrayBuffer> => encodeName(text + "\0");
