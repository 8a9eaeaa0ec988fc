/** The names of our own cgroups: they tell who made them, so that a later run knows which were left behind. */

import { ancestorsOf, type Cgroup, isThere, openCgroup, walk } from "../cgroup/cgroup.ts";
import { exists, readLink, tryReadText } from "../cgroup/files.ts";
import { type Hierarchy, join } from "../cgroup/hierarchy.ts";
import { killCgroup, SIGKILL } from "../control/kill.ts";
import { mayWrite, reasonOf, writeControl } from "../control/write.ts";
import { OomkitError } from "../errors.ts";
import { errnoOf } from "../kernel/libc.ts";
import { parseMeminfo, parseProcStat } from "../parse/procfs.ts";
import { delay } from "../timing.ts";

export type SandboxPrefix = "oomkit-sim" | "oomkit-run";

/** Who made a sandbox. A pid alone comes back; with the start time and the namespace it does not. */
export interface Owner {
  readonly pid: number;
  /** Clock ticks after boot. */
  readonly startTime: bigint;
  /** Inode of the pid namespace in which `pid` counts. */
  readonly namespace: number;
}

const NAME = /^(oomkit-(?:sim|run))-(\d{1,10})-(\d{1,20})-(\d{1,10})(?:\.\d+)?$/;

/** @param sequence tells several sandboxes of one process apart; 0 for the first. */
export function sandboxName(prefix: SandboxPrefix, owner: Owner, sequence = 0): string {
  const name = `${prefix}-${owner.pid}-${owner.startTime}-${owner.namespace}`;
  return sequence === 0 ? name : `${name}.${sequence}`;
}

/** `undefined` for a name that is not ours. */
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

/** This process; `undefined` without /proc. */
export function self(): Owner | undefined {
  const stat = parseProcStat(tryReadText("/proc/self/stat") ?? "");
  const namespace = /^pid:\[(\d+)\]$/.exec(readLink("/proc/self/ns/pid") ?? "")?.[1];
  if (stat === undefined || namespace === undefined) return undefined;
  return { pid: stat.pid, startTime: stat.startTime, namespace: Number(namespace) };
}

/**
 * Whether `owner` has ended. A pid of another namespace cannot be looked up from here, so it counts as alive: better a
 * cgroup too many than somebody's running simulation killed.
 */
export function isGone(owner: Owner, observer: Owner): boolean {
  if (owner.namespace !== observer.namespace) return false;
  const stat = parseProcStat(tryReadText(`/proc/${owner.pid}/stat`) ?? "");
  if (stat === undefined || stat.startTime !== owner.startTime) return true;
  return stat.state === "Z" || stat.state === "X";
}

/* Beneath which cgroup a sandbox with a memory limit of its own can be made. */

export interface Refusal {
  /** Why there is no sandbox, to be put behind "since" or a colon. */
  readonly refused: string;
}

/**
 * On v1 every cgroup can have children: the own one. On v2 the nearest that hands memory to its children and whose
 * cgroup.procs may be written, since moving a process takes the right to write that of the common ancestor (kernel,
 * cgroup-v2.rst, "Delegation Containment"). A user's slice under systemd is found in this way.
 */
export function findParent(hierarchy: Hierarchy): Cgroup | Refusal {
  if (!hierarchy.kernel) return { refused: `${hierarchy.mount} is not a kernel's cgroup tree` };
  if (!hierarchy.writable) return { refused: `${hierarchy.mount} is mounted read-only` };
  const own = hierarchy.own === undefined ? undefined : openCgroup(hierarchy, hierarchy.own);
  if (own === undefined) {
    return { refused: `the own cgroup cannot be seen beneath ${hierarchy.mount}` };
  }
  const denied = mayWrite(`${own.dir}/cgroup.procs`);
  if (!hierarchy.version.delegatesControllers) {
    return denied === undefined ? own : { refused: notPermitted(own, denied) };
  }
  const reasons: string[] = [];
  for (const candidate of [own, ...ancestorsOf(own)]) {
    const closed = mayWrite(`${candidate.dir}/cgroup.procs`);
    const lacking = closed === undefined ? withoutMemory(candidate) : undefined;
    if (closed === undefined && lacking === undefined) return candidate;
    reasons.push(
      closed === undefined ? `${candidate.path} ${lacking}` : notPermitted(candidate, closed),
    );
  }
  const session = denied !== undefined && /\/session-[^/]+\.scope$/.test(own.path);
  const hint = session ? "; `systemd-run --user --scope` gives a delegated one" : "";
  return { refused: `${reasons[0]}${hint}` };
}

const notPermitted = ({ dir }: Cgroup, why: string) =>
  `no right to make a cgroup (${dir}/cgroup.procs: ${why})`;

/** Why the children of a v2 cgroup have no memory controller; `undefined` when they have, or now have. */
function withoutMemory({ dir }: Cgroup): string | undefined {
  const words = (name: string) => (tryReadText(`${dir}/${name}`) ?? "").split(/\s+/);
  if (words("cgroup.subtree_control").includes("memory")) return undefined;
  if (!words("cgroup.controllers").includes("memory")) return "has no memory controller";
  // Only the real root has no cgroup.type, and only it may have both processes and controllers for its children.
  if (exists(`${dir}/cgroup.type`)) return "does not hand memory on to its children";
  const failure = writeControl(`${dir}/cgroup.subtree_control`, "+memory");
  return failure && `cannot hand memory on to its children: ${failure}`;
}

/* Ends whatever is in a cgroup of our own and removes it. */

/** A cgroup is busy until its dead have left; freeing 512 MiB takes 25 ms (docs/performance.md), a core dump longer. */
const PATIENCE_MS = 5000;
const PAUSE_MS = 2;

/**
 * Kills everything in the cgroup and beneath it, and removes all of it; harmless when it is gone, or when another has
 * taken its place. Throws {@link OomkitError} when something in it does not die.
 */
export async function removeCgroup(cgroup: Cgroup): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (isThere(cgroup)) {
    const failure = tryToRemove(cgroup);
    if (failure === undefined) return;
    if (performance.now() > deadline) {
      throw new OomkitError(
        `cannot remove ${cgroup.dir}: ${failure} after ${PATIENCE_MS / 1000} s`,
        "end what is in it and remove it with rmdir",
      );
    }
    await delay(PAUSE_MS);
  }
}

/** Why the cgroup is still there. */
function tryToRemove(cgroup: Cgroup): string | undefined {
  // Without cgroup.kill this is one round, repeated with the removal: processes may have forked meanwhile.
  killCgroup(cgroup, SIGKILL, false, new Set([Deno.pid]), false);
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

/* A cgroup of our own with a limit, in which something may run out of memory without harm to anything else. */

export interface SandboxOptions {
  readonly prefix: SandboxPrefix;
  /** Bytes; without it only what the ancestors allow limits it. */
  readonly limit?: number;
  /** v2 `memory.oom.group`: the kernel kills everything in it at once. */
  readonly group?: boolean;
}

export interface Sandbox {
  readonly cgroup: Cgroup;
  /** A process that writes its pid (or "0") here moves in. */
  readonly procsFile: string;
  /** Nothing in it can be swapped out, so that usage meets the limit in time. */
  readonly swapOff: boolean;
  /** `memory.oom.group` is set; there is none on v1. */
  readonly groupKill: boolean;
  /** Kills what is left in it and removes it; harmless when it is gone. Throws {@link OomkitError} if it stays busy. */
  remove(): Promise<void>;
}

/**
 * Makes a sandbox beneath the own cgroup, or beneath the nearest ancestor that permits it; or tells why that cannot be.
 * Throws {@link OomkitError} when the kernel refuses the limit.
 */
export function createSandbox(hierarchy: Hierarchy, options: SandboxOptions): Sandbox | Refusal {
  const parent = findParent(hierarchy);
  if ("refused" in parent) return parent;
  const made = makeDirectory(parent, options.prefix);
  if ("refused" in made) return made;
  try {
    return furnish(made, options);
  } catch (error) {
    Deno.removeSync(made.dir);
    throw error;
  }
}

function makeDirectory(parent: Cgroup, prefix: SandboxPrefix): Cgroup | Refusal {
  const owner = self();
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
    return cgroup ?? { refused: `${parent.dir}/${name} vanished` };
  }
}

function furnish(cgroup: Cgroup, { limit, group = false }: SandboxOptions): Sandbox {
  const { dir } = cgroup;
  const { version } = cgroup.hierarchy;
  if (limit !== undefined) {
    const failure = writeControl(`${dir}/${version.limitFile}`, String(limit));
    if (failure !== undefined) {
      throw new OomkitError(`cannot limit ${cgroup.path} to ${limit} bytes: ${failure}`);
    }
  }
  // v1 children inherit a killer that is switched off, and then an allocator would sleep at the limit for ever.
  if (exists(`${dir}/memory.oom_control`)) writeControl(`${dir}/memory.oom_control`, "0");
  const groupFile = `${dir}/memory.oom.group`;
  return {
    cgroup,
    procsFile: `${dir}/cgroup.procs`,
    swapOff: switchSwapOff(dir, limit),
    groupKill: group && exists(groupFile) && writeControl(groupFile, "1") === undefined,
    remove: () => removeCgroup(cgroup),
  };
}

/**
 * v2 has a limit of its own for swap. v1 has one for memory and swap together, often compiled out; swappiness 0 does it
 * too, since for a cgroup's own limit it forbids swapping altogether (kernel, cgroup-v1/memory.rst, section 5.3).
 */
function switchSwapOff(dir: string, limit: number | undefined): boolean {
  const done = (name: string, value: string) =>
    exists(`${dir}/${name}`) && writeControl(`${dir}/${name}`, value) === undefined;
  if (done("memory.swap.max", "0")) return true;
  // The joint limit is charged first and takes over `memory.failcnt`: without swap it would only hide the hits.
  if (withoutSwap()) return true;
  const together = limit !== undefined && done("memory.memsw.limit_in_bytes", String(limit));
  return done("memory.swappiness", "0") || together;
}

function withoutSwap(): boolean {
  return parseMeminfo(tryReadText("/proc/meminfo") ?? "").swapTotal === 0;
}
