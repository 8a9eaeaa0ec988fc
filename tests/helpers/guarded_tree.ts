/** A monitor loop in this thread, over a directory laid out like a cgroup hierarchy. By default it is a dry run. */

import { type Cgroup, openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { type GuardPolicy, singlePolicy } from "../../core/guard/policy.ts";
import { type GuardedLimit, limitOf } from "../../core/guard/targets.ts";
import { MonitorLoop } from "../../core/guard/thread/loop.ts";
import { flatten, type Report } from "../../core/guard/thread/protocol.ts";
import { WARM_UP_POLICY } from "../../core/guard/thread/warmup.ts";
import type { JoinedEpoll } from "../../core/kernel/epoll.ts";
import { levelBytesOf, NOTIFY_MARGIN } from "../../core/policy/levels.ts";
import { type Files, makeTree, type Tree } from "./trees.ts";

const MIB = 1024 ** 2;
export const LIMIT = 64 * MIB;
const POLLS = 4;

const FILES: Readonly<
  Record<1 | 2, (usage: number, inactiveFile: number, pids: readonly number[]) => Files>
> = {
  1: (usage, inactiveFile, pids) => ({
    "memory.usage_in_bytes": usage,
    "memory.limit_in_bytes": LIMIT,
    "memory.soft_limit_in_bytes": 60 * MIB,
    "memory.stat": `cache ${inactiveFile}\ninactive_file ${inactiveFile}\nactive_file 1048576\n` +
      `total_inactive_file ${inactiveFile}\ntotal_active_file 1048576\n`,
    "cgroup.procs": linesOf(pids),
  }),
  2: (usage, inactiveFile, pids) => ({
    "memory.current": usage,
    "memory.max": LIMIT,
    "memory.high": 60 * MIB,
    "memory.stat": `anon 4096\ninactive_file ${inactiveFile}\nactive_file 1048576\n`,
    "cgroup.procs": linesOf(pids),
  }),
};

const linesOf = (pids: readonly number[]) => pids.map((pid) => `${pid}\n`).join("");

export interface GuardedTree extends Disposable {
  readonly tree: Tree;
  readonly cgroup: Cgroup;
  /** As the main thread finds it. */
  limit(): GuardedLimit | undefined;
  /** A loop that guards the cgroup; the caller runs it. Finds the limit unless it is given. */
  startLoop(
    epoll: JoinedEpoll,
    post: (report: Report) => void,
    found?: GuardedLimit,
  ): MonitorLoop;
  /** Finds the limit unless it is given, guards the cgroup for some polls, and returns the reports and the limit. */
  run(found?: GuardedLimit): { readonly reports: Report[]; readonly limit: number | undefined };
}

/** @param memory MiB. @param part overrides of the policy. */
export function guardTree(
  version: 1 | 2,
  memory: {
    readonly usage: number;
    readonly inactiveFile: number;
    readonly pids: readonly number[];
  },
  part: Partial<GuardPolicy> = {},
): GuardedTree {
  const files = FILES[version](memory.usage * MIB, memory.inactiveFile * MIB, memory.pids);
  const tree = makeTree(version, { "/a": files });
  const cgroup = openCgroup(discover(tree.dir), "/a")!;
  const killSettings = { countSwap: true, reclaimFirst: false, graceMs: 0, exitTimeoutMs: 0 };
  const policy: GuardPolicy = { ...WARM_UP_POLICY, killSettings, ...part };
  const limit = () => limitOf(cgroup, true, policy.softLimit);
  const startLoop = (
    { limit, oomTotalBytes, limitOwner }: GuardedLimit,
    epoll: JoinedEpoll,
    post: (report: Report) => void,
  ) => {
    const levelBytes = levelBytesOf(limit, { warn: 65, critical: 90, margin: NOTIFY_MARGIN });
    if (!levelBytes) return undefined;
    const loop = new MonitorLoop(singlePolicy(policy), epoll, post);
    loop.add({
      id: 1,
      policy: 0,
      mode: "notify",
      eventfds: [],
      limit,
      oomTotalBytes,
      canSwap: false,
      levelBytes,
      limitOwner: flatten(limitOwner),
      scope: flatten(cgroup),
    });
    return loop;
  };
  return {
    tree,
    cgroup,
    limit,
    startLoop: (epoll, post, found = limit()!) => startLoop(found, epoll, post)!,
    run(found = limit()) {
      const reports: Report[] = [];
      const loop = found && startLoop(found, idleEpoll, (report) => void reports.push(report));
      try {
        for (let poll = 0; poll < POLLS; poll++) {
          // Makes it due.
          loop?.updateSettings(1, {});
          loop?.runOnce();
        }
      } finally {
        loop?.close();
      }
      return { reports, limit: found?.limit };
    },
    [Symbol.dispose]: () => tree[Symbol.dispose](),
  };
}

/** Returns immediately and without events. */
export const idleEpoll: JoinedEpoll = {
  block: () => ({ events: [], woken: 0 }),
  add() {},
  remove() {},
};
