/** A process for tests of the victim selection: 1 MiB, in the cgroup /a, without any protection. */

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
