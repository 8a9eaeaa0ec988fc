/** A cgroup of our own with a limit, in which something may run out of memory without harm to anything else. */

import { type Cgroup, openCgroup } from "../cgroup/cgroup.ts";
import { errnoOf, exists, tryReadText } from "../cgroup/files.ts";
import { type Hierarchy, join } from "../cgroup/hierarchy.ts";
import { OomkitError } from "../errors.ts";
import { parseMeminfo } from "../parse/meminfo.ts";
import { reasonOf, writeControl } from "../act/control.ts";
import { removeCgroup } from "./remove_cgroup.ts";
import { sandboxName, type SandboxPrefix, self } from "./sandbox_name.ts";
import { findParent, type Refusal } from "./sandbox_parent.ts";

export interface SandboxOptions {
  readonly prefix: SandboxPrefix;
  /** Bytes; without it only what the ancestors allow limits it. */
  readonly limit?: number;
  /** v2 `memory.oom.group`: the kernel kills everything in it at once. */
  readonly group?: boolean;
}

export interface Sandbox {
  readonly cgroup: Cgroup;
  /** A process that writes its pid (or "0") here moves in. */
  readonly procsFile: string;
  /** Nothing in it can be swapped out, so that usage meets the limit in time. */
  readonly swapOff: boolean;
  /** `memory.oom.group` is set; there is none on v1. */
  readonly groupKill: boolean;
  /** Kills what is left in it and removes it; harmless when it is gone. Throws {@link OomkitError} if it stays busy. */
  remove(): Promise<void>;
}

const EEXIST = 17;

/**
 * Makes a sandbox beneath the own cgroup, or beneath the nearest ancestor that permits it; or tells why that cannot be.
 * Throws {@link OomkitError} when the kernel refuses the limit.
 */
export function makeSandbox(hierarchy: Hierarchy, options: SandboxOptions): Sandbox | Refusal {
  const parent = findParent(hierarchy);
  if ("refused" in parent) return parent;
  const made = makeDirectory(parent, options.prefix);
  if ("refused" in made) return made;
  try {
    return furnish(made, options);
  } catch (error) {
    Deno.removeSync(made.dir);
    throw error;
  }
}

function makeDirectory(parent: Cgroup, prefix: SandboxPrefix): Cgroup | Refusal {
  const owner = self();
  if (owner === undefined) return { refused: "/proc is not mounted" };
  for (let sequence = 0;; sequence++) {
    const name = sandboxName(prefix, owner, sequence);
    try {
      Deno.mkdirSync(`${parent.dir}/${name}`);
    } catch (error) {
      if (errnoOf(error) === EEXIST) continue;
      return { refused: `${parent.dir}: ${reasonOf(error)}` };
    }
    const cgroup = openCgroup(parent.hierarchy, join(parent.path, name));
    return cgroup ?? { refused: `${parent.dir}/${name} vanished` };
  }
}

function furnish(cgroup: Cgroup, { limit, group = false }: SandboxOptions): Sandbox {
  const { dir } = cgroup;
  const { version } = cgroup.hierarchy;
  if (limit !== undefined) {
    const failure = writeControl(`${dir}/${version.limitFile}`, String(limit));
    if (failure !== undefined) {
      throw new OomkitError(`cannot limit ${cgroup.path} to ${limit} bytes: ${failure}`);
    }
  }
  // v1 children inherit a killer that is switched off, and then an allocator would sleep at the limit for ever.
  if (exists(`${dir}/memory.oom_control`)) writeControl(`${dir}/memory.oom_control`, "0");
  const groupFile = `${dir}/memory.oom.group`;
  return {
    cgroup,
    procsFile: `${dir}/cgroup.procs`,
    swapOff: switchSwapOff(dir, limit),
    groupKill: group && exists(groupFile) && writeControl(groupFile, "1") === undefined,
    remove: () => removeCgroup(cgroup),
  };
}

/**
 * v2 has a limit of its own for swap. v1 has one for memory and swap together, often compiled out; swappiness 0 does it
 * too, since for a cgroup's own limit it forbids swapping altogether (kernel, cgroup-v1/memory.rst, section 5.3).
 */
function switchSwapOff(dir: string, limit: number | undefined): boolean {
  const done = (name: string, value: string) =>
    exists(`${dir}/${name}`) && writeControl(`${dir}/${name}`, value) === undefined;
  if (done("memory.swap.max", "0")) return true;
  // The joint limit is charged first and takes over `memory.failcnt`: without swap it would only hide the hits.
  if (withoutSwap()) return true;
  const together = limit !== undefined && done("memory.memsw.limit_in_bytes", String(limit));
  return done("memory.swappiness", "0") || together;
}

function withoutSwap(): boolean {
  return parseMeminfo(tryReadText("/proc/meminfo") ?? "").swapTotal === 0;
}
