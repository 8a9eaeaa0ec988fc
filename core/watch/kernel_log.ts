/** OOM kills in the kernel log: reads /dev/kmsg (kernel: Documentation/ABI/testing/dev-kmsg) and joins its lines to kills. */

import { unlessRefused } from "../cgroup/files.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { cgroupOfKilled } from "../cgroup/processes.ts";
import type { KernelVictim } from "../events/event.ts";
import { type Fd, readInto } from "../kernel/fd.ts";
import { MAX_RECORD_BYTES, openKernelLog } from "../kernel/kernel_log.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { lossyName } from "../names.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { joinContinuation, type KmsgRecord, parseKmsgRecord } from "../parse/kmsg.ts";
import { type OomMessage, parseOomMessage } from "../parse/oom_message.ts";

export interface LoggedKill {
  readonly victim: KernelVictim;
  /** The victim's cgroup; absent when the kernel left it out: it writes that line at most 10 times in 5 s. */
  readonly cgroup?: string;
  /**
   * The cgroup that the victim is in, where it was still there when the line was read: below `cgroup` when the memory controller is not
   * enabled for it.
   */
  readonly processCgroup?: string;
  /** The cgroup that owns the limit that was hit. */
  readonly owner?: string;
  /** With memory.oom.group, the cgroup that is killed as a whole; this is one of its processes. */
  readonly group?: string;
  readonly scope: "cgroup" | "system";
  /** A group kill counts and logs its first victim twice, and sometimes others. */
  readonly isRepeated: boolean;
}

/** EPIPE: records were overwritten before they could be read; the next read returns the oldest that is left. */
const PASSING = new Set(["EPIPE", "EINTR"]);
/** In a row. Between two reads the whole log would have to be overwritten each time. */
const MAX_FAILURES = 100;

export class KernelLog implements Disposable {
  /** Readable when there are new lines. */
  readonly fd: Fd = openKernelLog();
  readonly #buffer = new Uint8Array(MAX_RECORD_BYTES);
  readonly #decoder = new TextDecoder();
  readonly #kills = new KillLogParser();
  #last: KmsgRecord | undefined;

  /**
   * Opens the log at its end. Throws as {@link openKernelLog} does.
   *
   * @param hierarchy where a victim is looked up right away when the kernel left out its cgroup.
   */
  constructor(private readonly hierarchy: Hierarchy) {}

  /** The kills logged since the last call. Throws `SystemCallError` when it cannot be read any more, after what was read. */
  *read(): Generator<LoggedKill> {
    for (let text = this.#readRecord(); text !== undefined; text = this.#readRecord()) {
      const record = parseKmsgRecord(text);
      // A process that may write to /dev/kmsg could forge a kill; only the kernel's own facility is 0.
      if (record?.facility !== 0) continue;
      // A long summary is written in pieces; each longer one replaces the one before.
      this.#last = joinContinuation(this.#last, record);
      const kill = this.#kills.add(this.#last.message, this.#last.timestamp);
      if (kill === undefined) continue;
      const { pid, comm } = kill.victim;
      const processCgroup = unlessRefused(() => cgroupOfKilled(pid, comm, this.hierarchy));
      yield omitUndefined({ ...kill, cgroup: kill.cgroup ?? processCgroup, processCgroup });
    }
  }

  /** The next record; `undefined` at the end of the log. */
  #readRecord(): string | undefined {
    for (let failures = 0;; failures++) {
      try {
        const length = readInto(this.fd, this.#buffer);
        // The kernel never returns 0: the file is at its end for good, but always ready for epoll.
        if (length === 0) throw new SystemCallError("read", "ENODATA", this.fd.path);
        return length === undefined
          ? undefined
          : this.#decoder.decode(this.#buffer.subarray(0, length));
      } catch (error) {
        const isPassing = error instanceof SystemCallError && PASSING.has(error.code);
        if (!isPassing || failures === MAX_FAILURES) throw error;
      }
    }
  }

  [Symbol.dispose](): void {
    this.fd.close();
  }
}

type KilledLine = Extract<OomMessage, { kind: "killed" }>;
type SummaryLine = Extract<OomMessage, { kind: "oom-kill" }>;
/** Before Linux 5.0 in place of the summary. */
type TaskLine = Extract<OomMessage, { kind: "task-in" }>;
/** Before Linux 5.2 the only line that tells the reason. */
type ChosenLine = Extract<OomMessage, { kind: "chosen" }>;

/** A group kill in progress. */
interface Group {
  readonly path: string;
  lastAt: bigint;
  readonly pids: Set<number>;
  /** The name in the line that killed each process, by its address space. */
  readonly comms: Map<string, string>;
}

/** Microseconds. The kernel kills a group in one loop: a kill that comes later than this belongs to another OOM. */
const MAX_GROUP_GAP_US = 500_000n;

/** Joins the lines of each kill. */
export class KillLogParser {
  #summary: SummaryLine | undefined;
  #taskLine: TaskLine | undefined;
  #chosen: ChosenLine | undefined;
  #group: Group | undefined;
  #last: { readonly line: KilledLine; readonly kill: LoggedKill } | undefined;

  /**
   * Takes the next message of the kernel, and returns the kill that it completes.
   *
   * @param timestamp microseconds since boot.
   */
  add(message: string, timestamp: bigint): LoggedKill | undefined {
    if (this.#group && timestamp - this.#group.lastAt > MAX_GROUP_GAP_US) this.#group = undefined;
    const line = parseOomMessage(message);
    if (line?.kind === "killed") {
      // A slow console makes each line wait for the ones before it.
      if (this.#group) this.#group.lastAt = timestamp;
      return this.#completeKill(line);
    }
    if (line?.kind === "group") {
      // Written after the first victim, which is killed and logged again as one of the group.
      this.#group = { path: line.memcg, lastAt: timestamp, pids: new Set(), comms: new Map() };
      if (this.#last) addToGroup(this.#last.line, this.#group);
    } else if (line?.kind === "task-in") {
      this.#taskLine = line;
      this.#group = undefined;
    } else if (line?.kind === "chosen") {
      this.#chosen = line;
    } else if (line?.kind === "invoked" || line?.kind === "oom-kill") {
      this.#summary = line.kind === "oom-kill" ? line : undefined;
      this.#taskLine = this.#chosen = undefined;
      this.#group = undefined;
    }
    return undefined;
  }

  #completeKill(line: KilledLine): LoggedKill {
    const group = this.#group;
    const summary = this.#summary && isAbout(line, this.#summary) ? this.#summary : undefined;
    const isRepeated = group !== undefined && isInGroup(line, group);
    if (group) addToGroup(line, group);
    const before = this.#last?.kill;
    const isGlobal = summary?.global ?? (line.memcg ?? this.#chosen?.memcg) === false;
    const kill: LoggedKill = omitUndefined({
      victim: {
        pid: summary?.pid ?? line.pid,
        comm: lossyName(summary?.task ?? line.comm),
        uid: line.uid ?? null,
        anon_rss: line.anonRss ?? null,
        file_rss: line.fileRss ?? null,
        shmem_rss: line.shmemRss ?? null,
        oom_score_adj: line.oomScoreAdj ?? null,
      },
      cgroup: summary?.taskMemcg ?? (isRepeated ? before?.cgroup : undefined) ??
        this.#taskLine?.taskMemcg,
      owner: summary?.oomMemcg ?? (group ? before?.owner : undefined) ?? this.#taskLine?.oomMemcg,
      group: group?.path,
      scope: isGlobal ? "system" : "cgroup",
      isRepeated,
    });
    // In a group the processes after the first have no summary of their own.
    if (!group) this.#summary = undefined;
    this.#taskLine = this.#chosen = undefined;
    this.#last = { line, kill };
    return kill;
  }
}

/** When the main thread has exited before its process, the summary names the process and the line one of its threads. */
const isAbout = (line: KilledLine, summary: SummaryLine) =>
  line.pid === summary.pid || line.uid === summary.uid;

/**
 * Whether a process of the group is logged again. The first victim is killed once more as one of the group; and a process
 * that is exiting while the kernel goes through the group is visited twice (css_task_iter_advance), the second time with
 * the id and the name of a thread if its main thread has exited. Threads share the sizes of the address space. Forked
 * workers may have equal sizes, but have the same name, too.
 */
function isInGroup(line: KilledLine, { pids, comms }: Group): boolean {
  if (pids.has(line.pid)) return true;
  const comm = line.totalVm === undefined ? undefined : comms.get(addressSpaceOf(line));
  return comm !== undefined && comm !== line.comm;
}

function addToGroup(line: KilledLine, { pids, comms }: Group): void {
  pids.add(line.pid);
  const key = addressSpaceOf(line);
  if (!comms.has(key)) comms.set(key, line.comm);
}

const addressSpaceOf = ({ totalVm, pgtables, uid, oomScoreAdj }: KilledLine) =>
  [totalVm, pgtables, uid, oomScoreAdj].join();
