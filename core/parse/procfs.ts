/** Files of /proc: `meminfo`, `PID/cgroup`, `PID/stat`, `PID/status`, `PID/cmdline` (proc(5)). Pure. */

import { omitUndefined } from "../omit_undefined.ts";
import { wholeLines } from "./cgroupfs.ts";

/** `1234 kB` as in /proc/meminfo and /proc/PID/status, in bytes: the kernel's kB are 1024 bytes. */
export function parseKilobytes(text: string | undefined): number | undefined {
  const match = /^\s*(\d{1,16}) kB$/.exec(text ?? "");
  return match === null ? undefined : Number(match[1]) * 1024;
}

function fieldsIn(lines: readonly string[], separator: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of lines) {
    const at = line.indexOf(separator);
    if (at > 0) fields.set(line.slice(0, at), line.slice(at + separator.length));
  }
  return fields;
}

const MEMINFO_KEYS = {
  total: "MemTotal",
  free: "MemFree",
  available: "MemAvailable",
  buffers: "Buffers",
  cached: "Cached",
  swapTotal: "SwapTotal",
  swapFree: "SwapFree",
  activeFile: "Active(file)",
  inactiveFile: "Inactive(file)",
  shmem: "Shmem",
  slabReclaimable: "SReclaimable",
} as const;

/** `/proc/meminfo`, in bytes: the whole machine's memory, also inside a container. */
export type Meminfo = { readonly [key in keyof typeof MEMINFO_KEYS]?: number };

/** What cannot be more than the whole. */
const PARTS: Readonly<Partial<Record<keyof Meminfo, readonly (keyof Meminfo)[]>>> = {
  total: ["free", "available"],
  swapTotal: ["swapFree"],
};

/**
 * Leaves out a whole that is 0 bytes of memory or less than a part of it, and its parts: in a container the file may be made of
 * figures of the container and of the machine (lxcfs), and then none of them can be trusted.
 */
export function parseMeminfo(text: string): Meminfo {
  const values = fieldsIn(text.split("\n"), ":");
  const meminfo: { -readonly [key in keyof Meminfo]: number } = {};
  for (const [field, key] of Object.entries(MEMINFO_KEYS)) {
    const bytes = parseKilobytes(values.get(key));
    if (bytes !== undefined) meminfo[field as keyof Meminfo] = bytes;
  }
  for (const [whole, parts] of Object.entries(PARTS) as [keyof Meminfo, (keyof Meminfo)[]][]) {
    const size = meminfo[whole];
    const isWrong = parts.some((part) => meminfo[part]! > size!);
    if (isWrong || (whole === "total" && size === 0)) {
      for (const field of [whole, ...parts]) delete meminfo[field];
    }
  }
  return meminfo;
}

/** A line of `/proc/PID/cgroup` (cgroups(7)): one hierarchy that the process is in. */
export interface CgroupLine {
  /** 0 for v2. */
  readonly hierarchyId: number;
  /** v1 controllers, or `name=systemd` for a named hierarchy; empty for v2. */
  readonly controllers: readonly string[];
  /** As the kernel writes it; see {@link isOutsideNamespace} and {@link mayBeRemoved}. */
  readonly path: string;
}

// A cgroup's name may contain colons and any other character but a newline (also U+2028 and \r, which end a line for a plain
// dot); names of controllers and hierarchies contain no colon.
const CGROUP_LINE = /^(\d+):([^:]*):(\/.*)$/s;

/** A path relative to the reader's cgroup namespace that leads out of it: `/..`, `/../a`. A name may begin with two dots. */
export const isOutsideNamespace = (path: string): boolean => /^\/\.\.(\/|$)/.test(path);

/**
 * The cgroup was removed while a process, by then a zombie, was in it: the kernel appends this to its path (cgroup-v2.rst, Processes).
 * A cgroup may have such a name too.
 */
export const mayBeRemoved = (path: string): boolean => path.endsWith(" (deleted)");

/** Skips a last line without its newline: the beginning of a path is the path of an ancestor. */
export function parseProcCgroup(text: string): CgroupLine[] {
  const lines: CgroupLine[] = [];
  for (const line of wholeLines(text)) {
    const match = CGROUP_LINE.exec(line);
    if (match === null) continue;
    const [, hierarchyId, controllers, path] = match;
    lines.push({
      hierarchyId: Number(hierarchyId),
      controllers: controllers === "" ? [] : controllers!.split(","),
      path: path!,
    });
  }
  return lines;
}

/** From `/proc/PID/stat`. */
export interface ProcStat {
  readonly pid: number;
  readonly comm: string;
  readonly state: string;
  readonly ppid: number;
  /** Clock ticks after boot. */
  readonly startTime: bigint;
}

/** Fields 5 to 21 are between the parent's pid and the start time; some are negative. */
const AFTER_COMM = /^ (\S) (\d+)(?: -?\d+){17} (\d{1,20}) /;

/** The comm is not escaped and may contain `) Z 1 (` or a newline: it ends at the last parenthesis. */
export function parseProcStat(text: string): ProcStat | undefined {
  const open = text.indexOf(" (");
  const close = text.lastIndexOf(")");
  const pid = text.slice(0, open);
  if (open < 0 || close < open + 2 || !/^\d+$/.test(pid)) return undefined;
  const match = AFTER_COMM.exec(text.slice(close + 1));
  if (match === null) return undefined;
  const [, state, ppid, startTime] = match;
  return {
    pid: Number(pid),
    comm: text.slice(open + 2, close),
    state: state!,
    ppid: Number(ppid),
    startTime: BigInt(startTime!),
  };
}

/** The fields after the comm; the first is field 3, the state. */
const fieldsAfterComm = (text: string) => text.slice(text.lastIndexOf(")") + 2).split(" ");

export interface Placing {
  /** The CPU that the main thread last ran on, from 0. */
  readonly cpu: number;
  /** The main thread has SCHED_FIFO, SCHED_RR or SCHED_DEADLINE: sched(7). */
  readonly isRealtime: boolean;
}

/** include/uapi/linux/sched.h */
const REALTIME_POLICIES: readonly number[] = [1, 2, 6];

/** Fields 39 and 41 of `/proc/PID/stat`. */
export function parsePlacing(text: string): Placing | undefined {
  const fields = fieldsAfterComm(text);
  const [cpu, policy] = [parseNumber(fields[39 - 3]), parseNumber(fields[41 - 3])];
  if (cpu === undefined || policy === undefined) return undefined;
  return { cpu, isRealtime: REALTIME_POLICIES.includes(policy) };
}

export interface TerminalGroups {
  readonly parent: number;
  /** The process group of the process. */
  readonly own: number;
  readonly session: number;
  /** The foreground process group of its terminal; -1 without one. */
  readonly foreground: number;
}

/** Fields 4 to 6 and 8 of `/proc/PID/stat`. */
export function parseTerminalGroups(text: string): TerminalGroups | undefined {
  const fields = fieldsAfterComm(text).slice(1, 6);
  if (fields.length < 5 || !fields.every((field) => /^-?\d+$/.test(field))) return undefined;
  const [parent, own, session, , foreground] = fields.map(Number);
  return { parent: parent!, own: own!, session: session!, foreground: foreground! };
}

/** From `/proc/PID/status` (kernel: fs/proc/array.c). */
export interface ProcStatus {
  /** At most 15 bytes, chosen by the process. */
  readonly name?: string;
  /** One letter: R, S, D, Z, T, … */
  readonly state?: string;
  readonly ppid?: number;
  /** The real uid, as in the kernel's OOM report. */
  readonly uid?: number;
  /** Outermost pid namespace first; empty before Linux 4.1. */
  readonly nsPids: readonly number[];
  /** Bytes. The sizes are absent for kernel threads and zombies, which have no address space. */
  readonly rss?: number;
  readonly swap?: number;
  readonly pageTables?: number;
  /** Bit n − 1 stands for signal n. */
  readonly caughtSignals?: bigint;
  /** SIGKILL was sent, and the process has not yet begun to exit. */
  readonly isKillPending?: true;
}

const parseNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;

const unescapeName = (text: string) =>
  text.replace(/\\([n\\])/g, (_, letter) => letter === "n" ? "\n" : "\\");

/** Signal 9. */
const SIGKILL_BIT = 1n << 8n;

/** Skips a last line without its newline: half of a SigCgt would name the wrong signals. */
export function parseProcStatus(text: string): ProcStatus {
  const fields = fieldsIn(wholeLines(text), ":\t");
  const name = fields.get("Name");
  const nsPids = fields.get("NSpid")?.split("\t").map(parseNumber) ?? [];
  const caught = fields.get("SigCgt");
  const hasKill = (key: string) => {
    const pending = fields.get(key) ?? "";
    return /^[0-9a-f]{1,32}$/.test(pending) && (BigInt(`0x${pending}`) & SIGKILL_BIT) !== 0n;
  };
  return omitUndefined({
    name: name === undefined ? undefined : unescapeName(name),
    state: /^[A-Za-z]/.exec(fields.get("State") ?? "")?.[0],
    ppid: parseNumber(fields.get("PPid")),
    uid: parseNumber(fields.get("Uid")?.split("\t")[0]),
    nsPids: nsPids.filter((pid) => pid !== undefined),
    rss: parseKilobytes(fields.get("VmRSS")),
    swap: parseKilobytes(fields.get("VmSwap")),
    pageTables: parseKilobytes(fields.get("VmPTE")),
    caughtSignals: caught !== undefined && /^[0-9a-f]{1,32}$/.test(caught)
      ? BigInt(`0x${caught}`)
      : undefined,
    isKillPending: hasKill("ShdPnd") || hasKill("SigPnd") ? true as const : undefined,
  });
}

/**
 * `/proc/PID/cmdline`: arguments that end with NUL; none for kernel threads and zombies. A process that sets its title overwrites
 * them with one string padded with NULs, so empty arguments at the end are dropped.
 */
export function parseCmdline(text: string): string[] {
  const trimmed = text.replace(/\0+$/, "");
  return trimmed === "" ? [] : trimmed.split("\0");
}

export interface Mapping {
  /** Addresses. */
  readonly start: bigint;
  readonly end: bigint;
  readonly isWritable: boolean;
  /** Empty for anonymous memory; a name in brackets for what is no file. */
  readonly path: string;
}

/** /proc/PID/maps: proc_pid_maps(5). */
export function parseMaps(text: string): Mapping[] {
  const line = /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) .(.).. [0-9a-f]+ \S+ \d+ *(.*)$/gm;
  return [...text.matchAll(line)].map(([, start, end, write, path = ""]) => ({
    start: BigInt(`0x${start}`),
    end: BigInt(`0x${end}`),
    isWritable: write === "w",
    path,
  }));
}
