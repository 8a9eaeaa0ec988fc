/** The machine: its memory is the limit where no cgroup has a tighter one. */

import { omitUndefined } from "../omit_undefined.ts";
import { parseCount, parsePressure } from "../parse/cgroupfs.ts";
import { type Meminfo, parseKilobytes, parseMeminfo } from "../parse/procfs.ts";
import { type MachineUsage, parseMachineUsage } from "../parse/machine_usage.ts";
import type { Pressure } from "../snapshot.ts";
import { tryReadText } from "./files.ts";

export interface Machine {
  /** The kernel's release, such as 6.1.0-18-amd64. */
  readonly kernel?: string;
  readonly hostname?: string;
  readonly memory: Meminfo;
  /** Of the whole machine; also available where cgroups have no pressure files. */
  readonly pressure?: Pressure;
  /** Processes that the kernel killed since boot, for any cause: `oom_kill` in /proc/vmstat (since 4.13). */
  readonly oomKill?: bigint;
}

/** Nothing is known about the machine that a copied tree is of: it is not this one. */
export const machineOf = ({ kernel }: { readonly kernel: boolean }): Machine =>
  kernel ? readMachine() : { memory: {} };

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

/** The files that the machine is guarded by. */
export interface MachineFiles {
  readonly meminfo: string;
  /** Of ZFS; absent on most machines. */
  readonly arcstats: string;
  readonly pressure: string;
  /** Absent before Linux 6.1. */
  readonly lruGen: string;
}

export const MACHINE_FILES: MachineFiles = {
  meminfo: "/proc/meminfo",
  arcstats: "/proc/spl/kstat/zfs/arcstats",
  pressure: "/proc/pressure/memory",
  lruGen: "/sys/kernel/mm/lru_gen/enabled",
};

/** `undefined` where it cannot be read, or contradicts itself. */
export const readMachineUsage = ({ meminfo, arcstats }: MachineFiles): MachineUsage | undefined =>
  parseMachineUsage(tryReadText(meminfo) ?? "", tryReadText(arcstats));

/** All fields are absent without /proc. */
export const readMeminfo = (path = MACHINE_FILES.meminfo): Meminfo =>
  parseMeminfo(tryReadText(path) ?? "");

/** Bytes. Read for each new cgroup, so it does not parse the other lines. */
export function readSwapTotal(path = MACHINE_FILES.meminfo): number | undefined {
  const text = tryReadText(path) ?? "";
  return parseKilobytes(/^SwapTotal:(.*)\n/m.exec(text)?.[1]);
}
