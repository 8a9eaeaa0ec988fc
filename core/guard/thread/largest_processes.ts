/** The processes of the machine that may be victims: to read all of them takes too long. */

import { type OomScore, oomScores, residentPagesOf } from "../../cgroup/processes.ts";
import { isKernelFrom } from "../../kernel/release.ts";
import type { CgroupRanks } from "./cgroup_ranking.ts";

/** Those with the highest oom_score. */
const MAX_CANDIDATES_OF_MACHINE = 64;
/** As long as fewer of them may be killed first, further ones are read: all of the largest may be excluded, or to be avoided. */
const MIN_FIRST_CHOICES = 8;
/** Each time, so many times more. */
const MORE = 4;
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

export interface LargestOptions<T> {
  /** The path of the cgroup by pid, of all processes that may be read. */
  readonly members: ReadonlyMap<number, string>;
  readonly cgroupRanks: CgroupRanks;
  /** `undefined` for a process that is gone. */
  read(pid: number, path: string): T | undefined;
  /** False for what is excluded, or to be avoided. */
  mayBeFirst(found: T): boolean;
  readonly figures?: Figures;
}

/** Reads the largest processes, and the largest ones of the cgroups that are killed first. */
export function readLargest<T>(
  { members, cgroupRanks, read, mayBeFirst, figures = figuresNow() }: LargestOptions<T>,
): T[] {
  const largest = new LargestProcesses(figures);
  const known = new Map<number, T | undefined>();
  const readAll = (pids: readonly number[]) => {
    for (const pid of pids) if (!known.has(pid)) known.set(pid, read(pid, members.get(pid)!));
  };
  const present = () => [...known.values()].filter((process) => process !== undefined);
  for (let count = MAX_CANDIDATES_OF_MACHINE;; count *= MORE) {
    readAll(largest.of(members.keys(), count));
    const choices = present().values().filter(mayBeFirst).take(MIN_FIRST_CHOICES);
    if (choices.toArray().length === MIN_FIRST_CHOICES || count >= members.size) break;
  }
  const isFirst = ([, path]: [number, string]) =>
    (cgroupRanks.get(path)?.place ?? Infinity) < MAX_CGROUPS_READ;
  const byPath = Map.groupBy([...members].filter(isFirst), ([, path]) => path);
  for (const inCgroup of byPath.values()) {
    const pids = inCgroup.map(([pid]) => pid);
    // Those are the largest ones already. In a fork bomb all have the same score.
    if (pids.filter((pid) => known.has(pid)).length >= MAX_CANDIDATES_OF_CGROUP) continue;
    readAll(largest.of(pids, MAX_CANDIDATES_OF_CGROUP));
  }
  return present();
}

/**
 * The kernel's badness is for the machine already; to read all that a candidate is ranked by takes ten times as long. Its unit is a
 * thousandth of memory, so on a machine of 1 TiB all processes below 1 GiB have the same one; of those that have the lowest one
 * resident memory decides.
 */
class LargestProcesses {
  readonly #scores: ReadonlyMap<number, number>;
  readonly #pages = new Map<number, number>();

  constructor(private readonly figures: Figures) {
    const { scores, isZeroImmune } = figures;
    const possible = scores.filter(({ score }) => score > 0 || !isZeroImmune);
    this.#scores = new Map(possible.map(({ pid, score }) => [pid, score]));
  }

  /**
   * The score is 0 for what the kernel never kills, such as its own threads, which look like processes that exit: they have no address
   * space either. Before Linux 5.9 it is also that of a process with less than a thousandth (fs/proc/base.c, proc_oom_score).
   */
  of(pids: Iterable<number>, count: number): readonly number[] {
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
