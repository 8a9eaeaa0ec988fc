/** The mode of each guarded cgroup, and the change of a control file that it needs. */

import { type Cgroup, readSummary } from "../cgroup/cgroup.ts";
import { isInSubtree } from "../cgroup_path.ts";
import type { Journal } from "../control/journal.ts";
import { OomkitError } from "../errors.ts";
import type { Mode } from "./policy.ts";

/** What was asked for, what stands in for it, and why. */
export interface Fallback {
  readonly requested: string;
  readonly fallback: string;
  readonly reason: string;
}

/** The largest page size (arm64): the kernel rounds memory.high down to pages, so a multiple of this is read back unchanged. */
const MAX_PAGE_BYTES = 65536;

const fileOf = (mode: Mode) => mode === "throttle" ? "memory.high" : "memory.oom_control";

/** Makes the change that `mode` needs. Returns why it cannot be made. */
export function applyMode(
  journal: Journal,
  limitOwner: Cgroup,
  mode: Mode,
  imminent: number,
): string | undefined {
  if (mode === "notify") return undefined;
  const { dir, inode, hierarchy: { own } } = limitOwner;
  if (mode === "hold" && own !== undefined && isInSubtree(own, limitOwner.path)) {
    return "oomkit runs in the cgroup and would be held too";
  }
  const file = fileOf(mode);
  const other = journal.holder(dir, file);
  if (other !== undefined) return `the guard with pid ${other} has changed ${file}`;
  if (mode === "throttle" && !journal.isOurs(dir, file)) {
    const high = readSummary(limitOwner)?.limits.high ?? Infinity;
    if (high <= imminent) return `its memory.high of ${high} throttles it earlier`;
  }
  try {
    const value = mode === "hold"
      ? "1"
      : String(Math.floor(imminent / MAX_PAGE_BYTES) * MAX_PAGE_BYTES);
    const refused = journal.change(dir, inode, file, value);
    return refused === undefined ? undefined : `${dir}/${file}: ${refused}`;
  } catch (error) {
    // A change that cannot be recorded was not made.
    if (error instanceof OomkitError) return error.message;
    throw error;
  }
}

/** False when another program has undone the change, as systemd does on daemon-reload. */
export const isModeApplied = (journal: Journal, { dir }: Cgroup, mode: Mode): boolean =>
  mode === "notify" || journal.isOurs(dir, fileOf(mode));
