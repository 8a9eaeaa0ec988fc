/** Words for what is armed, and for why it was not. */

import type { Trigger } from "../cgroup/dialect.ts";
import { FALLBACK_POLL_MS } from "../policy/pace.ts";
import { descriptorLimit } from "../kernel/descriptors.ts";
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

/** @param every milliseconds, where that was asked for. */
export function describePoll(every: number | undefined): string {
  return every === undefined
    ? `a poll every ${FALLBACK_POLL_MS} ms, more seldom of many`
    : `a poll every ${every} ms`;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the cgroup file system is read-only",
  ENOENT: "the kernel has no such file",
  EOPNOTSUPP: "the kernel does not support it",
  ENOTSUP: "this tree is not a kernel's",
  ENOSPC: "out of inotify watches (fs.inotify.max_user_watches)",
  EINVAL: "the kernel refused the argument",
};

export const tooFewDescriptors = (): string =>
  `no more than ${descriptorLimit()} files may be open (RLIMIT_NOFILE)`;

/** It is about the process rather than about what it was met at. */
export function shortageOf(error: SystemCallError): string | undefined {
  if (error.code === "ENFILE") return "the machine is out of open files (fs.file-max)";
  if (error.code !== "EMFILE") return undefined;
  return error.call === "inotify_init1"
    ? "out of inotify instances (fs.inotify.max_user_instances)"
    : tooFewDescriptors();
}

/** Why a system call or a watch was refused, in words. */
export function reasonOf(error: unknown): string {
  if (error instanceof SystemCallError) {
    const shortage = shortageOf(error);
    if (shortage !== undefined) return shortage;
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
