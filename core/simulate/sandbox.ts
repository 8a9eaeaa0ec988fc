/**
 * Cgroups of our own: what runs in them may run out of memory without harm to anything else. The name of a sandbox identifies
 * the process that created it, so a later run recognizes a stale one.
 */

import {
  ancestorsOf,
  type Cgroup,
  childrenOf,
  isThere,
  openCgroup,
  walk,
} from "../cgroup/cgroup.ts";
import { tryOwnCgroup } from "../cgroup/resolve.ts";
import { exists, readLink, tryReadText } from "../cgroup/files.ts";
import { type Hierarchy, join } from "../cgroup/hierarchy.ts";
import { killCgroup, SIGKILL } from "../control/kill.ts";
import { mayWrite, reasonOf, writeControl } from "../control/write.ts";
import { OomkitError } from "../errors.ts";
import { errnoOf } from "../kernel/libc.ts";
import { parseMeminfo, parseProcStat } from "../parse/procfs.ts";
import { delay } from "../timing.ts";
import { removeIfPossible } from "./remove.ts";

/** A cgroup is busy until its dead processes are gone; freeing 512 MiB takes 25 ms (docs/performance.md), a core dump longer. */
const MAX_MS_TO_REMOVE = 5000;
const MS_BETWEEN_REMOVALS = 2;

export type SandboxPrefix = "oomkit-sim" | "oomkit-run";

/** The process that created a sandbox. A pid is reused; together with start time and namespace it is unique. */
export interface Owner {
  readonly pid: number;
  /** Clock ticks after boot. */
  readonly startTime: bigint;
  /** Inode of the pid namespace of `pid`. */
  readonly namespace: number;
}

const NAME = /^(oomkit-(?:sim|run))-(\d{1,10})-(\d{1,20})-(\d{1,10})(?:\.\d+)?$/;

/** @param sequence distinguishes several sandboxes of one process; 0 for the first. */
export function sandboxName(prefix: SandboxPrefix, owner: Owner, sequence = 0): string {
  const name = `${prefix}-${owner.pid}-${owner.startTime}-${owner.namespace}`;
  return sequence === 0 ? name : `${name}.${sequence}`;
}

/** `undefined` for a name that is not a sandbox's. */
export function parseSandboxName(
  name: string,
): { readonly prefix: SandboxPrefix; readonly owner: Owner } | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  const [, prefix, pid, startTime, namespace] = match;
  return {
    prefix: prefix as SandboxPrefix,
    owner: { pid: Number(pid), startTime: BigInt(startTime!), namespace: Number(namespace) },
  };
}

/** This process as an owner; `undefined` without /proc. */
export function ownIdentity(): Owner | undefined {
  const stat = parseProcStat(tryReadText("/proc/self/stat") ?? "");
  const namespace = /^pid:\[(\d+)\]$/.exec(readLink("/proc/self/ns/pid") ?? "")?.[1];
  if (stat === undefined || namespace === undefined) return undefined;
  return { pid: stat.pid, startTime: stat.startTime, namespace: Number(namespace) };
}

/**
 * Whether the owner has ended. A pid of another namespace cannot be looked up, so it counts as alive: a cgroup that stays is
 * better than a running simulation that is killed.
 */
export function hasEnded(owner: Owner, observer: Owner): boolean {
  if (owner.namespace !== observer.namespace) return false;
  const stat = parseProcStat(tryReadText(`/proc/${owner.pid}/stat`) ?? "");
  if (stat === undefined || stat.startTime !== owner.startTime) return true;
  return stat.state === "Z" || stat.state === "X";
}

export interface Refusal {
  /** Why there is no sandbox, worded to follow a colon. */
  readonly refused: string;
}

/**
 * The cgroup in which a sandbox can be created. On v1 every cgroup can have children: it is oomkit's own. On v2 it is the
 * nearest one that gives its children the memory controller and has a writable cgroup.procs, because moving a process
 * takes write access to that of the common ancestor (kernel, cgroup-v2.rst, "Delegation Containment"). This finds a user's
 * slice under systemd.
 */
export function findParent(hierarchy: Hierarchy): Cgroup | Refusal {
  if (!hierarchy.kernel) return { refused: `${hierarchy.mount} is not a kernel's cgroup tree` };
  if (!hierarchy.writable) return { refused: `${hierarchy.mount} is mounted read-only` };
  const own = tryOwnCgroup(hierarchy);
  if (own === undefined) {
    return { refused: `oomkit's own cgroup is not visible below ${hierarchy.mount}` };
  }
  if (!hierarchy.version.delegatesControllers) {
    const denied = mayWrite(`${own.dir}/cgroup.procs`);
    return denied === undefined ? own : { refused: notPermitted(own, denied) };
  }
  const refusals: string[] = [];
  for (const candidate of [own, ...ancestorsOf(own)]) {
    const refused = whyNoChild(candidate);
    if (refused === undefined) return candidate;
    refusals.push(refused);
  }
  const isSession = /\/session-[^/]+\.scope$/.test(own.path) &&
    mayWrite(`${own.dir}/cgroup.procs`) !== undefined;
  const hint = isSession ? "; `systemd-run --user --scope` provides a delegated one" : "";
  return { refused: `${refusals[0]}${hint}` };
}

function whyNoChild(cgroup: Cgroup): string | undefined {
  const denied = mayWrite(`${cgroup.dir}/cgroup.procs`);
  if (denied !== undefined) return notPermitted(cgroup, denied);
  const lacking = enableMemory(cgroup);
  return lacking && `${cgroup.path} ${lacking}`;
}

const notPermitted = ({ dir }: Cgroup, reason: string) =>
  `no permission to create a cgroup (${dir}/cgroup.procs: ${reason})`;

/** Why the children of a v2 cgroup have no memory controller; `undefined` when they have, or have it from now on. */
function enableMemory({ dir }: Cgroup): string | undefined {
  const words = (name: string) => (tryReadText(`${dir}/${name}`) ?? "").split(/\s+/);
  if (words("cgroup.subtree_control").includes("memory")) return undefined;
  if (!words("cgroup.controllers").includes("memory")) return "has no memory controller";
  // Only the real root has no cgroup.type, and only it may have both processes and controllers for its children.
  if (exists(`${dir}/cgroup.type`)) return "does not give its children the memory controller";
  const failure = writeControl(`${dir}/cgroup.subtree_control`, "+memory");
  return failure && `cannot give its children the memory controller: ${failure}`;
}

export interface SandboxOptions {
  readonly prefix: SandboxPrefix;
  /** Bytes; absent: only the limits of ancestors apply. */
  readonly limit?: number;
  /** v2 `memory.oom.group`: the kernel kills everything in the sandbox together. */
  readonly group?: boolean;
  /** What is in the sandbox may be swapped out. */
  readonly keepsSwap?: boolean;
}

export interface Sandbox {
  readonly cgroup: Cgroup;
  /** A process that writes its pid (or "0") here moves in. */
  readonly procsFile: string;
  /** Nothing in the sandbox can be swapped out, so usage reaches the limit in time. */
  readonly swapOff: boolean;
  /** `memory.oom.group` is set; v1 does not have it. */
  readonly groupKill: boolean;
  /** Kills what is left in the sandbox and removes it; harmless when it is gone. Throws {@link OomkitError} if it stays busy. */
  remove(): Promise<void>;
}

/**
 * Creates a sandbox below oomkit's own cgroup, or below the nearest ancestor that permits it; or returns why that fails.
 * Throws {@link OomkitError} when the kernel refuses the limit.
 */
export function createSandbox(hierarchy: Hierarchy, options: SandboxOptions): Sandbox | Refusal {
  const parent = findParent(hierarchy);
  if ("refused" in parent) return parent;
  const cgroup = makeCgroup(parent, options.prefix);
  if ("refused" in cgroup) return cgroup;
  try {
    return configure(cgroup, options);
  } catch (error) {
    removeIfPossible(cgroup.dir);
    throw error;
  }
}

function makeCgroup(parent: Cgroup, prefix: SandboxPrefix): Cgroup | Refusal {
  const owner = ownIdentity();
  if (owner === undefined) return { refused: "/proc is not mounted" };
  for (let sequence = 0;; sequence++) {
    const name = sandboxName(prefix, owner, sequence);
    try {
      Deno.mkdirSync(`${parent.dir}/${name}`);
    } catch (error) {
      if (errnoOf(error) === "EEXIST") continue;
      return { refused: `${parent.dir}: ${reasonOf(error)}` };
    }
    const cgroup = openCgroup(parent.hierarchy, join(parent.path, name));
    if (cgroup !== undefined) return cgroup;
    removeIfPossible(`${parent.dir}/${name}`);
    return { refused: `${parent.dir}/${name} is not visible` };
  }
}

function configure(
  cgroup: Cgroup,
  { limit, group = false, keepsSwap = false }: SandboxOptions,
): Sandbox {
  const { dir } = cgroup;
  if (limit !== undefined) {
    const failure = writeControl(`${dir}/${cgroup.hierarchy.version.limitFile}`, String(limit));
    if (failure !== undefined) {
      throw new OomkitError(`cannot limit ${cgroup.path} to ${limit} bytes: ${failure}`);
    }
  }
  // A v1 child inherits a disabled OOM killer, and then an allocator would sleep at the limit for ever.
  if (exists(`${dir}/memory.oom_control`)) writeControl(`${dir}/memory.oom_control`, "0");
  const groupFile = `${dir}/memory.oom.group`;
  return {
    cgroup,
    procsFile: `${dir}/cgroup.procs`,
    swapOff: !keepsSwap && disableSwap(dir, limit),
    groupKill: group && exists(groupFile) && writeControl(groupFile, "1") === undefined,
    remove: () => removeCgroup(cgroup),
  };
}

/**
 * v2 has a separate limit for swap. v1 has one for memory and swap together, often compiled out; swappiness 0 works too,
 * because for a cgroup's own limit it forbids swapping altogether (kernel, cgroup-v1/memory.rst, section 5.3).
 */
function disableSwap(dir: string, limit: number | undefined): boolean {
  const wrote = (name: string, value: string) =>
    exists(`${dir}/${name}`) && writeControl(`${dir}/${name}`, value) === undefined;
  if (wrote("memory.swap.max", "0")) return true;
  // The joint limit is charged first and counts the hits instead of `memory.failcnt`: without swap it would only hide them.
  if (parseMeminfo(tryReadText("/proc/meminfo") ?? "").swapTotal === 0) return true;
  const isJoint = limit !== undefined && wrote("memory.memsw.limit_in_bytes", String(limit));
  return wrote("memory.swappiness", "0") || isJoint;
}

/**
 * Kills everything in the cgroup and its descendants, and removes all of them; harmless when the cgroup is gone, or when
 * another one has taken its place. Throws {@link OomkitError} when a process in it does not die.
 */
export async function removeCgroup(cgroup: Cgroup, maxMs = MAX_MS_TO_REMOVE): Promise<void> {
  const deadline = performance.now() + maxMs;
  while (isThere(cgroup)) {
    const failure = tryToRemove(cgroup);
    if (failure === undefined) return;
    if (performance.now() > deadline) {
      throw new OomkitError(
        `cannot remove ${cgroup.dir}: ${failure} after ${maxMs / 1000} s`,
        "end its processes and remove it with rmdir",
      );
    }
    await delay(MS_BETWEEN_REMOVALS);
  }
}

/** Why the cgroup is still there. */
function tryToRemove(cgroup: Cgroup): string | undefined {
  // Without cgroup.kill this is one round, repeated with each attempt: processes may have forked meanwhile.
  killCgroup(cgroup, SIGKILL, false, { pids: new Set([Deno.pid]) }, false);
  for (const each of [...walk(cgroup)].reverse()) {
    try {
      Deno.removeSync(each.dir);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "ENOENT") continue;
      return errno === "EBUSY" || errno === "ENOTEMPTY" ? "it is busy" : reasonOf(error);
    }
  }
  return undefined;
}

/**
 * Removes stale sandboxes, and kills what runs in them, where this run would create its own. Takes only cgroups that have a
 * sandbox name, belong to the calling user, and have an owner that has ended.
 */
export async function removeStale(hierarchy: Hierarchy) {
  const parent = findParent(hierarchy);
  /** Cgroup paths. */
  const removed: string[] = [];
  /** One line, with the reason, for each that could not be removed. */
  const failed: string[] = [];
  for (const cgroup of "refused" in parent ? [] : childrenOf(parent).filter(isStale)) {
    try {
      await removeCgroup(cgroup);
      removed.push(cgroup.path);
    } catch (error) {
      if (!(error instanceof OomkitError)) throw error;
      failed.push(error.message);
    }
  }
  return { removed, failed };
}

function isStale({ path, dir }: Cgroup): boolean {
  if (!isLeftBehind(path.slice(path.lastIndexOf("/") + 1))) return false;
  // Where /proc hides the processes of other users (hidepid), theirs only seem to have ended.
  try {
    return Deno.statSync(dir).uid === Deno.uid();
  } catch {
    return false;
  }
}

/** Whether a sandbox's name is that of a process that has ended. */
export function isLeftBehind(name: string): boolean {
  const owner = parseSandboxName(name)?.owner;
  const observer = owner && ownIdentity();
  return observer !== undefined && hasEnded(owner!, observer);
}
