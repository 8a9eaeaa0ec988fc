/** Checks what a cgroup and this machine allow, without changing anything: `inspect --check --require`. */

import { errorText, OomkitError } from "../errors.ts";
import { EPOLLIN, openEpoll } from "../kernel/epoll.ts";
import { readInto } from "../kernel/fd.ts";
import { MAX_RECORD_BYTES, openKernelLog } from "../kernel/kernel_log.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { parsePressure } from "../parse/cgroupfs.ts";
import type { Verdict } from "../policy/check.ts";
import { whyNoPressure } from "./absence.ts";
import { readAncestry } from "./ancestry.ts";
import {
  ancestorsOf,
  type Cgroup,
  childrenOf,
  readCounters,
  tryReadControl,
  tryReadSnapshot,
  walk,
} from "./cgroup.ts";
import { tryReadText } from "./files.ts";
import { readMeminfo } from "./machine.ts";

interface RequirementCheck {
  readonly verdict: Verdict;
  /** One line. */
  readonly message: string;
}

const ok = (message: string): RequirementCheck => ({ verdict: "ok", message });
const notOk = (message: string): RequirementCheck => ({ verdict: "not_ok", message });
const unknown = (message: string): RequirementCheck => ({ verdict: "unknown", message });
const okUnless = (refused: string | undefined, message: string) =>
  refused === undefined ? ok(message) : notOk(refused);

export type Requirement = keyof typeof CHECKS;

export const checkRequirements = (requirement: Requirement, cgroup: Cgroup): RequirementCheck =>
  CHECKS[requirement](cgroup);

const isVersion = (requested: 1 | 2) => ({ hierarchy: { version, mount } }: Cgroup) => {
  const found = `the memory controller is in cgroup v${version.number}, at ${mount}`;
  return version.number === requested ? ok(found) : notOk(found);
};

const UNKNOWN_MACHINE = "the machine of a copied tree is unknown";

const CHECKS = {
  limit(cgroup) {
    const { cgroupLimit, certain, unreadable } = readAncestry(cgroup);
    if (cgroupLimit.bytes !== Infinity) {
      return ok(`limited by ${cgroupLimit.owner ?? "an ancestor that is not visible"}`);
    }
    const [path] = unreadable;
    if (path !== undefined) return unknown(`the limit of ${path} cannot be read`);
    return certain
      ? notOk("no limit on this cgroup or any parent")
      : unknown("no visible limit; its ancestors are not visible");
  },

  psi(cgroup) {
    const { dir, hierarchy: { version, kernel } } = cgroup;
    const hasFile = version.number === 2;
    if (!hasFile && !kernel) return unknown(UNKNOWN_MACHINE);
    const path = hasFile ? `${dir}/memory.pressure` : "/proc/pressure/memory";
    const text = hasFile ? tryReadControl(cgroup, "memory.pressure") : tryReadText(path);
    return parsePressure(text ?? "")
      ? ok(`${path} is available`)
      : notOk(kernel ? whyNoPressure(hasFile ? dir : undefined) : `${path} has no pressure`);
  },

  v1: isVersion(1),
  v2: isVersion(2),

  notify({ dir, hierarchy: { version } }) {
    if (version.number === 2) {
      const path = `${dir}/memory.events`;
      return okUnless(canWatch(path), `${path} accepts an inotify watch`);
    }
    // Real-time kernels have no v1 notifications: kernel, mm/memcontrol-v1.c, memcg_write_event_control.
    if (tryReadText("/sys/kernel/realtime")?.trim() === "1") {
      return notOk("a real-time kernel has no v1 notifications");
    }
    const path = `${dir}/cgroup.event_control`;
    const refused = canOpen(path, { write: true }) ?? canOpen(`${dir}/memory.oom_control`, {});
    return okUnless(refused, `${path} is writable`);
  },

  kmsg: ({ hierarchy: { kernel } }) =>
    kernel ? okUnless(canReadKernelLog(), "/dev/kmsg is readable") : unknown(UNKNOWN_MACHINE),

  write({ dir, hierarchy: { version } }) {
    const path = `${dir}/${version.limitFile}`;
    return okUnless(canOpen(path, { write: true }), `${path} is writable`);
  },

  "swap-off"(cgroup) {
    if (!cgroup.hierarchy.kernel) return unknown(UNKNOWN_MACHINE);
    const { swapTotal } = readMeminfo();
    if (swapTotal === undefined) return unknown("/proc/meminfo does not show swap");
    if (swapTotal === 0) return ok("the machine has no swap");
    const swapless = [cgroup, ...ancestorsOf(cgroup)].find((each) => {
      const { limits } = tryReadSnapshot(each);
      return limits.swap === 0 || (limits.memsw !== undefined && limits.memsw === limits.max);
    });
    return swapless
      ? ok(`${swapless.path} may not swap`)
      : notOk("the machine has swap, and the cgroup may use it");
  },

  killer(cgroup) {
    const snapshot = tryReadSnapshot(cgroup);
    if (cgroup.hierarchy.version.canDisableOomKiller && snapshot.oomKillDisabled === undefined) {
      return unknown("memory.oom_control cannot be read");
    }
    return snapshot.oomKillDisabled
      ? notOk(
        `oom_kill_disable is set${snapshot.underOom ? ", and allocators are waiting now" : ""}`,
      )
      : ok("the kernel's OOM killer is enabled");
  },

  "no-kills"(cgroup) {
    const { local, subtree } = readCounters(cgroup) ?? {};
    const own = local?.oomKill;
    const kills = subtree?.oomKill ?? (own === undefined ? own : own + killsBelow(cgroup));
    if (kills === undefined) {
      return unknown("the kernel does not count kills here, or their count cannot be read");
    }
    if (kills === 0n) return ok("no OOM kill so far");
    return notOk(`${kills} OOM ${kills === 1n ? "kill" : "kills"} so far`);
  },
} as const satisfies Readonly<Record<string, (cgroup: Cgroup) => RequirementCheck>>;

/** Of v1, which counts each kill in the victim's own cgroup only. A cgroup that was removed meanwhile adds nothing. */
function killsBelow(cgroup: Cgroup): bigint {
  return childrenOf(cgroup).flatMap((child) => [...walk(child)])
    .reduce((sum, each) => sum + (readCounters(each)?.local.oomKill ?? 0n), 0n);
}

/** Opens and closes `path`. Returns why that failed, in one line; `undefined` if it succeeded. */
function canOpen(path: string, { write = false }): string | undefined {
  const verb = write ? "write" : "read";
  try {
    // Opening a FIFO would block until another process opens its other end.
    if (Deno.statSync(path).isFifo) return `cannot ${verb} ${path}: it is a FIFO`;
    Deno.openSync(path, { read: !write, write }).close();
    return undefined;
  } catch (error) {
    return `cannot ${verb} ${path}: ${reasonOf(error)}`;
  }
}

/** Takes the steps of `watch`. Returns why one failed; `undefined` if none did. */
function canReadKernelLog(): string | undefined {
  try {
    using log = openKernelLog();
    using epoll = openEpoll();
    epoll.add(log, EPOLLIN, 0);
    readInto(log, new Uint8Array(MAX_RECORD_BYTES));
    return undefined;
  } catch (error) {
    if (error instanceof OomkitError) return error.message;
    if (!(error instanceof SystemCallError)) throw error;
    return `cannot read /dev/kmsg: ${WORDS[error.code] ?? `${error.call}: ${error.code}`}`;
  }
}

const WORDS: Readonly<Record<string, string>> = {
  EPERM: "permission denied",
  EACCES: "permission denied",
  ENOENT: "no such file",
};

/** Adds and removes an inotify watch on `path`. Returns why that failed; `undefined` if it succeeded. */
function canWatch(path: string): string | undefined {
  try {
    Deno.watchFs(path).close();
    return undefined;
  } catch (error) {
    return `${path}: cannot watch it: ${reasonOf(error)}`;
  }
}

/** Without the call and path, which Deno may append too. */
const reasonOf = (error: unknown) => errorText(error).split(/: (?:open|stat) '/)[0]!;
