/** Watched cgroups without a kernel: as the watch knows them, with nothing behind them to read. */

import type { Cgroup } from "../../../core/cgroup/cgroup.ts";
import type { Hierarchy } from "../../../core/cgroup/hierarchy.ts";
import { v2 } from "../../../core/cgroup/v2.ts";
import type { RemovedChildrenKills } from "../../../core/watch/removed_cgroups.ts";
import type { LoggedKill } from "../../../core/watch/kernel_log.ts";
import {
  type BothCounters,
  createMissedCgroup,
  type WatchedCgroup,
} from "../../../core/watch/watched_cgroup.ts";

const hierarchy: Hierarchy = {
  version: v2,
  mount: "/no/such/tree",
  root: "/",
  kernel: false,
  writable: false,
  hybrid: false,
  hidden: false,
  shifted: false,
};

/** v2 counts a kill in the victim's cgroup and in the subtree of each around it, v1 in the victim's alone. */
export const COUNTERS: Readonly<Record<1 | 2, BothCounters>> = {
  1: { local: { oomKill: 0n }, subtree: {} },
  2: { local: { oomKill: 0n, oom: 0n }, subtree: { oomKill: 0n, oom: 0n } },
};

export function makeMember(
  path: string,
  facts: Partial<WatchedCgroup> = {},
  version: 1 | 2 = 2,
): WatchedCgroup {
  const cgroup: Cgroup = { hierarchy, path, dir: `${hierarchy.mount}${path}`, inode: 1 };
  const counters = COUNTERS[version];
  return { ...createMissedCgroup(cgroup, undefined), first: counters, last: counters, ...facts };
}

export function makeKill(pid: number, facts: Partial<LoggedKill> = {}): LoggedKill {
  return {
    victim: {
      pid,
      comm: `p${pid}`,
      uid: 0,
      anon_rss: null,
      file_rss: null,
      shmem_rss: null,
      oom_score_adj: null,
    },
    scope: "cgroup",
    again: false,
    ...facts,
  };
}

export function makePool(unreported: bigint): RemovedChildrenKills {
  return { unreported: () => unreported, take: (kills) => void (unreported -= kills) };
}
