/** Words for what is armed, and for why it was not. */

import type { Cgroup } from "../cgroup/cgroup.ts";
import type { Trigger } from "../cgroup/version.ts";
import { EPOLLET, EPOLLIN, EPOLLPRI, type EpollSet } from "../kernel/epoll.ts";
import {
  type Fd,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  openEventfd,
  openFd,
  writeAsync,
  writeText,
} from "../kernel/fd.ts";
import { descriptorLimit, withinFdBudget } from "../kernel/fd_budget.ts";
import { addWatch, IN_MODIFY, removeWatch } from "../kernel/inotify.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { FALLBACK_POLL_MS } from "../policy/poll_interval.ts";

/** Whether a trigger is the one without which an OOM goes unnoticed. */
export function isOomTrigger(trigger: Trigger): boolean {
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

/* The one place that tells the kernel what to notify about. */

/** Something armed: what will wake, and how to undo it. */
export interface Armed {
  readonly trigger: Trigger;
  /** An eventfd or a pressure file; absent for inotify, whose events carry the watch instead. */
  readonly fd?: Fd;
  readonly watch?: number;
  disarm(): void;
}

/** Where wakes arrive. Tokens are the watcher's own, one for each eventfd or pressure file. */
export interface ArmTargets {
  readonly epoll: EpollSet;
  readonly inotify: Fd | undefined;
}

/**
 * Throws `SystemCallError`: EACCES without the right, EROFS on a read-only mount, ENOENT when the kernel has no such
 * file, EOPNOTSUPP where v1 notifications are refused (PREEMPT_RT) or PSI is off, ENODEV when the cgroup is gone.
 */
export function arm(
  cgroup: Cgroup,
  trigger: Trigger,
  token: number,
  armTargets: ArmTargets,
): Armed {
  if (trigger.kind !== "inotify" && !cgroup.hierarchy.kernel) {
    // A write would be kept as text in a plain file, and never be answered.
    throw new SystemCallError("arm", "ENOTSUP", `${cgroup.dir}/${trigger.file}`);
  }
  switch (trigger.kind) {
    case "eventfd":
      return armEventfd(cgroup, trigger, token, armTargets);
    case "psi":
      return armPsi(cgroup, trigger, token, armTargets);
    case "inotify":
      return armInotify(cgroup, trigger, armTargets);
  }
}

type EventfdTrigger = Extract<Trigger, { kind: "eventfd" }>;

/**
 * Like {@link arm}, but what rings is told once, read or not, and this thread goes on meanwhile: to register a threshold the kernel waits some 15 ms for all CPUs
 * (synchronize_rcu), which many can do at once.
 */
export async function armAsync(
  cgroup: Cgroup,
  trigger: EventfdTrigger,
  token: number,
  { epoll }: Pick<ArmTargets, "epoll">,
): Promise<Armed> {
  const fd = openWithinBudget();
  try {
    using file = openFd(`${cgroup.dir}/${trigger.file}`, O_RDONLY);
    using control = openFd(`${cgroup.dir}/cgroup.event_control`, O_WRONLY);
    const text = new TextEncoder().encode(`${fd.number} ${file.number} ${trigger.argument}`);
    // Which error it was is known only to the thread that made the call.
    if (await writeAsync(control, text) < 0) writeText(control, text);
    // Nobody reads it: one that rings before, or after, somebody knows whom it means would wake him without end.
    epoll.add(fd, EPOLLIN | EPOLLET, token);
  } catch (error) {
    fd.close();
    throw error;
  }
  return { trigger, fd, disarm: release(fd, epoll) };
}

/** Throws `SystemCallError` (EMFILE) while some are left for what is opened for a moment. */
function openWithinBudget(): Fd {
  const fd = openEventfd();
  if (withinFdBudget(fd, "notification")) return fd;
  fd.close();
  throw new SystemCallError("eventfd", "EMFILE", fd.path);
}

function armEventfd(
  cgroup: Cgroup,
  trigger: EventfdTrigger,
  token: number,
  { epoll }: ArmTargets,
): Armed {
  const fd = openWithinBudget();
  try {
    // The kernel needs the control file only while it registers.
    using file = openFd(`${cgroup.dir}/${trigger.file}`, O_RDONLY);
    using control = openFd(`${cgroup.dir}/cgroup.event_control`, O_WRONLY);
    writeText(control, `${fd.number} ${file.number} ${trigger.argument}`);
    epoll.add(fd, EPOLLIN, token);
  } catch (error) {
    fd.close();
    throw error;
  }
  return { trigger, fd, disarm: release(fd, epoll) };
}

function armPsi(
  cgroup: Cgroup,
  trigger: Extract<Trigger, { kind: "psi" }>,
  token: number,
  { epoll }: ArmTargets,
): Armed {
  const { kind, stall, window } = trigger.psi;
  const fd = openFd(`${cgroup.dir}/${trigger.file}`, O_RDWR | O_NONBLOCK);
  if (!withinFdBudget(fd, "notification")) {
    fd.close();
    throw new SystemCallError("open", "EMFILE", fd.path);
  }
  try {
    // The kernel wants the NUL too: Documentation/accounting/psi.rst.
    writeText(fd, `${kind} ${stall} ${window}\0`);
    epoll.add(fd, EPOLLPRI, token);
  } catch (error) {
    fd.close();
    throw error;
  }
  return { trigger, fd, disarm: release(fd, epoll) };
}

/** Once only: afterwards the descriptor's number may be another one's. */
function release(fd: Fd, epoll: EpollSet): () => void {
  let held = true;
  return () => {
    if (held) epoll.remove(fd);
    held = false;
    fd.close();
  };
}

function armInotify(
  cgroup: Cgroup,
  trigger: Extract<Trigger, { kind: "inotify" }>,
  { inotify }: ArmTargets,
): Armed {
  if (inotify === undefined) throw new SystemCallError("inotify_init1", "EMFILE", cgroup.dir);
  const watch = addWatch(inotify, `${cgroup.dir}/${trigger.file}`, IN_MODIFY);
  return { trigger, watch, disarm: () => removeWatch(inotify, watch) };
}
