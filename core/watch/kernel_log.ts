/** From lines of the kernel log to kills: who died, in which cgroup, by whose limit. Pure but for its own memory. */

import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { cgroupOfKilled } from "../cgroup/processes.ts";
import type { KernelVictim } from "../events/event.ts";
import { type Fd, O_NONBLOCK, O_RDONLY, openFd, readInto, seekToEnd } from "../kernel/fd.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { lossyName } from "../names.ts";
import { joinContinuation, type KmsgRecord, parseKmsgRecord } from "../parse/kmsg.ts";
import { type OomMessage, parseOomMessage } from "../parse/oom_message.ts";

export interface LoggedKill {
  readonly victim: KernelVictim;
  /** The victim's cgroup; absent when the kernel left it out: it writes that line at most 10 times in 5 s. */
  readonly cgroup?: string;
  /** The cgroup whose limit was hit. */
  readonly owner?: string;
  /** The cgroup that is killed as a whole, of which this is one of the processes. */
  readonly group?: string;
  readonly scope: "cgroup" | "system";
  /** A group kill counts and logs its first victim twice, and sometimes others. */
  readonly again: boolean;
}

type KilledLine = Extract<OomMessage, { kind: "killed" }>;
type Summary = Extract<OomMessage, { kind: "oom-kill" }>;

interface Group {
  readonly path: string;
  lastAt: bigint;
  readonly pids: Set<number>;
  /** By what is the whole process's: the name that it was killed by. */
  readonly comms: Map<string, string>;
}

export interface KillLog {
  /** A message of the kernel, with its microseconds since boot; returns the kill that it completes. */
  take(message: string, timestamp: bigint): LoggedKill | undefined;
}

/** A group dies in one loop of the kernel; a kill that comes so long after its last one is another one's (microseconds). */
const GROUP_PAUSES = 500_000n;

export function createKillLog(): KillLog {
  let summary: Summary | undefined;
  let older: Extract<OomMessage, { kind: "task-in" }> | undefined;
  let group: Group | undefined;
  let last: { readonly line: KilledLine; readonly kill: LoggedKill } | undefined;

  const killed = (line: KilledLine): LoggedKill => {
    const told = summary && isAbout(line, summary) ? summary : undefined;
    const again = group !== undefined && isAgain(line, group);
    if (group) enter(line, group);
    const cgroup = told?.taskMemcg ?? (again ? last?.kill.cgroup : undefined) ?? older?.taskMemcg;
    const owner = told?.oomMemcg ?? (group ? last?.kill.owner : undefined) ?? older?.oomMemcg;
    const global = told?.global ?? line.memcg === false;
    const kill: LoggedKill = {
      victim: {
        pid: told?.pid ?? line.pid,
        comm: lossyName(told?.task ?? line.comm),
        uid: line.uid ?? null,
        anon_rss: line.anonRss ?? null,
        file_rss: line.fileRss ?? null,
        shmem_rss: line.shmemRss ?? null,
        oom_score_adj: line.oomScoreAdj ?? null,
      },
      ...(cgroup === undefined ? {} : { cgroup }),
      ...(owner === undefined ? {} : { owner }),
      ...(group ? { group: group.path } : {}),
      scope: global ? "system" : "cgroup",
      again,
    };
    // Of a group the members after the first have no summary of their own.
    if (!group) summary = undefined;
    older = undefined;
    last = { line, kill };
    return kill;
  };

  return {
    take(message, timestamp) {
      if (group && timestamp - group.lastAt > GROUP_PAUSES) group = undefined;
      const parsed = parseOomMessage(message);
      switch (parsed?.kind) {
        case "invoked":
        case "oom-kill":
          summary = parsed.kind === "oom-kill" ? parsed : undefined;
          group = undefined;
          return undefined;
        case "task-in":
          older = parsed;
          group = undefined;
          return undefined;
        case "group":
          // Written after the first victim, which is killed and logged again as one of the group.
          group = {
            path: parsed.memcg,
            lastAt: timestamp,
            pids: new Set(),
            comms: new Map(),
          };
          if (last) enter(last.line, group);
          return undefined;
        case "killed":
          // A slow console makes each line wait for the ones before it.
          if (group) group.lastAt = timestamp;
          return killed(parsed);
        default:
          return undefined;
      }
    },
  };
}

/** Where the main thread has ended before its process, the summary names the process and the line one of its threads. */
const isAbout = (line: KilledLine, summary: Summary) =>
  line.pid === summary.pid || line.uid === summary.uid;

/**
 * The first victim is killed and logged once more as one of the group; and whoever is on his way out while the kernel goes
 * through the group is met a second time (css_task_iter_advance), by the id and the name of a thread if his main thread has
 * ended. Threads share what belongs to the process: the sizes of its address space. Workers of one parent may have the same
 * sizes, but have the same name, too.
 */
function isAgain(line: KilledLine, { pids, comms }: Group): boolean {
  if (pids.has(line.pid)) return true;
  const comm = line.totalVm === undefined ? undefined : comms.get(addressSpace(line));
  return comm !== undefined && comm !== line.comm;
}

function enter(line: KilledLine, { pids, comms }: Group): void {
  pids.add(line.pid);
  const key = addressSpace(line);
  if (!comms.has(key)) comms.set(key, line.comm);
}

const addressSpace = ({ totalVm, pgtables, uid, oomScoreAdj }: KilledLine) =>
  [totalVm, pgtables, uid, oomScoreAdj].join();

/* /dev/kmsg from now on: kernel, Documentation/ABI/testing/dev-kmsg. */

export interface KernelLog extends Disposable {
  /** To be waited for. */
  readonly fd: Fd;
  /** The kills logged since the last call. */
  read(): LoggedKill[];
}

/** A record is at most 8 KiB (CONSOLE_EXT_LOG_MAX); a shorter buffer would get EINVAL. */
const RECORD_MAX = 8192;

/**
 * Throws `SystemCallError` where it may not be read, or is not there.
 *
 * @param hierarchy in which a victim is looked for at once where the kernel left out its cgroup.
 */
export function openKernelLog(hierarchy: Hierarchy): KernelLog {
  const fd = openFd("/dev/kmsg", O_RDONLY | O_NONBLOCK);
  seekToEnd(fd);
  const buffer = new Uint8Array(RECORD_MAX);
  const decoder = new TextDecoder();
  const kills = createKillLog();
  let last: KmsgRecord | undefined;

  /** One record; "" when there is no more, `undefined` when records were overwritten before they could be read. */
  const next = (): string | undefined => {
    try {
      const n = readInto(fd, buffer);
      return n === undefined ? "" : decoder.decode(buffer.subarray(0, n));
    } catch (error) {
      if (error instanceof SystemCallError && error.code === "EPIPE") return undefined;
      throw error;
    }
  };

  const placed = (kill: LoggedKill): LoggedKill => {
    const cgroup = kill.cgroup ?? cgroupOfKilled(kill.victim.pid, kill.victim.comm, hierarchy);
    return cgroup === undefined ? kill : { ...kill, cgroup };
  };

  return {
    fd,
    read() {
      const found: LoggedKill[] = [];
      for (let text = next(); text !== ""; text = next()) {
        const record = text === undefined ? undefined : parseKmsgRecord(text);
        // Whoever may write to /dev/kmsg could forge a kill; the kernel's own facility is 0.
        if (record?.facility !== 0) continue;
        // A long summary is written in pieces; each longer whole replaces the one before.
        last = joinContinuation(last, record);
        const kill = kills.take(last.message, last.timestamp);
        if (kill) found.push(placed(kill));
      }
      return found;
    },
    [Symbol.dispose]: fd.close,
  };
}
