/** The machine: its memory is the limit where no cgroup has one. */

import { pageSize } from "../kernel/page_size.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { parseCount, parsePressure } from "../parse/cgroupfs.ts";
import { type Meminfo, parseKilobytes, parseMeminfo } from "../parse/procfs.ts";
import { type Candidate, rankVictims } from "../policy/victims.ts";
import type { Pressure, Process } from "../snapshot.ts";
import { tryReadText } from "./files.ts";
import { type Hierarchy, inInitialPidNamespace, readMemoryLine } from "./hierarchy.ts";
import { oomScores, readProcess } from "./processes.ts";

export interface Machine {
  /** The kernel's release, such as 6.1.0-18-amd64. */
  readonly kernel: string;
  readonly hostname?: string;
  readonly memory: Meminfo;
  /** Of the whole machine; also available where cgroups have no pressure files. */
  readonly pressure?: Pressure;
  /** Processes that the kernel killed since boot, for any cause: `oom_kill` in /proc/vmstat (since 4.13). */
  readonly oomKill?: bigint;
}

export function readMachine(): Machine {
  return omitUndefined({
    kernel: Deno.osRelease(),
    hostname: tryReadText("/proc/sys/kernel/hostname")?.trim() || undefined,
    memory: readMeminfo(),
    pressure: parsePressure(tryReadText("/proc/pressure/memory") ?? ""),
    // One of two hundred lines: parsing the others takes 1 ms of a start.
    oomKill: parseCount(/^oom_kill (\d+)$/m.exec(tryReadText("/proc/vmstat") ?? "")?.[1]),
  });
}

/** All fields are absent without /proc. */
export const readMeminfo = (): Meminfo => parseMeminfo(tryReadText("/proc/meminfo") ?? "");

/** Bytes. Read for each new cgroup, so it does not parse the other lines. */
export function readSwapTotal(): number | undefined {
  const text = tryReadText("/proc/meminfo") ?? "";
  return parseKilobytes(/^SwapTotal:(.*)\n/m.exec(text)?.[1]);
}

/** Bytes of memory and swap: the kernel's totalpages when the machine runs out. */
export const machineOomTotalBytes = ({ total, swapTotal }: Meminfo): number | undefined =>
  total === undefined || swapTotal === undefined ? undefined : total + swapTotal;

/**
 * The likeliest victims if the machine runs out of memory, the likeliest first. Reads only the processes with the highest
 * oom_score, which is the same badness in thousandths.
 *
 * @param atLeast the number of candidates wanted.
 */
export function machineCandidates(
  { version }: Hierarchy,
  oomTotalBytes: number,
  atLeast: number,
): Candidate[] {
  const scores = oomScores().filter(({ score }) => score > 0).sort((a, b) => b.score - a.score);
  const lowest = scores[atLeast - 1]?.score ?? 0;
  const processes = scores.filter(({ score }) => score >= lowest)
    .map(({ pid }) => readProcess(pid, readMemoryLine(pid, version)?.path ?? "/"))
    .filter((process): process is Process => process !== undefined);
  return rankVictims(processes, oomTotalBytes, rankingContext());
}

/** What the kernel's ranking of victims depends on besides the processes. */
export const rankingContext = () => ({
  pageSize: pageSize(),
  pidOneIsInit: inInitialPidNamespace(),
});
