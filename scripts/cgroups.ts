/** Cgroups of the scripts: below the script's own, and called after its pid, so that the next run removes what a killed one left. */

import { type Cgroup, childrenOf, openCgroup } from "../core/cgroup/cgroup.ts";
import { discover, join } from "../core/cgroup/hierarchy.ts";
import { OomkitError } from "../core/errors.ts";
import { findParent, removeCgroup } from "../core/simulate/sandbox.ts";
import { isThere } from "./files.ts";
import { Mistake } from "./terminal.ts";

export const MIB = 1024 ** 2;

/** @throws Mistake where no cgroup can be made. */
export function scriptParent(): Cgroup {
  try {
    const parent = findParent(discover(undefined));
    if (!("refused" in parent)) return parent;
    throw new Mistake(`cannot make cgroups: ${parent.refused}`);
  } catch (error) {
    if (!(error instanceof OomkitError)) throw error;
    throw new Mistake(error.message);
  }
}

/** @param limit see {@link setLimit}. */
export function makeChild(parent: Cgroup, name: string, limit?: number): Cgroup {
  Deno.mkdirSync(`${parent.dir}/${name}`);
  const made = openCgroup(parent.hierarchy, join(parent.path, name))!;
  if (limit !== undefined) setLimit(made, limit);
  return made;
}

/** Children made from now on have the memory controller, which v1 gives to all. */
export function delegateMemory({ dir, hierarchy }: Cgroup): void {
  if (!hierarchy.version.delegatesControllers) return;
  Deno.writeTextFileSync(`${dir}/cgroup.subtree_control`, "+memory");
}

/** @param bytes `Infinity`: no limit. */
export function setLimit({ dir, hierarchy }: Cgroup, bytes: number): void {
  const { number, limitFile } = hierarchy.version;
  const none = number === 1 ? "-1" : "max";
  Deno.writeTextFileSync(`${dir}/${limitFile}`, bytes === Infinity ? none : String(bytes));
}

export function forbidSwap({ dir, hierarchy }: Cgroup): void {
  try {
    const file = hierarchy.version.number === 1 ? "memory.swappiness" : "memory.swap.max";
    Deno.writeTextFileSync(`${dir}/${file}`, "0");
  } catch {
    // The kernel has no swap accounting.
  }
}

/** Removes the cgroups of this run, and those of earlier runs that were killed. @returns their names. */
export async function removeAbandoned(parent: Cgroup, prefix: string): Promise<string[]> {
  const removed: string[] = [];
  for (const each of childrenOf(parent)) {
    const name = each.path.slice(each.path.lastIndexOf("/") + 1);
    if (!name.startsWith(prefix) || !isAbandoned(name.slice(prefix.length))) continue;
    await removeCgroup(each);
    removed.push(name);
  }
  return removed;
}

/** @param pid of the process that made it, as part of a name. */
export function isAbandoned(pid: string): boolean {
  return /^\d+$/.test(pid) && (Number(pid) === Deno.pid || !isThere(`/proc/${pid}`));
}
