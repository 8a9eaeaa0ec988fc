/** Whom the kernel would choose, by its own rule: mm/oom_kill.c, oom_badness and select_bad_process. Pure. */

import type { Process } from "../snapshot.ts";

const OOM_SCORE_ADJ_MIN = -1000;
const PAGE = 4096;

export interface Candidate {
  readonly process: Process;
  /** Badness in bytes: what it occupies, shifted by oom_score_adj thousandths of the limit. */
  readonly badness: number;
}

/**
 * The candidates of a cgroup OOM, the likeliest victim first. Inside a memory cgroup the kernel scales oom_score_adj by
 * the cgroup's limit, not by the machine's memory, so that /proc/PID/oom_score alone can name the wrong process.
 *
 * Left out, as the kernel leaves them out: pid 1 of the machine, oom_score_adj -1000, and what has no memory of its own
 * (zombies, kernel threads).
 *
 * @param limit bytes of the limit that is hit; for `Infinity` the machine's memory.
 */
export function rankVictims(processes: readonly Process[], limit: number): Candidate[] {
  return processes
    .filter((p) => p.pid !== 1 && p.oomScoreAdj !== OOM_SCORE_ADJ_MIN && p.rss !== undefined)
    .map((process) => ({ process, badness: badness(process, limit) }))
    .sort((a, b) => b.badness - a.badness);
}

function badness({ rss, swap, pageTables, oomScoreAdj }: Process, limit: number): number {
  const occupied = [rss, swap, pageTables].reduce<number>((sum, part) => sum + (part ?? 0), 0);
  const thousandth = Math.floor(limit / PAGE / 1000) * PAGE;
  return occupied + (oomScoreAdj ?? 0) * thousandth;
}
