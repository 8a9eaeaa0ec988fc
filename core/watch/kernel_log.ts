/** OOM kills in the kernel log: reads /dev/kmsg (kernel: Documentation/ABI/testing/dev-kmsg) and joins its lines to kills. */

import { unlessRefused } from "../cgroup/files.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { cgroupOfKilled } from "../cgroup/processes.ts";
import type { KernelVictim } from "../events/event.ts";
import type { Fd } from "../kernel/fd.ts";
import { KernelLogReader, openKernelLog } from "../kernel/kernel_log.ts";
import { lossyName } from "../names.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { parseKmsgRecord } from "../parse/kmsg.ts";
import { type MemcgUsage, type OomMessage, parseOomMessage } from "../parse/oom_message.ts";
import { OomPieces } from "../parse/oom_pieces.ts";

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
  /** Bytes that the owner used at its limit, and the limit; absent where the kernel left them out. */
  readonly usage?: number;
  readonly limit?: number;
  /** With memory.oom.group, the cgroup that is killed as a whole; this is one of its processes. */
  readonly group?: string;
  readonly scope: "cgroup" | "system";
  /** No line says what ran out of memory: the scope is the likelier one. */
  readonly isScopeUncertain?: true;
  /** A group kill counts and logs its first victim twice, and sometimes others. */
  readonly isRepeated: boolean;
}

export class KernelLog implements Disposable {
  readonly #reader = new KernelLogReader(openKernelLog());
  readonly #kills = new KillLogParser();
  readonly #pieces = new OomPieces();

  /**
   * Opens the log at its end. Throws as {@link openKernelLog} does.
   *
   * @param hierarchy where a victim is looked up right away when the kernel left out its cgroup.
   */
  constructor(private readonly hierarchy: Hierarchy) {}

  /** Readable when there are new lines. */
  get fd(): Fd {
    return this.#reader.fd;
  }

  /** The kills logged since the last call. Throws `SystemCallError` when it cannot be read any more, after what was read. */
  *read(): Generator<LoggedKill> {
    for (let text = this.#reader.next(); text !== undefined; text = this.#reader.next()) {
      const record = parseKmsgRecord(text);
      // A process that may write to /dev/kmsg could forge a kill; only the kernel's own facility is 0.
      if (record?.facility !== 0) continue;
      // A long summary is written in pieces; each longer one replaces the one before.
      const message = this.#pieces.join(record.message, record.continuation);
      const kill = this.#kills.add(message, record.timestamp);
      if (kill === undefined) continue;
      const { pid, comm } = kill.victim;
      const processCgroup = unlessRefused(() => cgroupOfKilled(pid, comm, this.hierarchy));
      yield omitUndefined({ ...kill, cgroup: kill.cgroup ?? processCgroup, processCgroup });
    }
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]();
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
export const MAX_GROUP_GAP_US = 500_000n;

/** Joins the lines of each kill. */
export class KillLogParser {
  #summary: SummaryLine | undefined;
  #taskLine: TaskLine | undefined;
  #chosen: ChosenLine | undefined;
  #usage: MemcgUsage | undefined;
  #group: Group | undefined;
  #last: { readonly line: KilledLine; readonly kill: LoggedKill } | undefined;

  /** @param maxGroupGap microseconds; more where the times of the lines are rounded. */
  constructor(private readonly maxGroupGap = MAX_GROUP_GAP_US) {}

  /**
   * Takes the next message of the kernel, and returns the kill that it completes.
   *
   * @param timestamp microseconds since boot.
   */
  add(message: string, timestamp: bigint): LoggedKill | undefined {
    if (this.#group && timestamp - this.#group.lastAt > this.maxGroupGap) this.#group = undefined;
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
    } else if (line?.kind === "usage") {
      this.#usage = line;
    } else if (line?.kind === "invoked" || line?.kind === "oom-kill") {
      this.#summary = line.kind === "oom-kill" ? line : undefined;
      if (line.kind === "invoked") this.#usage = undefined;
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
    const isMemcg = line.memcg ?? this.#chosen?.memcg;
    const isGlobal = summary?.global ?? isMemcg === false;
    const atLimit = group ? before : this.#usage;
    const isScopeKnown = isMemcg !== undefined || Boolean(summary ?? group ?? this.#taskLine);
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
      usage: isGlobal ? undefined : atLimit?.usage,
      limit: isGlobal ? undefined : atLimit?.limit,
      group: group?.path,
      scope: isGlobal ? "system" as const : "cgroup" as const,
      isScopeUncertain: isScopeKnown ? undefined : true as const,
      isRepeated,
    });
    // In a group the processes after the first have no summary of their own.
    if (!group) this.#summary = this.#usage = undefined;
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
