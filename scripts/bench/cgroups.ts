/** Real cgroups for benchmarks: below the own one, limited, and removed on every way out. */

import { type Cgroup, childrenOf, openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover, join } from "../../core/cgroup/hierarchy.ts";
import { OomkitError } from "../../core/errors.ts";
import { removeCgroup } from "../../core/simulate/sandbox.ts";
import { findParent } from "../../core/simulate/sandbox.ts";
import { Mistake } from "../terminal.ts";
import { isRunning } from "./folders.ts";

const prefix = "oomkit-bench-";
const limit = 256 * 1024 ** 2;

/** A cgroup of the benchmark; {@link removeBenchCgroups} removes it. */
export function createBenchCgroup(): Cgroup {
  const parent = findBenchParent();
  const made = makeChild(parent, `${prefix}${Deno.pid}`);
  Deno.writeTextFileSync(`${made.dir}/${made.hierarchy.version.limitFile}`, String(limit));
  return made;
}

/** `count` cgroups below `parent`, all with the memory controller. @param from the number of the first. */
export function makeChildren(parent: Cgroup, count: number, from = 0): Cgroup[] {
  if (parent.hierarchy.version.number === 2) {
    Deno.writeTextFileSync(`${parent.dir}/cgroup.subtree_control`, "+memory");
  }
  return Array.from({ length: count }, (_, n) => makeChild(parent, `n${from + n}`));
}

/** This run's cgroups, and those of earlier runs that were killed. */
export async function removeBenchCgroups(): Promise<void> {
  for (const each of childrenOf(findBenchParent())) {
    const name = each.path.slice(each.path.lastIndexOf("/") + 1);
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : NaN;
    if (pid === Deno.pid || (Number.isSafeInteger(pid) && !isRunning(pid))) {
      await removeCgroup(each);
    }
  }
}

function findBenchParent(): Cgroup {
  try {
    const parent = findParent(discover(undefined));
    if (!("refused" in parent)) return parent;
    throw new Mistake(`cannot make cgroups to measure on: ${parent.refused}`);
  } catch (error) {
    if (!(error instanceof OomkitError)) throw error;
    throw new Mistake(error.message);
  }
}

function makeChild(parent: Cgroup, name: string): Cgroup {
  Deno.mkdirSync(`${parent.dir}/${name}`);
  return openCgroup(parent.hierarchy, join(parent.path, name))!;
}
