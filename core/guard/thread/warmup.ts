/**
 * The sentry's whole way from wake to blow, gone until the compiler knows it by heart: the first time takes some ten times as
 * long as the thousandth, and there is only one. Nothing is done by it; the last call is signal 0.
 */

import { type Cgroup, openCgroup, readUsage, walk } from "../../cgroup/cgroup.ts";
import { discover } from "../../cgroup/hierarchy.ts";
import { EPOLLET, EPOLLIN, type JoinedEpoll } from "../../kernel/epoll.ts";
import { openEventfd, signalEventfd } from "../../kernel/fd.ts";
import type { LevelBytes } from "../../policy/levels.ts";
import { flatten } from "./protocol.ts";
import type { GuardPolicy } from "../policy.ts";
import type { MonitorLoop } from "./loop.ts";

const ROUNDS = 2000;
/** Where the own cgroup is crowded it takes longer (milliseconds). */
const MAX_MS = 400;
const TOKEN = 1;
const ID = -1;

export const WARM_UP_POLICY: GuardPolicy = {
  mode: "notify",
  levels: { warn: 0, critical: 0, margin: {} },
  triggerPolicy: { hysteresis: 0, cooldown: 0, repeat: false },
  timeouts: { reclaim: true, graceMs: 0, killMs: 0 },
  metric: "usage",
  actions: { warn: [], critical: [], imminent: [{ kind: "process" }] },
  preferences: { prefer: [], avoid: [], ignore: [] },
  softLimit: false,
  dryRun: true,
  protectedPids: new Set(),
};

/** What lies at 1 is reached, what lies at 2^53 is not; by turns, so that each round begins anew. */
const REACHED: LevelBytes = { warn: 1, critical: 1, imminent: 1 };
const AWAY: LevelBytes = { warn: 2 ** 53, critical: 2 ** 53, imminent: 2 ** 53 };

/** @returns false where no cgroup can be seen, so that nothing was rehearsed. */
export function warmUp(loop: MonitorLoop, epoll: JoinedEpoll): boolean {
  const own = stage();
  if (own === undefined) return false;
  using eventfd = openEventfd();
  epoll.add(eventfd, EPOLLIN | EPOLLET, TOKEN);
  const cgroup = flatten(own);
  const eventfds = [{ token: TOKEN, isHint: false }];
  const spec = { limit: 2 ** 53, oomTotalBytes: 2 ** 53, mode: "notify", eventfds } as const;
  loop.add({ id: ID, policy: 0, limitOwner: cgroup, scope: cgroup, levelBytes: AWAY, ...spec });
  const end = performance.now() + MAX_MS;
  for (let round = 0; round < ROUNDS && performance.now() < end; round++) {
    loop.updateSettings(ID, { levelBytes: round % 2 === 0 ? REACHED : AWAY });
    signalEventfd(eventfd);
    loop.runOnce();
  }
  loop.remove(ID);
  epoll.remove(eventfd);
  return true;
}

/** The own cgroup; from a cgroup namespace of one's own it cannot be seen in the host's tree, and another one has to do. */
function stage(): Cgroup | undefined {
  const hierarchy = discover();
  const own = hierarchy.own === undefined ? undefined : openCgroup(hierarchy, hierarchy.own);
  if (own !== undefined) return own;
  const root = openCgroup(hierarchy, hierarchy.root);
  for (const cgroup of root ? walk(root, 1) : []) {
    if (readUsage(cgroup) !== undefined) return cgroup;
  }
  return undefined;
}
