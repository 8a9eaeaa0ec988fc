/**
 * The only dlopen. Everything unsafe starts here and stays in this folder; nothing is loaded before the first call,
 * so that a command that needs no system call of its own does not pay for it.
 */

import { encodeName } from "../names.ts";

const symbols = {
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  access: { parameters: ["buffer", "i32"], result: "i32" },
  openat: { parameters: ["i32", "buffer", "i32", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // Where nothing is read that i32 cannot count: an isize comes as a BigInt, which is garbage after each call.
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
  sysconf: { parameters: ["i32"], result: "i64" },
  getppid: { parameters: [], result: "i32" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  syscall: { parameters: ["i64", "i64", "i64", "i64", "i64"], result: "i64" },
  syscall_elsewhere: {
    name: "syscall",
    parameters: ["i64", "i64", "i64", "i64", "i64"],
    result: "i64",
    nonblocking: true,
  },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendto: {
    parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"],
    result: "isize",
  },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

type Libc = Deno.DynamicLibrary<typeof symbols>["symbols"];

let loaded: Libc | undefined;
let errnoView: Deno.UnsafePointerView | undefined;

/** glibc's functions. Throws what `Deno.dlopen` throws where there is no glibc. */
export function libc(): Libc {
  if (loaded === undefined) {
    loaded = Deno.dlopen("libc.so.6", symbols).symbols;
    errnoView = new Deno.UnsafePointerView(loaded.__errno_location()!);
  }
  return loaded;
}

/** errno(3) numbers that are told apart; the generic Linux ABI, alike on x86-64 and arm64. */
const NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  4: "EINTR",
  5: "EIO",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  28: "ENOSPC",
  30: "EROFS",
  32: "EPIPE",
  38: "ENOSYS",
  61: "ENODATA",
  95: "EOPNOTSUPP",
};

/** A system call that failed: which, on what, and the errno's name. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  constructor(readonly call: string, readonly code: string, readonly object: string) {
    super(`${call} ${object}: ${code}`);
  }
}

/**
 * The errno of the call just made. Only right after a *synchronous* call on this thread: after a `nonblocking` one it
 * is another thread's.
 */
export function errno(): string {
  return nameOf(errnoView!.getInt32());
}

const nameOf = (n: number) => NAMES[n] ?? `errno ${n}`;

/** What Deno threw for a call of its own, as what a call of ours throws; anything else as it is. */
export function asSystemCallError(error: unknown, call: string, object: string): unknown {
  const found = error instanceof Error ? /\(os error (\d+)\)/.exec(error.message) : null;
  return found ? new SystemCallError(call, nameOf(Number(found[1])), object) : error;
}

/** Returns `result` unless it is -1; then throws with the errno. */
export function check(result: number, call: string, object: string): number {
  if (result === -1) throw new SystemCallError(call, errno(), object);
  return result;
}

/** A NUL-terminated string for a call. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return encodeName(text + "\0");
}
