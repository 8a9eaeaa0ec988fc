/** What cannot be seen of a cgroup from here, and why: a container shows a part of the truth. */

import type { Ancestry } from "./ancestry.ts";
import type { Cgroup } from "./cgroup.ts";
import type { Hierarchy } from "./hierarchy.ts";
import type { Inspection } from "./inspection.ts";

/** One line each: what, then why. */
export function limitations(found: Omit<Inspection, "limitations">): string[] {
  const { cgroup, ancestry, members, forecast } = found;
  const { hierarchy } = cgroup;
  return [
    ...ancestors(hierarchy, ancestry),
    ...(hierarchy.kernel ? missingFiles(found) : [
      `whether pids mean these processes: ${hierarchy.mount} is no kernel's, so they are taken for this machine's`,
    ]),
    ...(members?.unread ?? []).map((path) => `who is in ${path}: its cgroup.procs cannot be read`),
    ...(members && members.hiddenProcesses > 0
      ? [
        `${members.hiddenProcesses} of its processes: they are outside of this pid namespace, or /proc hides them`,
      ]
      : []),
    ...(forecast?.scope === "machine" && forecast.candidates.length === 0 && hierarchy.kernel
      ? ["who would die if the machine runs out: its processes are outside of this container"]
      : []),
  ];
}

function ancestors(hierarchy: Hierarchy, { certain, unreadable }: Ancestry): string[] {
  const unread = unreadable.map((path) => `the limit of ${path}: it cannot be read`);
  if (!hierarchy.hidden) return unread;
  const why = hierarchy.root === "/"
    ? `the ancestors of /: it is the top of this cgroup namespace`
    : `the ancestors of ${hierarchy.root}: only this part of the hierarchy is mounted`;
  return [
    ...unread,
    certain
      ? `${why}; their tightest limit is known, their usage is not`
      : `${why}; one of them may have a tighter limit`,
  ];
}

function missingFiles(
  { cgroup, snapshot, invalidFiles }: Omit<Inspection, "limitations">,
): string[] {
  const { version } = cgroup.hierarchy;
  if (version.number === 1 || invalidFiles.length > 0) return [];
  if (snapshot.usage === undefined) return [usageReason(cgroup)];
  return [
    ...(snapshot.peak === undefined ? ["its peak: memory.peak came with Linux 5.19"] : []),
    ...(snapshot.pressure === undefined
      ? ["its pressure: PSI is switched off; psi=1 on the kernel command line switches it on"]
      : []),
  ];
}

function usageReason({ path, hierarchy }: Cgroup): string {
  return path === hierarchy.root && !hierarchy.hidden
    ? "the usage of the root: the kernel counts it for the machine, not for the cgroup"
    : "its usage: the memory controller is not switched on for it; an ancestor is charged";
}
