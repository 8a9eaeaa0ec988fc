/** Where a process is that is about to be gone. */

import { parseProcCgroup } from "../parse/proc_cgroup.ts";
import { tryReadText } from "./files.ts";
import { type Hierarchy, inInitialPidNamespace, memoryLine } from "./hierarchy.ts";

/**
 * The cgroup of who was just killed, by his pid in the initial pid namespace; `undefined` where it is too late to tell, or
 * the pid is not known here.
 *
 * @param comm as the kernel had it, lest the pid is another's by now.
 */
export function cgroupOfKilled(
  pid: number,
  comm: string,
  { version }: Pick<Hierarchy, "version">,
): string | undefined {
  if (!inInitialPidNamespace()) return undefined;
  const line = memoryLine(parseProcCgroup(tryReadText(`/proc/${pid}/cgroup`) ?? ""), version);
  if (line === undefined || line.deleted) return undefined;
  // On v1 who has begun to exit is told to be in the root (kernel, proc_cgroup_show).
  if (line.path === "/") return undefined;
  return tryReadText(`/proc/${pid}/comm`) === `${comm}\n` ? line.path : undefined;
}
