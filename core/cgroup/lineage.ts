/** This program and who started it. */

import { parseProcStatus } from "../parse/proc_status.ts";
import { peekText } from "./files.ts";

/** The own pid and those of all ancestors, as far as this pid namespace shows them. */
export function ownLineage(): Set<number> {
  const lineage = new Set<number>();
  for (let pid: number | undefined = Deno.pid; pid && !lineage.has(pid);) {
    lineage.add(pid);
    pid = parseProcStatus(peekText(`/proc/${pid}/status`) ?? "").ppid;
  }
  return lineage;
}
