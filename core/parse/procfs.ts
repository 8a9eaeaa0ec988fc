import { wholeLines } from "./cgroupfs.ts";

/**
 * `1234 kB` as in /proc/meminfo and /proc/PID/status, in bytes. The kernel's kB are 1024 bytes.
 */
export function parseKilobytes(text: string | undefined): number | undefined {
  const match = /^\s*(\d{1,16}) kB$/.exec(text ?? "");
  return match === null ? undefined : Number(match[1]) * 1024;
}

/**
 * `/proc/PID/cmdline`: the arguments, each ended by NUL; none for kernel threads and zombies. A process that gives itself a
 * title overwrites them with one string and pads with NULs, so empty arguments at the end are dropped.
 */
export function parseCmdline(text: string): string[] {
  const trimmed = text.replace(/\0+$/, "");
  return trimmed === "" ? [] : trimmed.split("\0");
}

/* `/proc/meminfo` (proc(5)): the whole machine's memory, also when it is read inside a container. */

const KEYS = {
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

/** Bytes. */
export type Meminfo = { readonly [key in keyof typeof KEYS]?: number };

export function parseMeminfo(text: string): Meminfo {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) values.set(line.slice(0, colon), line.slice(colon + 1));
  }
  const meminfo: { -readonly [key in keyof Meminfo]: number } = {};
  for (const [field, key] of Object.entries(KEYS)) {
    const bytes = parseKilobytes(values.get(key));
    if (bytes !== undefined) meminfo[field as keyof Meminfo] = bytes;
  }
  return meminfo;
}

/* `/proc/PID/cgroup` (cgroups(7)): one line for each hierarchy that the process is in. */

export interface CgroupLine {
  /** 0 is v2's. */
  readonly hierarchyId: number;
  /** v1 controllers, or `name=systemd` for a named hierarchy; empty for v2. */
  readonly controllers: readonly string[];
  /** As seen from the reader's cgroup namespace: beginning with `/..` for what lies outside it. */
  readonly path: string;
  /** The cgroup was removed while the process (a zombie, by then) was in it. */
  readonly deleted: boolean;
}

// A cgroup's name may hold colons and any other character but a newline (U+2028 and \r, which end a line for a plain dot,
// among them); controllers and names of hierarchies hold no colon.
const LINE = /^(\d+):([^:]*):(\/.*)$/s;

const DELETED = " (deleted)";

/**
 * A last line without its newline is skipped: the beginning of a path is the path of an ancestor.
 *
 * A live cgroup that is itself named `… (deleted)` cannot be told from a removed one: the kernel writes both alike.
 */
export function parseProcCgroup(text: string): CgroupLine[] {
  const lines: CgroupLine[] = [];
  for (const line of wholeLines(text)) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, hierarchyId, controllers, path] = match;
    const deleted = path!.endsWith(DELETED);
    lines.push({
      hierarchyId: Number(hierarchyId),
      controllers: controllers === "" ? [] : controllers!.split(","),
      path: deleted ? path!.slice(0, -DELETED.length) : path!,
      deleted,
    });
  }
  return lines;
}

/* `/proc/PID/stat` (proc(5)): what identifies a process. */

export interface ProcStat {
  readonly pid: number;
  readonly comm: string;
  readonly state: string;
  readonly ppid: number;
  /** Clock ticks after boot. */
  readonly startTime: bigint;
}

/** Fields 5 to 21 lie between the parent's pid and the start time; some are negative. */
const AFTER_COMM = /^ (\S) (\d+)(?: -?\d+){17} (\d{1,20}) /;

/** The state is the third field, and the first after the comm. */
const PROCESSOR = 39 - 3;
const POLICY = 41 - 3;
/** include/uapi/linux/sched.h */
const REALTIME: readonly number[] = [1, 2, 6];

/** The comm is not escaped and may hold `) Z 1 (` or a newline: it ends at the last parenthesis. */
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

export interface Placing {
  /** That its main thread ran on last, counted from 0. */
  readonly cpu: number;
  /** Of its main thread: sched(7), SCHED_FIFO, SCHED_RR or SCHED_DEADLINE. */
  readonly isRealtime: boolean;
}

/** Fields 39 and 41. */
export function parsePlacing(text: string): Placing | undefined {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [cpu, policy] = [fields[PROCESSOR], fields[POLICY]].map((field) =>
    field !== undefined && /^\d+$/.test(field) ? Number(field) : undefined
  );
  if (cpu === undefined || policy === undefined) return undefined;
  return { cpu, isRealtime: REALTIME.includes(policy) };
}

export interface TerminalGroups {
  readonly parent: number;
  /** The process group that it belongs to. */
  readonly own: number;
  readonly session: number;
  /** The one that may use its terminal; -1 where it has none. */
  readonly foreground: number;
}

/** Fields 4 to 6, and 8. */
export function parseTerminalGroups(text: string): TerminalGroups | undefined {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").slice(1, 6);
  if (fields.length < 5 || !fields.every((field) => /^-?\d+$/.test(field))) return undefined;
  const [parent, own, session, , foreground] = fields.map(Number);
  return { parent: parent!, own: own!, session: session!, foreground: foreground! };
}

/* `/proc/PID/status` (kernel: fs/proc/array.c). */

export interface ProcStatus {
  /** At most 15 bytes, and whatever the process chose. */
  readonly name?: string;
  /** One letter: R, S, D, Z, T, … */
  readonly state?: string;
  readonly ppid?: number;
  /** The real one, which is also what the kernel names in its OOM report. */
  readonly uid?: number;
  /** Outermost pid namespace first; empty where the kernel does not tell (before 4.1). */
  readonly nsPids: readonly number[];
  /** Bytes. The memory figures are absent for kernel threads and zombies, which have no address space. */
  readonly rss?: number;
  readonly swap?: number;
  readonly pageTables?: number;
  /** Bit n − 1 stands for signal n. */
  readonly caughtSignals?: bigint;
}

function parseNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function parseName(text: string): string {
  return text.replace(/\\([n\\])/g, (_, httpMessage) => httpMessage === "n" ? "\n" : "\\");
}

/** A last line without its newline is skipped: of half a SigCgt the wrong signals would be handled. */
export function parseProcStatus(text: string): ProcStatus {
  const fields = new Map<string, string>();
  for (const line of wholeLines(text)) {
    const separator = line.indexOf(":\t");
    if (separator > 0) fields.set(line.slice(0, separator), line.slice(separator + 2));
  }
  const name = fields.get("Name");
  const state = /^[A-Za-z]/.exec(fields.get("State") ?? "")?.[0];
  const ppid = parseNumber(fields.get("PPid"));
  const uid = parseNumber(fields.get("Uid")?.split("\t")[0]);
  const nsPids = fields.get("NSpid")?.split("\t").map(parseNumber) ?? [];
  const rss = parseKilobytes(fields.get("VmRSS"));
  const swap = parseKilobytes(fields.get("VmSwap"));
  const pageTables = parseKilobytes(fields.get("VmPTE"));
  const caught = fields.get("SigCgt");
  return {
    ...(name === undefined ? {} : { name: parseName(name) }),
    ...(state === undefined ? {} : { state }),
    ...(ppid === undefined ? {} : { ppid }),
    ...(uid === undefined ? {} : { uid }),
    nsPids: nsPids.filter((pid) => pid !== undefined),
    ...(rss === undefined ? {} : { rss }),
    ...(swap === undefined ? {} : { swap }),
    ...(pageTables === undefined ? {} : { pageTables }),
    ...(caught !== undefined && /^[0-9a-f]{1,32}$/.test(caught)
      ? { caughtSignals: BigInt(`0x${caught}`) }
      : {}),
  };
}
