/** The one place that tells the kernel what to notify about. */

import type { Cgroup } from "../cgroup/cgroup.ts";
import type { Trigger } from "../cgroup/dialect.ts";
import { EPOLLET, EPOLLIN, EPOLLPRI, type EpollSet } from "../kernel/epoll.ts";
import { type Fd, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } from "../kernel/fd.ts";
import { withinFdBudget } from "../kernel/descriptors.ts";
import { openEventfd, openFd, writeAsync, writeText } from "../kernel/fd.ts";
import { addWatch, IN_MODIFY, removeWatch } from "../kernel/inotify.ts";
import { SystemCallError } from "../kernel/libc.ts";

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
