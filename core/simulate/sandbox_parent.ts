/** Beneath which cgroup a sandbox with a memory limit of its own can be made. */

import { ancestorsOf, type Cgroup, openCgroup } from "../cgroup/cgroup.ts";
import { exists, tryReadText } from "../cgroup/files.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { mayWrite, writeControl } from "../act/control.ts";

export interface Refusal {
  /** Why there is no sandbox, to be put behind "since" or a colon. */
  readonly refused: string;
}

/**
 * On v1 every cgroup can have children: the own one. On v2 the nearest that hands memory to its children and whose
 * cgroup.procs may be written, since moving a process takes the right to write that of the common ancestor (kernel,
 * cgroup-v2.rst, "Delegation Containment"). A user's slice under systemd is found in this way.
 */
export function findParent(hierarchy: Hierarchy): Cgroup | Refusal {
  if (!hierarchy.kernel) return { refused: `${hierarchy.mount} is not a kernel's cgroup tree` };
  if (!hierarchy.writable) return { refused: `${hierarchy.mount} is mounted read-only` };
  const own = hierarchy.own === undefined ? undefined : openCgroup(hierarchy, hierarchy.own);
  if (own === undefined) {
    return { refused: `the own cgroup cannot be seen beneath ${hierarchy.mount}` };
  }
  const denied = mayWrite(`${own.dir}/cgroup.procs`);
  if (hierarchy.version.number === 1) {
    return denied === undefined ? own : { refused: notPermitted(own, denied) };
  }
  const reasons: string[] = [];
  for (const candidate of [own, ...ancestorsOf(own)]) {
    const closed = mayWrite(`${candidate.dir}/cgroup.procs`);
    const lacking = closed === undefined ? withoutMemory(candidate) : undefined;
    if (closed === undefined && lacking === undefined) return candidate;
    reasons.push(
      closed === undefined ? `${candidate.path} ${lacking}` : notPermitted(candidate, closed),
    );
  }
  const session = denied !== undefined && /\/session-[^/]+\.scope$/.test(own.path);
  const hint = session ? "; `systemd-run --user --scope` gives a delegated one" : "";
  return { refused: `${reasons[0]}${hint}` };
}

const notPermitted = ({ dir }: Cgroup, why: string) =>
  `no right to make a cgroup (${dir}/cgroup.procs: ${why})`;

/** Why the children of a v2 cgroup have no memory controller; `undefined` when they have, or now have. */
function withoutMemory({ dir }: Cgroup): string | undefined {
  const words = (name: string) => (tryReadText(`${dir}/${name}`) ?? "").split(/\s+/);
  if (words("cgroup.subtree_control").includes("memory")) return undefined;
  if (!words("cgroup.controllers").includes("memory")) return "has no memory controller";
  // Only the real root has no cgroup.type, and only it may have both processes and controllers for its children.
  if (exists(`${dir}/cgroup.type`)) return "does not hand memory on to its children";
  const failure = writeControl(`${dir}/cgroup.subtree_control`, "+memory");
  return failure && `cannot hand memory on to its children: ${failure}`;
}
