/** The processes of a cgroup and of everything beneath it, with what the OOM killer weighs. */

import { parseCmdline } from "../parse/cmdline.ts";
import { parseProcStat } from "../parse/proc_stat.ts";
import { parseProcStatus } from "../parse/proc_status.ts";
import type { Process } from "../snapshot.ts";
import { without } from "./absent.ts";
import { type Cgroup, walk } from "./cgroup.ts";
import { peekText, readText } from "./files.ts";

/**
 * The pids in cgroup.procs, as this program's pid namespace knows them; those outside of it read as 0 and are left out.
 * `undefined` when the cgroup is gone.
 */
export function pidsOf(cgroup: Cgroup): number[] | undefined {
  const text = readText(`${cgroup.dir}/cgroup.procs`);
  if (text === undefined) return undefined;
  const pids = text.split("\n").map(Number).filter((pid) => Number.isInteger(pid) && pid > 0);
  // The kernel does not promise an order, nor that a pid comes but once.
  return [...new Set(pids)].sort((a, b) => a - b);
}

/** What vanishes meanwhile is left out. */
export function processesIn(cgroup: Cgroup): Process[] {
  const found: Process[] = [];
  for (const each of walk(cgroup)) {
    for (const pid of pidsOf(each) ?? []) {
      const process = readProcess(pid, each.path);
      if (process) found.push(process);
    }
  }
  return found;
}

/** `undefined` when the process is gone. What may not be read of it is absent. */
export function readProcess(pid: number, cgroup: string): Process | undefined {
  const stat = parseProcStat(peekText(`/proc/${pid}/stat`) ?? "");
  const status = parseProcStatus(peekText(`/proc/${pid}/status`) ?? "");
  if (stat === undefined) return undefined;
  const number = (file: string) => {
    const text = peekText(`/proc/${pid}/${file}`)?.trim();
    return text === undefined || !/^-?\d+$/.test(text) ? undefined : Number(text);
  };
  return without({
    pid,
    startTime: stat.startTime,
    comm: stat.comm,
    state: stat.state,
    cmdline: parseCmdline(peekText(`/proc/${pid}/cmdline`) ?? ""),
    nsPids: status.nsPids,
    rss: status.rss,
    swap: status.swap,
    pageTables: status.pageTables,
    oomScore: number("oom_score"),
    oomScoreAdj: number("oom_score_adj"),
    cgroup,
  });
}
