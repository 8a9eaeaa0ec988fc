/**
 * Runs the whole path from wake-up to kill until the compiler has optimized it: the first run takes some ten times as long as
 * the thousandth, and only one counts. It has no effect; the last call sends signal 0.
 */

import { type Cgroup, openCgroup, readUsage, walk } from "../../cgroup/cgroup.ts";
import { unlessRefused } from "../../cgroup/files.ts";
import { discover } from "../../cgroup/hierarchy.ts";
import { EPOLLET, EPOLLIN, type JoinedEpoll } from "../../kernel/epoll.ts";
import { type Fd, openEventfd, signalEventfd } from "../../kernel/fd.ts";
import { unlessFailed } from "../../kernel/libc.ts";
import type { LevelBytes } from "../../policy/levels.ts";
import type { GuardPolicy } from "../policy.ts";
import type { MonitorLoop } from "./loop.ts";
import { flatten } from "./protocol.ts";

const ROUNDS = 2000;
/** A round takes longer in a crowded cgroup (milliseconds). */
const MAX_WARM_UP_MS = 400;
const TOKEN = 1;
const ID = -1;

export const WARM_UP_POLICY: GuardPolicy = {
  mode: "notify",
  levels: { warn: 0, critical: 0, margin: {} },
  triggerPolicy: { hysteresis: 0, cooldown: 0, repeat: false },
  killSettings: { countSwap: true, reclaimFirst: true, graceMs: 0, exitTimeoutMs: 0 },
  metric: "usage",
  actions: { warn: [], critical: [], imminent: [{ kind: "process" }] },
  preferences: { prefer: [], avoid: [], ignore: [] },
  softLimit: false,
  dryRun: true,
  protectedPids: new Set(),
};

/** Alternate, so that each round starts a new kill cycle. */
const REACHED: LevelBytes = { warn: 1, critical: 1, imminent: 1 };
const OUT_OF_REACH: LevelBytes = { warn: 2 ** 53, critical: 2 ** 53, imminent: 2 ** 53 };

/** @returns false if no cgroup is visible, or descriptors run short, so that nothing was warmed up. */
export function warmUp(loop: MonitorLoop, epoll: JoinedEpoll): boolean {
  const visible = unlessRefused(visibleCgroup);
  if (visible === undefined) return false;
  using eventfd = unlessFailed(openEventfd);
  if (eventfd === undefined || !tryAdd(epoll, eventfd)) return false;
  const cgroup = flatten(visible);
  loop.add({
    id: ID,
    policy: 0,
    limitOwner: cgroup,
    scope: cgroup,
    limit: 2 ** 53,
    levelBytes: OUT_OF_REACH,
    oomTotalBytes: 2 ** 53,
    canSwap: false,
    mode: "notify",
    eventfds: [{ token: TOKEN, isReclaimNotification: false }],
  });
  const end = performance.now() + MAX_WARM_UP_MS;
  for (let round = 0; round < ROUNDS && performance.now() < end; round++) {
    loop.updateSettings(ID, { levelBytes: round % 2 === 0 ? REACHED : OUT_OF_REACH });
    signalEventfd(eventfd);
    loop.runOnce();
  }
  loop.remove(ID);
  epoll.remove(eventfd);
  return true;
}

const tryAdd = (epoll: JoinedEpoll, eventfd: Fd): boolean =>
  unlessFailed(() => {
    epoll.add(eventfd, EPOLLIN | EPOLLET, TOKEN);
    return true;
  }) ?? false;

/** The own cgroup, or another one where the own is not visible: in a cgroup namespace with the hierarchy of the host. */
function visibleCgroup(): Cgroup | undefined {
  const hierarchy = discover();
  const own = hierarchy.own === undefined ? undefined : openCgroup(hierarchy, hierarchy.own);
  if (own !== undefined) return own;
  const root = openCgroup(hierarchy, hierarchy.root);
  for (const cgroup of root ? walk(root, 1) : []) {
    if (readUsage(cgroup) !== undefined) return cgroup;
  }
  return undefined;
}
