/** `/proc/PID/stat` (proc(5)): what identifies a process. */

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
