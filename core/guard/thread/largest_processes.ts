/** The processes of the machine that may be victims: to read all of them takes too long. */

import { type OomScore, oomScores, residentPagesOf } from "../../cgroup/processes.ts";
import { isKernelFrom } from "../../kernel/release.ts";
import type { CgroupRanks } from "./cgroup_ranking.ts";

/** Those with the highest oom_score: the essentials among them leave enough others. */
const MAX_CANDIDATES_OF_MACHINE = 64;
/** Of the cgroups that are killed first, so many processes are read besides those. */
const MAX_CGROUPS_READ = 16;
const MAX_CANDIDATES_OF_CGROUP = 8;
/** If more than this share of them have a higher score, it does not matter which ones with the lowest score are among them. */
const MAX_SHARE_ABOVE = 1 / 2;

interface Figures {
  readonly scores: readonly OomScore[];
  /** Whether only what the kernel never kills has the score 0. */
  readonly isZeroImmune: boolean;
  residentPagesOf(pid: number): number;
}

const figuresNow = (): Figures => ({
  scores: oomScores(),
  isZeroImmune: isKernelFrom(5, 9),
  residentPagesOf,
});

/**
 * The kernel's badness is for the machine already; to read all that a candidate is ranked by takes ten times as long. Its unit is a
 * thousandth of memory, so on a machine of 1 TiB all processes below 1 GiB have the same one; of those that have the lowest one
 * resident memory decides.
 */
export class LargestProcesses {
  readonly #scores: ReadonlyMap<number, number>;
  readonly #pages = new Map<number, number>();
  readonly #largest: ReadonlySet<number>;

  constructor(
    private readonly cgroupRanks: CgroupRanks,
    private readonly figures = figuresNow(),
  ) {
    const { scores, isZeroImmune } = figures;
    const possible = scores.filter(({ score }) => score > 0 || !isZeroImmune);
    this.#scores = new Map(possible.map(({ pid, score }) => [pid, score]));
    this.#largest = new Set(this.#largestOf(this.#scores.keys(), MAX_CANDIDATES_OF_MACHINE));
  }

  /** Those of this cgroup. */
  of(path: string, pids: readonly number[]): readonly number[] {
    const { place = Infinity } = this.cgroupRanks.get(path) ?? {};
    const isFirst = place < MAX_CGROUPS_READ;
    const first = new Set(isFirst ? this.#largestOf(pids, MAX_CANDIDATES_OF_CGROUP) : []);
    return pids.filter((pid) => this.#largest.has(pid) || first.has(pid));
  }

  /**
   * The score is 0 for what the kernel never kills, such as its own threads, which look like processes that exit: they have no address
   * space either. Before Linux 5.9 it is also that of a process with less than a thousandth (fs/proc/base.c, proc_oom_score).
   */
  #largestOf(pids: Iterable<number>, count: number): readonly number[] {
    const scoreOf = (pid: number) => this.#scores.get(pid)!;
    const ranked = [...pids].filter((pid) => this.#scores.has(pid))
      .sort((a, b) => scoreOf(b) - scoreOf(a));
    const last = ranked[count - 1] ?? ranked.at(-1);
    const lowest = last === undefined ? 0 : scoreOf(last);
    const above = ranked.filter((pid) => scoreOf(pid) > lowest);
    const isEnough = ranked.length <= count || above.length > count * MAX_SHARE_ABOVE;
    if (isEnough && lowest > 0) return ranked.slice(0, count);
    const others = ranked.slice(above.length).filter((pid) =>
      scoreOf(pid) === lowest && this.#pagesOf(pid) > 0
    );
    others.sort((a, b) => this.#pagesOf(b) - this.#pagesOf(a));
    return [...above, ...others].slice(0, count);
  }

  #pagesOf(pid: number): number {
    const pages = this.#pages.get(pid) ?? this.figures.residentPagesOf(pid);
    this.#pages.set(pid, pages);
    return pages;
  }
}
