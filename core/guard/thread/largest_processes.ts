/** The processes of the machine that may be victims: to read all of them takes too long. */

import { oomScores } from "../../cgroup/processes.ts";
import type { CgroupRanks } from "./cgroup_ranking.ts";

/** Those with the highest oom_score: the essentials among them leave enough others. */
const MAX_CANDIDATES_OF_MACHINE = 64;
/** Of the cgroups that are killed first, so many processes are read besides those. */
const MAX_CGROUPS_READ = 16;
const MAX_CANDIDATES_OF_CGROUP = 8;

/**
 * The kernel's badness is for the machine already; to read all that a candidate is ranked by takes ten times as long. It is 0 for what the
 * kernel never kills, such as its own threads, which look like processes that exit: they have no address space either.
 */
export class LargestProcesses {
  readonly #scores = new Map(
    oomScores().filter(({ score }) => score > 0).map(({ pid, score }) => [pid, score]),
  );
  readonly #largest = new Set(
    this.#bySize(this.#scores.keys()).slice(0, MAX_CANDIDATES_OF_MACHINE),
  );

  constructor(private readonly cgroupRanks: CgroupRanks) {}

  /** Those of this cgroup. */
  of(path: string, pids: readonly number[]): readonly number[] {
    const { place = Infinity } = this.cgroupRanks.get(path) ?? {};
    const isFirst = place < MAX_CGROUPS_READ;
    const first = isFirst ? this.#bySize(pids).slice(0, MAX_CANDIDATES_OF_CGROUP) : [];
    return pids.filter((pid) => this.#largest.has(pid) || first.includes(pid));
  }

  #bySize(pids: Iterable<number>): number[] {
    const scoreOf = (pid: number) => this.#scores.get(pid)!;
    return [...pids].filter((pid) => this.#scores.has(pid))
      .sort((a, b) => scoreOf(b) - scoreOf(a));
  }
}
