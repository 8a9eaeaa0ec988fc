/** Arms what the kernel is to notify about, and describes triggers and refusals in words. */

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
import { isKernelFrom } from "../kernel/release.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { FALLBACK_POLL_MS } from "../policy/poll_interval.ts";

type EventfdTrigger = Extract<Trigger, { kind: "eventfd" }>;
type PsiFileTrigger = Extract<Trigger, { kind: "psi" }>;

export interface Armed {
  readonly trigger: Trigger;
  /** An eventfd or a pressure file; absent for inotify, where events carry the watch instead. */
  readonly fd?: Fd;
  readonly watch?: number;
  disarm(): void;
}

/** Where notifications arrive. Each eventfd and each pressure file has a token of its own in the epoll set. */
interface ArmTargets {
  readonly epoll: EpollSet;
  readonly inotify: Fd | undefined;
}

/**
 * Throws `SystemCallError`: EACCES without permission, EROFS on a read-only mount, ENOENT when the kernel has no such
 * file, EOPNOTSUPP where v1 notifications are refused (PREEMPT_RT) or PSI is off, ENODEV when the cgroup is gone, EMFILE
 * when descriptors run short.
 */
export function arm(
  cgroup: Cgroup,
  trigger: Trigger,
  token: number,
  { epoll, inotify }: ArmTargets,
): Armed {
  const path = `${cgroup.dir}/${trigger.file}`;
  if (trigger.kind === "inotify") {
    if (inotify === undefined) throw new SystemCallError("inotify_init1", "EMFILE", cgroup.dir);
    const watch = addWatch(inotify, path, IN_MODIFY);
    return { trigger, watch, disarm: () => removeWatch(inotify, watch) };
  }
  // A plain file would keep what is written as text, and never notify.
  if (!cgroup.hierarchy.kernel) throw new SystemCallError("arm", "ENOTSUP", path);
  return trigger.kind === "psi"
    ? armPsi(path, trigger, token, epoll)
    : armEventfd(cgroup, trigger, token, epoll);
}

function armEventfd(
  cgroup: Cgroup,
  trigger: EventfdTrigger,
  token: number,
  epoll: EpollSet,
): Armed {
  using opened = new DisposableStack();
  const fd = opened.use(withinBudget(openEventfd(), "eventfd"));
  // The kernel needs the control file only while it registers the eventfd.
  using file = openFd(`${cgroup.dir}/${trigger.file}`, O_RDONLY);
  using control = openFd(`${cgroup.dir}/cgroup.event_control`, O_WRONLY);
  writeText(control, `${fd.number} ${file.number} ${trigger.argument}`);
  epoll.add(fd, EPOLLIN, token);
  return keepArmed(opened, trigger, fd, epoll);
}

/**
 * One eventfd for several triggers of a cgroup, registered one after the other without blocking this thread: to register a
 * threshold the kernel waits about 15 ms for all CPUs (synchronize_rcu), a wait that many cgroups can share. The eventfd is
 * edge-triggered, and never read.
 */
export class TriggerEventfd {
  readonly #fd: Fd;
  #isRegistering = false;
  #isDisarmed = false;

  /** Throws `SystemCallError`, as {@link arm} does. */
  constructor(private readonly cgroup: Cgroup, readonly token: number, private epoll: EpollSet) {
    using opened = new DisposableStack();
    this.#fd = opened.use(withinBudget(openEventfd(), "eventfd"));
    // Level-triggered it would wake the thread without end if it is signalled before or after its token is known.
    epoll.add(this.#fd, EPOLLIN | EPOLLET, token);
    opened.move();
  }

  /**
   * Registers it for triggers on one file, one after the other while `isWanted`: of several that are registered at once for one cgroup
   * some never fire (measured on 6.18).
   *
   * @param onError gets a `SystemCallError`, after which the next trigger is tried.
   */
  async register(
    triggers: readonly EventfdTrigger[],
    isWanted: () => boolean,
    onError: (error: unknown) => void,
  ): Promise<void> {
    const [first] = triggers;
    if (first === undefined) return;
    this.#isRegistering = true;
    try {
      using file = openFd(`${this.cgroup.dir}/${first.file}`, O_RDONLY);
      using control = openFd(`${this.cgroup.dir}/cgroup.event_control`, O_WRONLY);
      for (const { argument } of triggers) {
        if (!isWanted()) return;
        const line = `${this.#fd.number} ${file.number} ${argument}`;
        await writeOnOtherThread(control, new TextEncoder().encode(line)).catch(onError);
      }
    } catch (error) {
      onError(error);
    } finally {
      this.#isRegistering = false;
      if (this.#isDisarmed) this.#fd.close();
    }
  }

  disarm(): void {
    if (this.#isDisarmed) return;
    this.#isDisarmed = true;
    this.epoll.remove(this.#fd);
    // Closed during the registration, its number could belong to another file by the time that the kernel looks it up.
    if (!this.#isRegistering) this.#fd.close();
  }
}

async function writeOnOtherThread(fd: Fd, text: Uint8Array<ArrayBuffer>): Promise<void> {
  // Only the thread that made the call has its errno: write again here for the reason.
  if (await writeAsync(fd, text) < 0) writeText(fd, text);
}

/**
 * Whether one eventfd may have several thresholds of a cgroup. Before 5.6 the kernel may crash when it is closed: kernel, 7d36665a5886
 * ("memcg: fix NULL pointer dereference in __mem_cgroup_usage_unregister_event").
 */
export const mayShareEventfd = (release?: string): boolean => isKernelFrom(5, 6, release);

/** Throws `SystemCallError`. @param path of a pressure file. */
export function armPsi(
  path: string,
  trigger: PsiFileTrigger,
  token: number,
  epoll: EpollSet,
): Armed {
  const { kind, stall, window } = trigger.psi;
  using opened = new DisposableStack();
  const fd = opened.use(withinBudget(openFd(path, O_RDWR | O_NONBLOCK), "open"));
  // The kernel requires the NUL too: Documentation/accounting/psi.rst.
  writeText(fd, `${kind} ${stall} ${window}\0`);
  epoll.add(fd, EPOLLPRI, token);
  return keepArmed(opened, trigger, fd, epoll);
}

/** Throws `SystemCallError` (EMFILE) while some descriptors are left for files that are opened for a moment. */
function withinBudget(fd: Fd, call: string): Fd {
  if (withinFdBudget(fd, "notification")) return fd;
  fd.close();
  throw new SystemCallError(call, "EMFILE", fd.path);
}

/** Keeps `fd` open until `disarm`, which acts once: later the number of the descriptor may belong to another file. */
function keepArmed(opened: DisposableStack, trigger: Trigger, fd: Fd, epoll: EpollSet): Armed {
  // Of thousands: two captured values take less memory than a stack.
  opened.move();
  let isArmed = true;
  const disarm = () => {
    if (!isArmed) return;
    isArmed = false;
    epoll.remove(fd);
    fd.close();
  };
  return { trigger, fd, disarm };
}

/** Whether OOMs go unnoticed without it. */
export const isOomTrigger = (trigger: Trigger): boolean =>
  trigger.kind === "eventfd" ? trigger.event === "oom" : trigger.file === "memory.events";

export const isThresholdTrigger = (trigger: Trigger): boolean =>
  trigger.kind === "eventfd" && trigger.event === "threshold";

export function describeTrigger(trigger: Trigger): string {
  const source = trigger.kind === "eventfd"
    ? `${trigger.event}: eventfd`
    : { inotify: "events: inotify", psi: "pressure: PSI trigger" }[trigger.kind];
  return `${source} on ${trigger.file}`;
}

/** @param interval milliseconds; `undefined` for the default, which grows with the number of cgroups. */
export function describePoll(interval: number | undefined): string {
  return `poll every ${interval ?? FALLBACK_POLL_MS} ms${
    interval === undefined ? " (less often with many cgroups)" : ""
  }`;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the cgroup file system is read-only",
  ENOENT: "there is no such file",
  EOPNOTSUPP: "the kernel does not support it",
  ENOTSUP: "not a kernel's cgroup tree",
  EINVAL: "the kernel refused the argument",
};

export const tooFewDescriptors = (): string =>
  `the limit of ${descriptorLimit()} open files is reached (RLIMIT_NOFILE)`;

/** The reason when descriptors or watches ran out, whatever the file; `undefined` for other errors. */
export function shortageOf({ code, call }: SystemCallError): string | undefined {
  if (code === "ENOSPC" && call === "epoll_ctl") {
    return "out of epoll watches (fs.epoll.max_user_watches)";
  }
  if (code === "ENOSPC" && isInotifyCall(call)) {
    return "out of inotify watches (fs.inotify.max_user_watches)";
  }
  if (code === "ENFILE") return "the machine is out of open files (fs.file-max)";
  if (code !== "EMFILE") return undefined;
  return call === "inotify_init1"
    ? "out of inotify instances (fs.inotify.max_user_instances)"
    : tooFewDescriptors();
}

/** Whether inotify instances or watches ran out, which affects all cgroups alike. */
export const isInotifyShortage = ({ code, call }: SystemCallError): boolean =>
  isInotifyCall(call) && (code === "ENOSPC" || code === "EMFILE");

const isInotifyCall = (call: string): boolean => call.startsWith("inotify_");

/** Why a system call or a watch failed, in words. */
export function reasonOf(error: unknown): string {
  if (error instanceof SystemCallError) {
    return shortageOf(error) ?? `${REASONS[error.code] ?? error.code} (${error.object})`;
  }
  return error instanceof Error ? error.message : String(error);
}
