/** Words for what is armed, and for why it was not. */

import type { Trigger } from "../cgroup/dialect.ts";
import { SystemCallError } from "../kernel/libc.ts";

/** Whether a trigger is the one without which an OOM goes unnoticed. */
export function tellsOom(trigger: Trigger): boolean {
  return trigger.kind === "eventfd" ? trigger.tells === "oom" : trigger.file === "memory.events";
}

export function describe(trigger: Trigger): string {
  switch (trigger.kind) {
    case "eventfd":
      return `${trigger.tells}: eventfd on ${trigger.file}`;
    case "inotify":
      return `events: inotify on ${trigger.file}`;
    case "psi":
      return `pressure: PSI trigger on ${trigger.file}`;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the cgroup file system is read-only",
  ENOENT: "the kernel has no such file",
  EOPNOTSUPP: "the kernel does not support it",
  ENOTSUP: "this tree is not a kernel's",
  EMFILE: "out of file descriptors or inotify instances",
  ENOSPC: "out of inotify watches (fs.inotify.max_user_watches)",
  EINVAL: "the kernel refused the argument",
};

/** Why a system call or a watch was refused, in words. */
export function reasonOf(error: unknown): string {
  if (error instanceof SystemCallError) {
    return `${REASONS[error.code] ?? error.code} (${error.object})`;
  }
  return error instanceof Error ? error.message : String(error);
}

/** "events: inotify on a" and "events: inotify on b" become one, in the order of the first of each. */
export function joinFiles(lines: Iterable<string>): string[] {
  const files = new Map<string, string[]>();
  for (const line of lines) {
    const [what, file] = line.split(" on ", 2);
    files.set(what!, [...files.get(what!) ?? [], ...file === undefined ? [] : [file]]);
  }
  return [...files].map(([what, on]) => on.length === 0 ? what : `${what} on ${on.join(", ")}`);
}
