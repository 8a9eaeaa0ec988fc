/** Whom the kernel would choose, by its own rule: mm/oom_kill.c, oom_badness and oom_evaluate_task. Pure. */

import type { Limits, Process } from "../snapshot.ts";

const OOM_SCORE_ADJ_MIN = -1000;
const PAGE = 4096;

export interface Candidate {
  readonly process: Process;
  /** Badness in bytes: what it occupies, shifted by oom_score_adj thousandths of `capacity`. */
  readonly badness: number;
}

/**
 * The candidates of an OOM, the likeliest victim first. Inside a memory cgroup the kernel scales oom_score_adj by
 * the cgroup's limit, not by the machine's memory, so that /proc/PID/oom_score alone can name the wrong process.
 *
 * Left out, as the kernel leaves them out: pid 1 of the machine, oom_score_adj -1000, and what has no memory of its own
 * (zombies, kernel threads). What /proc does not tell: a vfork child that still has its parent's memory, and one that
 * is being killed already; the kernel passes over the first and waits for the second.
 *
 * @param capacity bytes, see {@link oomCapacity}; for an OOM of the machine its memory and swap.
 * @param options.pidOneIsInit false in a pid namespace of one's own, where pid 1 is a process like any other.
 */
export function rankVictims(
  processes: readonly Process[],
  oomTotalBytes: number,
  { pidOneIsInit = true }: { readonly pidOneIsInit?: boolean } = {},
): Candidate[] {
  return processes
    .filter((p) => !(pidOneIsInit && p.pid === 1))
    .filter((p) => p.oomScoreAdj !== OOM_SCORE_ADJ_MIN && p.rss !== undefined)
    .map((process) => ({ process, badness: badness(process, oomTotalBytes) }))
    .sort((a, b) => b.badness - a.badness || youngerFirst(a.process, b.process));
}

/** Of equals the kernel takes the one that it comes to last, and it goes through them as they were started. */
function youngerFirst(a: Process, b: Process): number {
  return a.startTime === b.startTime ? b.pid - a.pid : a.startTime < b.startTime ? 1 : -1;
}

function badness({ rss, swap, pageTables, oomScoreAdj }: Process, oomTotalBytes: number): number {
  const occupied = [rss, swap, pageTables].reduce<number>((sum, part) => sum + (part ?? 0), 0);
  const thousandth = Math.floor(oomTotalBytes / PAGE / 1000) * PAGE;
  return occupied + (oomScoreAdj ?? 0) * thousandth;
}

/**
 * What a cgroup at its limit can hold, swap included: mm/memcontrol.c, mem_cgroup_get_max. Bytes; `Infinity` without a
 * limit, `undefined` when it is not known.
 *
 * @param swapTotal of the machine, bytes.
 */
export function oomTotalBytesOf(
  { max, swap, memsw }: Limits,
  swapTotal: number | undefined,
): number | undefined {
  if (max === undefined || swapTotal === undefined) return undefined;
  const swappable = swap ?? (memsw === undefined ? Infinity : Math.max(0, memsw - max));
  return max + Math.min(swappable, swapTotal);
}

/**
 * The cgroup that dies as a whole with the victim: the topmost with memory.oom.group from the victim's up to the one
 * whose limit is hit (mm/memcontrol.c, mem_cgroup_get_oom_group); `undefined` when the victim dies alone.
 *
 * @param victim path of the victim's cgroup.
 * @param owner path of the cgroup whose limit is hit; "/" for an OOM of the machine.
 */
export function groupOf(
  victim: string,
  owner: string,
  hasGroup: (path: string) => boolean,
): string | undefined {
  let topmost: string | undefined;
  for (let at = victim; at.length >= owner.length; at = at.slice(0, at.lastIndexOf("/")) || "/") {
    if (hasGroup(at)) topmost = at;
    if (at === owner || at === "/") break;
  }
  return topmost;
}

/** Whether it dies with its group: the kernel spares pid 1 of the machine and oom_score_adj -1000 here too. */
export function diesWithGroup(process: Process, { pidOneIsInit = true } = {}): boolean {
  return process.oomScoreAdj !== OOM_SCORE_ADJ_MIN && !(pidOneIsInit && process.pid === 1);
}
