/**
 * The sentry's whole way from wake to blow, gone until the compiler knows it by heart: the first time takes some ten times as
 * long as the thousandth, and there is only one. Nothing is done by it; the last call is signal 0.
 */

import { type Cgroup, openCgroup, readUsage, walk } from "../cgroup/cgroup.ts";
import { discover } from "../cgroup/hierarchy.ts";
import { EPOLLET, EPOLLIN, type JoinedEpoll } from "../kernel/epoll.ts";
import { openEventfd, signalEventfd } from "../kernel/fd.ts";
import type { Bounds } from "../policy/bounds.ts";
import { flatten } from "./messages.ts";
import type { GuardPlan } from "./plan.ts";
import type { Sentry } from "./sentry.ts";

const ROUNDS = 2000;
/** Where the own cgroup is crowded it takes longer (milliseconds). */
const MOST_MS = 400;
const TOKEN = 1;
const ID = -1;

export const REHEARSED: GuardPlan = {
  mode: "notify",
  levels: { warn: 0, critical: 0, margin: {} },
  rearming: { hysteresis: 0, cooldown: 0, repeat: false },
  patience: { reclaim: true, grace: 0, death: 0 },
  base: "usage",
  actions: { warn: [], critical: [], threshold: [{ kind: "process" }] },
  preferences: { prefer: [], avoid: [], ignore: [] },
  softLimit: false,
  dryRun: true,
  untouchable: new Set(),
};

/** What lies at 1 is reached, what lies at 2^53 is not; by turns, so that each round begins anew. */
const REACHED: Bounds = { warn: 1, critical: 1, threshold: 1 };
const AWAY: Bounds = { warn: 2 ** 53, critical: 2 ** 53, threshold: 2 ** 53 };

/** @returns false where no cgroup can be seen, so that nothing was rehearsed. */
export function rehearse(sentry: Sentry, epoll: JoinedEpoll): boolean {
  const own = stage();
  if (own === undefined) return false;
  using eventfd = openEventfd();
  epoll.add(eventfd, EPOLLIN | EPOLLET, TOKEN);
  const cgroup = flatten(own);
  const eventfds = [{ token: TOKEN, isHint: false }];
  const spec = { limit: 2 ** 53, capacity: 2 ** 53, mode: "notify", eventfds } as const;
  sentry.adopt({ id: ID, plan: 0, measured: cgroup, scope: cgroup, bounds: AWAY, ...spec });
  const end = performance.now() + MOST_MS;
  for (let round = 0; round < ROUNDS && performance.now() < end; round++) {
    sentry.rebound(ID, { bounds: round % 2 === 0 ? REACHED : AWAY });
    signalEventfd(eventfd);
    sentry.turn();
  }
  sentry.drop(ID);
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
