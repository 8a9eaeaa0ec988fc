/**
 * The system calls of the random kernel: the control files, /proc, pidfds and clock that the monitor thread sees of a {@link World}.
 * No call reaches the real kernel, so a virtual second takes a millisecond, and any call can fail with any errno.
 */

import type { Hierarchy } from "../../core/cgroup/hierarchy.ts";
import { versionOf } from "../../core/cgroup/versions.ts";
import { isInSubtree } from "../../core/cgroup_path.ts";
import { SIGCONT, SIGKILL, SIGSTOP, SIGTERM } from "../../core/control/kill.ts";
import type { JoinedEpoll } from "../../core/kernel/epoll.ts";
import { osError, replaceCall, setErrno, textOf } from "../helpers/replaced_calls.ts";
import {
  charge,
  exit,
  reclaim,
  type SimulatedProcess,
  usageOf,
  type World,
} from "./random_kernel.ts";

/** No such directory exists. */
const ROOT = "/oomkit-model";
/** The guarded cgroup, and one below it. */
export const SCOPE = "/a";
export const CHILD = "/a/child";
/** A rule exempts it. */
export const KEPT = "/a/kept";
/** It has the attribute {@link OMIT}. */
export const OMITTED = "/a/omitted";
const OMITTED_DIR = `${ROOT}${OMITTED}`;
const OMIT = "user.oomd_omit";
const OUTSIDE = "/b";
const CGROUPS = ["/", SCOPE, CHILD, KEPT, OMITTED, OUTSIDE] as const;
/** Above the highest pid_max (include/linux/threads.h, PID_MAX_LIMIT), so that no real process has one. */
export const FIRST_PID = 5_000_000;
const FIRST_INODE = 100;
const DEVICE = 1;

/** What a call that costs nothing else takes on a fast machine (milliseconds). */
export const CALL_MS = 0.004;
/** The world moves in steps of at most this (milliseconds). */
const STEP_MS = 5;
const MAX_WAIT_MS = 1000;

const [EPERM, ENOENT, ESRCH, EBADF, EIO] = [1, 2, 3, 9, 5] as const;
/** EPERM ENOENT ESRCH EINTR EIO EAGAIN ENOMEM EACCES EBUSY ENODEV EINVAL ENFILE EMFILE ENOSYS EOPNOTSUPP */
const ERRNOS = [1, 2, 3, 4, 5, 11, 12, 13, 16, 19, 22, 23, 24, 38, 95] as const;
/** EINTR, EIO, EAGAIN, ENOMEM, ENFILE, EMFILE */
const TRANSIENT = new Set<number>([4, 5, 11, 12, 23, 24]);
/** Without those that say that a cgroup was removed: that is how the guard finds out. */
const STAT_ERRNOS = [1, 4, 5, 11, 12, 13, 22, 23, 24] as const;

export const CALLS = [
  "open",
  "read",
  "write",
  "stat",
  "list",
  "xattr",
  "pidfd_open",
  "signal",
  "poll",
  "mrelease",
] as const;
type CallKind = (typeof CALLS)[number];

/** Which calls fail. `fixed`: the same call on the same object always does, with the same errno; `random`: any call may. */
export interface Faults {
  readonly pattern: "fixed" | "random";
  readonly probability: number;
  readonly calls: readonly CallKind[];
  /** Milliseconds. */
  readonly from: number;
  readonly until: number;
  readonly seed: number;
}

/**
 * `move`: to a cgroup outside of the scope. `deny`: its credentials change, and it may not be signalled any more. `kill`: another program
 * or the kernel kills it.
 */
export type Incident = "move" | "deny" | "exit" | "kill" | "freeze" | "thaw" | "remove";

export interface ModelProcess extends SimulatedProcess {
  /** The cgroup that lists it. Its memory stays charged to the guarded one when it moves. */
  cgroup: string;
  /** Bytes for each millisecond. */
  readonly growth: number;
  /** From SIGKILL to its exit (milliseconds); `Infinity` in an uninterruptible sleep. */
  readonly exitMs: number;
  /** The same from SIGTERM; `Infinity` when it ignores that. */
  readonly termMs: number;
  /** Whether process_mrelease(2) frees its memory. */
  readonly canBeReaped: boolean;
  mayBeSignalled: boolean;
  /** What happens as soon as a pidfd of it is open. */
  onPin?: Incident | undefined;
  isStopped: boolean;
  pinnedAt: number;
  /** Where it was, and when it left. */
  left?: { readonly cgroup: string; readonly at: number };
  exitedAt?: number;
}

export interface ModelSettings {
  readonly version: 1 | 2;
  /** Linux 5.14 or later. */
  readonly hasCgroupKill: boolean;
  readonly hasOomGroup: boolean;
  readonly hasReclaim: boolean;
  /** The share of page cache that a reclaim frees. */
  readonly reclaimable: number;
  /** Whether descriptors suffice to keep control files open. */
  readonly hasDescriptors: boolean;
  readonly mayKillImmune: boolean;
  readonly limit: number;
  readonly cache: number;
  readonly oomKillerDisabled: boolean;
  readonly faults: Faults | undefined;
  /** What a call that costs nothing else takes (milliseconds). */
  readonly callMs: number;
  /** The share of calls after which the thread loses its CPU for some milliseconds. */
  readonly preemption: number;
  readonly incidents: readonly {
    readonly at: number;
    readonly what: Incident | "appear";
    readonly index: number;
  }[];
  /** Those that appear later. */
  readonly newcomers: readonly ModelProcess[];
}

export interface Delivered {
  readonly process: ModelProcess;
  readonly signal: number;
  readonly at: number;
}

type Descriptor =
  | { readonly kind: "directory" | "file"; readonly path: string; offset: number }
  | { readonly kind: "pidfd"; readonly process: ModelProcess };

/** Reclaims keep their files open beyond the end of a loop; their numbers are never used again. */
let nextReclaimFd = 1_000_000_000;
const FIRST_FD = 300;
/** More than half of any limit, so that no control file stays open. */
const FIRST_SCARCE_FD = 500_000_000;

/** A hash of the text, in [0, 1). */
function hash(text: string, seed: number): number {
  let value = 2166136261 ^ seed;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 16777619);
  value = Math.imul(value ^ value >>> 15, 2246822519);
  value = Math.imul(value ^ value >>> 13, 3266489917);
  return ((value ^ value >>> 16) >>> 0) / 2 ** 32;
}

class CallError extends Error {
  constructor(readonly errno: number) {
    super(`errno ${errno}`);
  }
}

const fail = (errno: number): never => {
  throw new CallError(errno);
};

export class ModelKernel implements Disposable {
  readonly world: World<ModelProcess>;
  readonly delivered: Delivered[] = [];
  /** What the guard must never do, and did. */
  readonly violations: string[] = [];
  readonly processes: ModelProcess[];
  isFrozen = false;
  isFrozenByGuard = false;
  isRemoved = false;
  /** No call fails before: a cgroup that cannot be opened is added again, by the main thread. */
  isGuarded = false;
  /** Calls that failed although the object was in order. */
  injected = 0;
  readonly #descriptors = new Map<number, Descriptor>();
  readonly #procsReadAt = new Map<string, number>();
  readonly #incidents: { at: number; what: Incident | "appear"; index: number }[];
  #settledAt = 0;
  #isOmitted = true;
  #count = 0;
  readonly #now = performance.now;
  readonly #wait = Atomics.wait;

  constructor(readonly settings: ModelSettings, processes: readonly ModelProcess[]) {
    this.processes = [...processes];
    this.#incidents = settings.incidents.toSorted((a, b) => a.at - b.at);
    this.world = {
      now: 0,
      limit: settings.limit,
      cache: settings.cache,
      reclaimed: 0,
      processes: [...processes],
      oomKillerDisabled: settings.oomKillerDisabled,
      kernelKills: 0,
    };
    performance.now = () => this.world.now;
    Atomics.wait = ((_array: Int32Array, _at: number, _value: number, ms = 0) => {
      this.pass(ms);
      return "timed-out";
    }) as typeof Atomics.wait;
    active = this;
  }

  [Symbol.dispose](): void {
    performance.now = this.#now;
    Atomics.wait = this.#wait;
    active = undefined;
  }

  get hierarchy(): Hierarchy {
    return {
      version: versionOf(this.settings.version),
      mount: ROOT,
      device: DEVICE,
      nested: [],
      root: "/",
      kernel: true,
      writable: true,
      hybrid: false,
      hidden: false,
      shifted: false,
    };
  }

  /** Waits as epoll_wait(2) without an event. */
  readonly epoll: JoinedEpoll = {
    block: (ms) => {
      this.pass(Math.max(this.settings.callMs, Math.min(ms, MAX_WAIT_MS)));
      return { events: [], woken: 0 };
    },
    add() {},
    remove() {},
  };

  /** Open descriptors, without those of reclaims. */
  get leaked(): readonly string[] {
    return [...this.#descriptors].flatMap(([fd, open]) => {
      if (fd >= 1_000_000_000) return [];
      return open.kind === "pidfd" ? `pidfd of ${open.process.pid}` : open.path;
    });
  }

  get usage(): number {
    return usageOf(this.world);
  }

  pass(ms: number): void {
    this.world.now += ms;
    this.settle();
  }

  /** Brings the world to the present. */
  settle(): void {
    const { world } = this;
    const end = world.now;
    while (this.#settledAt < end) {
      const next = Math.min(end, this.#settledAt + STEP_MS, this.#incidents[0]?.at ?? Infinity);
      const over = Math.max(0, next - this.#settledAt);
      this.#settledAt = world.now = Math.max(next, this.#settledAt);
      while (this.#incidents[0] && this.#incidents[0].at <= world.now) {
        const { what, index } = this.#incidents.shift()!;
        this.#happen(what, index);
      }
      for (const process of [...world.processes]) this.#live(process, over);
    }
    world.now = end;
  }

  #live(process: ModelProcess, over: number): void {
    const { world: { now }, settings: { version } } = this;
    const { killedAt, terminatedAt, exitMs, termMs, isStopped } = process;
    const isFrozen = this.isFrozen || this.isFrozenByGuard;
    // On v1 a frozen process exits when it thaws.
    if (killedAt !== undefined && now >= killedAt + exitMs && !(isFrozen && version === 1)) {
      return this.#leave(process);
    }
    if (isFrozen || isStopped || killedAt !== undefined) return;
    if (terminatedAt !== undefined && now >= terminatedAt + termMs) return this.#leave(process);
    if (process.growth > 0 && isInSubtree(process.cgroup, SCOPE)) {
      this.#grow(process, process.growth * over);
    }
  }

  #grow(process: ModelProcess, bytes: number): void {
    const { world } = this;
    const room = Math.floor(world.limit - (usageOf(world) - world.cache));
    const charged = Math.floor(Math.min(bytes, Math.max(0, room)));
    if (charged > 0) charge(world, process, charged);
    if (charged < Math.floor(bytes) && !world.oomKillerDisabled) this.#oom();
  }

  /** The kernel's own kill, which waits for a process that is being killed. */
  #oom(): void {
    const { world } = this;
    const members = world.processes.filter(({ cgroup }) => isInSubtree(cgroup, SCOPE));
    if (this.isFrozen || members.some(({ killedAt }) => killedAt !== undefined)) return;
    const victim =
      members.filter(({ protection, exitMs }) => protection !== "immune" && Number.isFinite(exitMs))
        .toSorted((a, b) => b.anon - a.anon)[0];
    if (victim === undefined) return;
    world.kernelKills += 1;
    this.#leave(victim);
  }

  #leave(process: ModelProcess): void {
    exit(this.world, process);
    process.exitedAt = this.world.now;
  }

  #happen(what: Incident | "appear", index: number): void {
    const { world, settings: { newcomers } } = this;
    const process = world.processes[index % Math.max(1, world.processes.length)];
    switch (what) {
      case "freeze":
        return void (this.isFrozen = true);
      case "thaw":
        return void (this.isFrozen = false);
      case "remove":
        for (const each of [...world.processes]) this.#leave(each);
        world.cache = 0;
        return void (this.isRemoved = true);
      case "appear": {
        const newcomer = newcomers[index % Math.max(1, newcomers.length)];
        if (newcomer === undefined || this.processes.includes(newcomer) || this.isRemoved) return;
        if (newcomer.anon > world.limit - usageOf(world)) newcomer.anon = 0;
        this.processes.push(newcomer);
        return void world.processes.push(newcomer);
      }
      case "move":
        if (process === undefined || process.cgroup === OUTSIDE) return;
        process.left = { cgroup: process.cgroup, at: world.now };
        return void (process.cgroup = OUTSIDE);
      case "deny":
        if (process) process.mayBeSignalled = false;
        return;
      case "exit":
        if (process && Number.isFinite(process.exitMs)) this.#leave(process);
        return;
      case "kill":
        if (process && Number.isFinite(process.exitMs)) process.killedAt ??= world.now;
        return;
    }
  }

  /** Counts a call, and throws where it is to fail. */
  #enter(kind: CallKind, object: string): void {
    const { faults, callMs, preemption } = this.settings;
    this.#count += 1;
    this.world.now += callMs;
    if (preemption > 0 && hash(`cpu ${this.#count}`, 7) < preemption) this.world.now += 8;
    if (!this.isGuarded || faults === undefined) return;
    if (this.world.now < faults.from || this.world.now >= faults.until) {
      return;
    }
    if (!faults.calls.includes(kind)) return;
    const key = faults.pattern === "fixed" ? `${kind} ${object}` : String(this.#count);
    if (hash(key, faults.seed) >= faults.probability) return;
    this.injected += 1;
    const errnos = kind === "stat" ? STAT_ERRNOS : ERRNOS;
    const errno = errnos[Math.floor(hash(`errno ${key}`, faults.seed) * errnos.length)]!;
    // An attribute that may not be read does not count.
    const isPreference = object === OMITTED_DIR || object === `${OMITTED_DIR} ${OMIT}`;
    if (isPreference && !TRANSIENT.has(errno)) this.#isOmitted = false;
    fail(errno);
  }

  // Files

  #isCgroup(path: string): boolean {
    const isMine = (CGROUPS as readonly string[]).includes(path);
    return isMine && !(this.isRemoved && isInSubtree(path, SCOPE));
  }

  stat(path: string): Partial<Deno.FileInfo> {
    this.#enter("stat", path);
    this.settle();
    const at = path.startsWith("/proc/self/fd/")
      ? this.#pathOf(Number(path.slice("/proc/self/fd/".length)))
      : path;
    const cgroup = cgroupAt(at);
    if (cgroup === undefined || !this.#isCgroup(cgroup)) {
      if (!this.#hasFile(at)) fail(ENOENT);
      return { isFile: true, isDirectory: false, uid: 0, dev: DEVICE, ino: 1 };
    }
    const ino = FIRST_INODE + (CGROUPS as readonly string[]).indexOf(cgroup);
    const nlink = 2 + childrenIn(cgroup).length;
    return { isFile: false, isDirectory: true, uid: 0, dev: DEVICE, ino, nlink };
  }

  list(path: string): Deno.DirEntry[] {
    this.#enter("list", path);
    this.settle();
    const cgroup = cgroupAt(path);
    if (cgroup === undefined || !this.#isCgroup(cgroup)) return fail(ENOENT);
    return childrenIn(cgroup).map((each) => ({
      name: each.slice(each.lastIndexOf("/") + 1),
      isDirectory: true,
      isFile: false,
      isSymlink: false,
    }));
  }

  /** Opens and reads. */
  text(path: string): string {
    this.#enter("open", path);
    if (!this.#hasFile(path)) fail(ENOENT);
    return this.#read(path);
  }

  #hasFile(path: string): boolean {
    const process = PROCESS.exec(path);
    if (process) return this.#processOf(Number(process[1])) !== undefined;
    const slash = path.lastIndexOf("/");
    const cgroup = cgroupAt(path.slice(0, slash));
    if (cgroup === undefined || !this.#isCgroup(cgroup)) return false;
    const { version, hasCgroupKill, hasReclaim } = this.settings;
    const name = path.slice(slash + 1);
    if (name === "cgroup.kill") return version === 2 && hasCgroupKill;
    if (name === "memory.reclaim") return version === 2 && hasReclaim;
    if (name === "memory.force_empty") return version === 1 && hasReclaim;
    return FILES[version].includes(name);
  }

  #read(path: string): string {
    this.#enter("read", path);
    this.settle();
    const [, pid, file] = PROCESS.exec(path) ?? [];
    if (pid !== undefined) return this.#readProcess(Number(pid), file!);
    const slash = path.lastIndexOf("/");
    const cgroup = cgroupAt(path.slice(0, slash))!;
    if (!this.#isCgroup(cgroup)) return fail(19);
    return this.#readControl(cgroup, path.slice(slash + 1));
  }

  #readControl(cgroup: string, file: string): string {
    const { world, settings: { version, hasOomGroup } } = this;
    switch (file) {
      case "cgroup.procs":
        this.#procsReadAt.set(cgroup, world.now);
        return world.processes.filter((each) => each.cgroup === cgroup)
          .map(({ pid }) => `${pid}\n`).join("");
      case "memory.current":
      case "memory.usage_in_bytes":
        return `${usageOf(world)}\n`;
      case "memory.max":
      case "memory.limit_in_bytes":
        return `${world.limit}\n`;
      case "memory.oom.group":
        return hasOomGroup && cgroup === SCOPE ? "1\n" : "0\n";
      case "memory.use_hierarchy":
        return "1\n";
      case "cgroup.type":
        return "domain\n";
      case "memory.kmem.usage_in_bytes":
        return "0\n";
      case "memory.stat": {
        const { cache } = world;
        const pages = Math.floor(world.reclaimed / 4096);
        const anon = world.processes.filter((each) => isInSubtree(each.cgroup, cgroup))
          .reduce((sum, each) => sum + each.anon, 0);
        return version === 1
          ? `total_rss ${anon}\ntotal_inactive_file ${cache}\ntotal_active_file 0\npgpgout ${pages}\n`
          : `anon ${anon}\ninactive_file ${cache}\nactive_file 0\npgsteal ${pages}\n`;
      }
      default:
        return "0\n";
    }
  }

  #readProcess(pid: number, file: string): string {
    const process = this.#processOf(pid) ?? fail(ESRCH);
    const { anon, protection, killedAt, exitMs, isStopped } = process;
    switch (file) {
      case "status": {
        // Then the signal is taken from the queue, and the address space is given up before its memory is free (kernel/exit.c, exit_mm).
        const isFreeing = killedAt !== undefined && this.world.now >= killedAt + exitMs / 10;
        const isPending = killedAt !== undefined && !isFreeing;
        const pending = isPending ? "0000000000000100" : "0".repeat(16);
        const rss = isFreeing ? "" : `VmRSS:\t${Math.ceil(anon / 1024)} kB\n`;
        return `Name:\tp${pid}\nState:\t${isStopped ? "T (stopped)" : "S (sleeping)"}\n` +
          `PPid:\t1\nNSpid:\t${pid}\n${rss}` +
          `SigPnd:\t${"0".repeat(16)}\nShdPnd:\t${pending}\n`;
      }
      case "oom_score_adj":
        return protection === "immune" ? "-1000\n" : "0\n";
      case "statm":
        return `1 ${Math.ceil(anon / 4096)} 0 0 0 0 0\n`;
      case "cmdline":
        return `p${pid}\0`;
      default:
        return fail(ENOENT);
    }
  }

  #processOf = (pid: number): ModelProcess | undefined =>
    this.world.processes.find((each) => each.pid === pid);

  /** Writes that do not go through a descriptor. */
  writeFile(path: string, text: string): void {
    this.#enter("write", path);
    this.settle();
    this.#write(path, text);
  }

  checkWritable(path: string): void {
    this.#enter("open", path);
    if (!this.#hasFile(path)) fail(ENOENT);
  }

  #write(path: string, text: string): void {
    const slash = path.lastIndexOf("/");
    const cgroup = cgroupAt(path.slice(0, slash))!;
    if (!this.#isCgroup(cgroup)) fail(19);
    switch (path.slice(slash + 1)) {
      case "cgroup.kill":
        for (const process of this.world.processes) {
          if (isInSubtree(process.cgroup, cgroup)) this.#deliver(process, SIGKILL, "cgroup.kill");
        }
        return;
      case "cgroup.freeze":
        return void (this.isFrozenByGuard = text === "1");
      case "memory.reclaim":
      case "memory.force_empty": {
        const { cache } = this.world;
        const most = path.endsWith("force_empty") ? cache : Number(text);
        return reclaim(this.world, Math.floor(Math.min(most, cache * this.settings.reclaimable)));
      }
      default:
        this.violations.push(`wrote ${path}`);
    }
  }

  // Descriptors

  #add(descriptor: Descriptor): number {
    const { hasDescriptors } = this.settings;
    if (descriptor.kind === "file" && /\.(reclaim|force_empty)$/.test(descriptor.path)) {
      this.#descriptors.set(nextReclaimFd, descriptor);
      return nextReclaimFd++;
    }
    let number = hasDescriptors ? FIRST_FD : FIRST_SCARCE_FD;
    while (this.#descriptors.has(number)) number += 1;
    this.#descriptors.set(number, descriptor);
    return number;
  }

  has = (fd: number): boolean => this.#descriptors.has(fd) || fd >= FIRST_SCARCE_FD;

  #pathOf(fd: number): string {
    const open = this.#descriptors.get(fd);
    return open === undefined || open.kind === "pidfd" ? fail(EBADF) : open.path;
  }

  open(path: string): number {
    this.#enter("open", path);
    this.settle();
    const cgroup = cgroupAt(path);
    if (cgroup !== undefined && this.#isCgroup(cgroup)) {
      return this.#add({ kind: "directory", path, offset: 0 });
    }
    if (!this.#hasFile(path)) fail(ENOENT);
    return this.#add({ kind: "file", path, offset: 0 });
  }

  openIn = (fd: number, name: string): number => this.open(`${this.#pathOf(fd)}/${name}`);

  close(fd: number): void {
    if (!this.#descriptors.delete(fd) && fd < FIRST_SCARCE_FD) {
      this.violations.push(`closed ${fd} twice`);
    }
  }

  /** @param at `undefined` for read(2). */
  fill(fd: number, buffer: ArrayBufferView<ArrayBuffer>, at?: number): number {
    const open = this.#descriptors.get(fd);
    if (open === undefined || open.kind !== "file") return fail(EBADF);
    const bytes = encoder.encode(this.#read(open.path)).subarray(at ?? open.offset);
    const target = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    const part = bytes.subarray(0, target.length);
    target.set(part);
    if (at === undefined) open.offset += part.length;
    return part.length;
  }

  writeTo(fd: number, bytes: Uint8Array): number {
    this.writeFile(this.#pathOf(fd), decoder.decode(bytes));
    return bytes.length;
  }

  attribute(fd: number, name: string, buffer: Uint8Array): number {
    const path = this.#pathOf(fd);
    this.#enter("xattr", `${path} ${name}`);
    if (name !== OMIT || cgroupAt(path) !== OMITTED) return fail(61);
    buffer[0] = "1".charCodeAt(0);
    return 1;
  }

  pidfdOpen(pid: number): number {
    if (pid < FIRST_PID) {
      this.violations.push(`opened a pidfd of the real process ${pid}`);
      fail(EPERM);
    }
    this.#enter("pidfd_open", String(pid));
    this.settle();
    const process = this.#processOf(pid) ?? fail(ESRCH);
    const fd = this.#add({ kind: "pidfd", process });
    process.pinnedAt = this.world.now;
    const { onPin } = process;
    process.onPin = undefined;
    if (onPin) this.#happen(onPin, this.world.processes.indexOf(process));
    return fd;
  }

  #pidfd(fd: number): ModelProcess {
    const open = this.#descriptors.get(fd);
    if (open?.kind === "pidfd") return open.process;
    this.violations.push(`used ${fd} as a pidfd`);
    return fail(EBADF);
  }

  /** The world stands still between the check of membership and this. */
  signal(fd: number, signal: number): void {
    const process = this.#pidfd(fd);
    this.#enter("signal", String(process.pid));
    if (process.exitedAt !== undefined) fail(ESRCH);
    if (!process.mayBeSignalled) fail(EPERM);
    if (signal !== 0) this.#deliver(process, signal, "pidfd_send_signal");
  }

  #deliver(process: ModelProcess, signal: number, by: string): void {
    const { now } = this.world;
    this.#judge(process, signal, by);
    this.delivered.push({ process, signal, at: now });
    if (signal === SIGKILL) process.killedAt ??= now;
    if (signal === SIGTERM) process.terminatedAt ??= now;
    if (signal === SIGSTOP) process.isStopped = true;
    if (signal === SIGCONT) process.isStopped = false;
  }

  #judge(process: ModelProcess, signal: number, by: string): void {
    if (this.violations.length >= 10) return;
    const { pid, protection, cgroup, left, pinnedAt } = process;
    const { mayKillImmune, hasOomGroup } = this.settings;
    const what = `signal ${signal} by ${by} to ${pid}`;
    if (signal === SIGCONT) return;
    // What is killed as a whole includes a child with the attribute.
    const isOmitted = this.#isOmitted && !mayKillImmune && !hasOomGroup;
    const isExempt = protection === "exempt" && ((left?.cgroup ?? cgroup) === KEPT || isOmitted);
    if (protection === "self" || isExempt) {
      this.violations.push(`${what}: ${protection} in ${cgroup}`);
    }
    if (protection === "immune" && !mayKillImmune) {
      this.violations.push(`${what}: oom_score_adj -1000`);
    }
    if (by === "cgroup.kill") return;
    const home = left?.cgroup ?? cgroup;
    const readAt = this.#procsReadAt.get(home) ?? -Infinity;
    if (readAt < pinnedAt) this.violations.push(`${what}: its membership was not checked`);
    if (left && readAt >= left.at) this.violations.push(`${what}: it has left ${home}`);
  }

  hasEnded(fd: number): boolean {
    const process = this.#pidfd(fd);
    this.#enter("poll", String(process.pid));
    this.settle();
    return process.exitedAt !== undefined;
  }

  release(fd: number): void {
    const process = this.#pidfd(fd);
    this.#enter("mrelease", String(process.pid));
    if (process.killedAt === undefined) fail(22);
    if (process.canBeReaped) process.anon = 0;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const PROCESS = /^\/proc\/(\d{7,})(?:\/(.+))?$/;

const FILES: Readonly<Record<1 | 2, readonly string[]>> = {
  1: [
    "cgroup.procs",
    "memory.usage_in_bytes",
    "memory.limit_in_bytes",
    "memory.stat",
    "memory.kmem.usage_in_bytes",
    "memory.use_hierarchy",
  ],
  2: [
    "cgroup.procs",
    "cgroup.type",
    "cgroup.freeze",
    "memory.current",
    "memory.max",
    "memory.stat",
    "memory.events",
    "memory.oom.group",
  ],
};

function cgroupAt(path: string): string | undefined {
  if (path === ROOT) return "/";
  return path.startsWith(`${ROOT}/`) ? path.slice(ROOT.length) : undefined;
}

const childrenIn = (cgroup: string): string[] => {
  const prefix = cgroup === "/" ? "/" : `${cgroup}/`;
  return CGROUPS.filter((each) =>
    each !== "/" && each.startsWith(prefix) && !each.slice(prefix.length).includes("/")
  );
};

let active: ModelKernel | undefined;

const isModelled = (path: string) =>
  path === ROOT || path.startsWith(`${ROOT}/`) || PROCESS.test(path) ||
  active!.has(Number(/^\/proc\/self\/fd\/(\d+)$/.exec(path)?.[1]));

/** Answers by the model if there is one and it has this path. */
function replaceDeno(
  name: string,
  call: string,
  model: (kernel: ModelKernel, path: string) => unknown,
) {
  const real = Reflect.get(Deno, name) as (path: string | URL, ...rest: unknown[]) => unknown;
  Object.assign(Deno, {
    [name]: (path: string | URL, ...rest: unknown[]) => {
      const at = String(path);
      if (active === undefined || !isModelled(at)) return real(path, ...rest);
      try {
        return model(active, at);
      } catch (error) {
        throw error instanceof CallError ? osError(error.errno, call, at) : error;
      }
    },
  });
}

replaceDeno("readTextFileSync", "open", (kernel, path) => kernel.text(path));
replaceDeno("readFileSync", "open", (kernel, path) => encoder.encode(kernel.text(path)));
replaceDeno("statSync", "stat", (kernel, path) => kernel.stat(path));
replaceDeno("lstatSync", "stat", (kernel, path) => kernel.stat(path));
replaceDeno("readDirSync", "readdir", (kernel, path) => kernel.list(path));
replaceDeno("openSync", "open", (kernel, path) => {
  kernel.checkWritable(path);
  return {
    writeSync(bytes: Uint8Array): number {
      try {
        kernel.writeFile(path, decoder.decode(bytes));
        return bytes.length;
      } catch (error) {
        throw error instanceof CallError ? osError(error.errno, "write", path) : error;
      }
    },
    close() {},
    [Symbol.dispose]() {},
  };
});

/** The result of a call of the model; -1 with its errno where it fails. */
function answer(call: (kernel: ModelKernel) => number | void): number {
  try {
    return call(active!) ?? 0;
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    setErrno(error.errno);
    return -1;
  }
}

type Buffer = Uint8Array<ArrayBuffer>;

/** Answers by the model the calls on its descriptors. */
function replaceOnDescriptors<Arguments extends [number, ...unknown[]], Result>(
  name: string,
  convert: (result: number) => Result,
  model: (kernel: ModelKernel, ...values: Arguments) => number | void,
): void {
  replaceCall<Arguments, Result>(
    name,
    (real) => (...values) =>
      active?.has(values[0])
        ? convert(answer((kernel) => model(kernel, ...values)))
        : real(...values),
  );
}

replaceCall<[Uint8Array, number, number], number>("open", (real) => (name, ...rest) => {
  const path = textOf(name);
  return active !== undefined && isModelled(path)
    ? answer((kernel) => kernel.open(path))
    : real(name, ...rest);
});
replaceOnDescriptors<[number, Uint8Array], number>(
  "openat",
  Number,
  (kernel, fd, name) => kernel.openIn(fd, textOf(name)),
);
replaceOnDescriptors<[number], number>("close", Number, (kernel, fd) => kernel.close(fd));
replaceOnDescriptors<[number, Buffer], bigint>(
  "read",
  BigInt,
  (kernel, fd, buffer) => kernel.fill(fd, buffer),
);
replaceOnDescriptors<[number, Buffer, bigint, bigint], number>(
  "pread",
  Number,
  (kernel, fd, buffer, _size, at) => kernel.fill(fd, buffer, Number(at)),
);
replaceOnDescriptors<[number, Buffer], bigint>(
  "write",
  BigInt,
  (kernel, fd, bytes) => kernel.writeTo(fd, bytes),
);
replaceOnDescriptors<[number, Buffer], Promise<bigint>>(
  "write_elsewhere",
  (result) => Promise.resolve(BigInt(result)),
  (kernel, fd, bytes) => kernel.writeTo(fd, bytes),
);
replaceOnDescriptors<[number, Uint8Array, Buffer], bigint>(
  "fgetxattr",
  BigInt,
  (kernel, fd, name, buffer) => kernel.attribute(fd, textOf(name), buffer),
);
replaceCall<[Buffer, bigint, number], number>("poll", (real) => (set, ...rest) => {
  if (active === undefined) return real(set, ...rest);
  const fd = new DataView(set.buffer, set.byteOffset).getInt32(0, true);
  return answer((kernel) => kernel.hasEnded(fd) ? 1 : 0);
});
replaceCall<[number], number>("usleep", (real) => (us) => {
  if (active === undefined) return real(us);
  active.pass(us / 1000);
  return 0;
});

// asm-generic/unistd.h
const SYS_PIDFD_SEND_SIGNAL = 424n;
const SYS_PIDFD_OPEN = 434n;
const SYS_PROCESS_MRELEASE = 448n;

type SystemCall = [bigint, bigint, bigint, bigint, bigint];

replaceCall<SystemCall, bigint>("syscall", (real) => (...values) => {
  if (active === undefined) return real(...values);
  const [call, first, second] = values;
  return BigInt(answer((kernel) => {
    if (call === SYS_PIDFD_OPEN) return kernel.pidfdOpen(Number(first));
    if (call === SYS_PIDFD_SEND_SIGNAL) return kernel.signal(Number(first), Number(second));
    // getdents64(2), for names that are not UTF-8.
    return fail(EIO);
  }));
});
replaceCall<SystemCall, Promise<bigint>>("syscall_elsewhere", (real) => (...values) => {
  if (active === undefined) return real(...values);
  const [call, first] = values;
  const result = answer((kernel) =>
    call === SYS_PROCESS_MRELEASE ? kernel.release(Number(first)) : fail(EIO)
  );
  return Promise.resolve(BigInt(result));
});
