/** The machine beneath all cgroups: what is the limit where no cgroup has one. */

import { parseKeyed } from "../parse/cgroupfs.ts";
import { parseKilobytes } from "../parse/procfs.ts";
import { type Meminfo, parseMeminfo } from "../parse/procfs.ts";
import { pageSize } from "../kernel/page_size.ts";
import { parseCount } from "../parse/cgroupfs.ts";
import { parsePressure } from "../parse/cgroupfs.ts";
import { parseProcCgroup } from "../parse/procfs.ts";
import { type Candidate, rankVictims } from "../policy/victims.ts";
import type { Pressure, Process } from "../snapshot.ts";
import { omitUndefined } from "../omit_undefined.ts";
import { tryReadText } from "./files.ts";
import { type Hierarchy, inInitialPidNamespace, memoryLine } from "./hierarchy.ts";
import { oomScores, readProcess } from "./processes.ts";

export interface Machine {
  /** Its release, such as 6.1.0-18-amd64. */
  readonly kernel: string;
  readonly hostname?: string;
  readonly memory: Meminfo;
  /** Of the whole machine, also where cgroups have none of their own. */
  readonly pressure?: Pressure;
  /** Processes that the kernel killed since boot, by whichever limit: `oom_kill` in /proc/vmstat (since 4.13). */
  readonly oomKill?: bigint;
}

export function readMachine(): Machine {
  return omitUndefined({
    kernel: Deno.osRelease(),
    hostname: tryReadText("/proc/sys/kernel/hostname")?.trim() || undefined,
    memory: readMeminfo(),
    pressure: parsePressure(tryReadText("/proc/pressure/memory") ?? ""),
    oomKill: parseCount(parseKeyed(tryReadText("/proc/vmstat") ?? "").get("oom_kill")),
  });
}

/** All of it absent where there is no /proc. */
export function readMeminfo(): Meminfo {
  return parseMeminfo(tryReadText("/proc/meminfo") ?? "");
}

/** Bytes; asked for with every cgroup that comes, so that the rest is not taken apart. */
export function readSwapTotal(): number | undefined {
  const text = tryReadText("/proc/meminfo") ?? "";
  return parseKilobytes(/^SwapTotal:(.*)\n/m.exec(text)?.[1]);
}

/** Bytes of memory and swap: what the kernel weighs badness against when the machine itself runs out. */
export function machineOomTotalBytes({ total, swapTotal }: Meminfo): number | undefined {
  return total === undefined || swapTotal === undefined ? undefined : total + swapTotal;
}

/**
 * The likeliest victims of an OOM of the machine, the likeliest first. Only those with the highest oom_score are looked
 * at closely: it is the same badness, in thousandths.
 *
 * @param atLeast how many are wanted.
 */
export function machineCandidates(
  hierarchy: Hierarchy,
  oomTotalBytes: number,
  atLeast: number,
): Candidate[] {
  const scores = oomScores().filter(({ score }) => score > 0).sort((a, b) => b.score - a.score);
  const lowest = scores[atLeast - 1]?.score ?? 0;
  const processes = scores.filter(({ score }) => score >= lowest)
    .map(({ pid }) => readProcess(pid, cgroupOf(pid, hierarchy)))
    .filter((process): process is Process => process !== undefined);
  return rankVictims(processes, oomTotalBytes, {
    pageSize: pageSize(),
    pidOneIsInit: inInitialPidNamespace(),
  });
}

function cgroupOf(pid: number, { version }: Hierarchy): string {
  const lines = parseProcCgroup(tryReadText(`/proc/${pid}/cgroup`) ?? "");
  return memoryLine(lines, version)?.path ?? "/";
}
