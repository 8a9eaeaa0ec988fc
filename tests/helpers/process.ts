/** A process as the choice of a victim sees it: of 1 MiB, in the cgroup /a, spared by nothing. */

import type { Process } from "../../core/snapshot.ts";

export function process(pid: number, fields: Partial<Process> = {}): Process {
  return {
    pid,
    startTime: BigInt(pid),
    comm: `p${pid}`,
    cmdline: [],
    nsPids: [pid],
    state: "S",
    rss: 1024 ** 2,
    oomScoreAdj: 0,
    cgroup: "/a",
    ...fields,
  };
}
