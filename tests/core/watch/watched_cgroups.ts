/** Watched cgroups and logged kills without a kernel: there are no files to read. */

import type { Cgroup } from "../../../core/cgroup/cgroup.ts";
import type { Hierarchy } from "../../../core/cgroup/hierarchy.ts";
import { v2 } from "../../../core/cgroup/v2.ts";
import type { RemovedChildrenKills } from "../../../core/watch/removed_kills.ts";
import type { LoggedKill } from "../../../core/watch/kernel_log.ts";
import {
  type BothCounters,
  createMissedCgroup,
  type WatchedCgroup,
} from "../../../core/watch/watched_cgroup.ts";

const hierarchy: Hierarchy = {
  version: v2,
  mount: "/no/such/tree",
  device: 0,
  nested: [],
  root: "/",
  kernel: false,
  writable: false,
  hybrid: false,
  hidden: false,
  shifted: false,
};

/** v2 counts a kill in the victim's cgroup and in the subtree of each ancestor, v1 in the victim's cgroup alone. */
export const COUNTERS: Readonly<Record<1 | 2, BothCounters>> = {
  1: { local: { oomKill: 0n }, subtree: {} },
  2: { local: { oomKill: 0n, oom: 0n }, subtree: { oomKill: 0n, oom: 0n } },
};

/** The facts of each record that differ from those of a cgroup of which nothing is known. */
export type Facts = {
  readonly [Key in keyof WatchedCgroup]?: WatchedCgroup[Key] extends object | undefined
    ? Partial<WatchedCgroup[Key]>
    : WatchedCgroup[Key];
};

export function makeWatched(path: string, facts: Facts = {}, version: 1 | 2 = 2): WatchedCgroup {
  const cgroup: Cgroup = { hierarchy, path, dir: `${hierarchy.mount}${path}`, inode: 1 };
  const counters = COUNTERS[version];
  const blank = createMissedCgroup(cgroup, undefined);
  return {
    ...blank,
    ...facts as Partial<WatchedCgroup>,
    counters: { ...blank.counters, first: counters, last: counters, ...facts.counters },
    memory: { ...blank.memory, ...facts.memory },
    notifications: { ...blank.notifications, ...facts.notifications },
    kills: { ...blank.kills, ...facts.kills },
  };
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
    isRepeated: false,
    ...facts,
  };
}

export function makeRemovedKills(unreported: bigint): RemovedChildrenKills {
  return {
    unreported: () => unreported,
    markReported: (kills) => void (unreported -= kills),
  };
}
