/** This program and who started it. */

import { parseProcStatus } from "../parse/proc_status.ts";
import { tryReadText } from "./files.ts";

/** The own pid and those of all ancestors, as far as this pid namespace shows them. */
export function selfAndAncestors(): Set<number> {
  const lineage = new Set<number>();
  for (let pid: number | undefined = Deno.pid; pid && !lineage.has(pid);) {
    lineage.add(pid);
    pid = parseProcStatus(tryReadText(`/proc/${pid}/status`) ?? "").ppid;
  }
  return lineage;
}
