/** A sentry in this thread over a directory laid out like a hierarchy; nothing but the last call is left out. */

import { type Cgroup, openCgroup } from "../../core/cgroup/cgroup.ts";
import { discover } from "../../core/cgroup/hierarchy.ts";
import { type GuardedLimit, limitOf } from "../../core/guard/targets.ts";
import { flatten, type Report } from "../../core/guard/thread/protocol.ts";
import { type GuardPolicy, singlePolicy } from "../../core/guard/policy.ts";
import { WARM_UP_POLICY } from "../../core/guard/thread/warmup.ts";
import { createMonitorLoop, type MonitorLoop } from "../../core/guard/thread/loop.ts";
import type { JoinedEpoll } from "../../core/kernel/epoll.ts";
import { levelBytesOf, NOTIFY_MARGIN } from "../../core/policy/levels.ts";
import { type Files, makeTree, type Tree } from "../helpers/trees.ts";

const MIB = 1024 ** 2;
export const LIMIT = 64 * MIB;

const FILES: Readonly<
  Record<1 | 2, (usage: number, inactiveFile: number, pids: readonly number[]) => Files>
> = {
  1: (usage, inactiveFile, pids) => ({
    "memory.usage_in_bytes": usage,
    "memory.limit_in_bytes": LIMIT,
    "memory.soft_limit_in_bytes": 60 * MIB,
    "memory.stat": `cache ${inactiveFile}\ninactive_file ${inactiveFile}\nactive_file 1048576\n` +
      `total_inactive_file ${inactiveFile}\ntotal_active_file 1048576\n`,
    "cgroup.procs": listed(pids),
  }),
  2: (usage, inactiveFile, pids) => ({
    "memory.current": usage,
    "memory.max": LIMIT,
    "memory.high": 60 * MIB,
    "memory.stat": `anon 4096\ninactive_file ${inactiveFile}\nactive_file 1048576\n`,
    "cgroup.procs": listed(pids),
  }),
};

const listed = (pids: readonly number[]) => pids.map((pid) => `${pid}\n`).join("");

export interface Crowd extends AsyncDisposable {
  readonly pids: readonly [number, number];
}

/** Two processes that wait. */
export function gather(): Crowd {
  const options = { stdin: "piped", stdout: "null" } as const;
  const children = [0, 1].map(() => new Deno.Command("cat", options).spawn());
  const [one, other] = children.map(({ pid }) => pid) as [number, number];
  return {
    pids: [one, other],
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map(({ status, stdin }) => status.then(() => stdin.close())));
    },
  };
}

export interface Guarded extends Disposable {
  readonly tree: Tree;
  readonly cgroup: Cgroup;
  /** As the main thread finds it. */
  limit(): GuardedLimit | undefined;
  /** A sentry that guards it, to be given its turns. */
  adopt(epoll: JoinedEpoll, post: (said: Report) => void): MonitorLoop;
  /** Finds the limit unless it is given, adopts the cgroup and looks at it some times; what was said, and by which limit. */
  run(found?: GuardedLimit): { readonly messages: Report[]; readonly limit: number | undefined };
}

/** @param state MiB, who is in it, and what is asked for besides the usual. */
export function guardTree(
  version: 1 | 2,
  state: {
    readonly usage: number;
    readonly inactiveFile: number;
    readonly pids: readonly number[];
  },
  part: Partial<GuardPolicy> = {},
): Guarded {
  const files = FILES[version](state.usage * MIB, state.inactiveFile * MIB, state.pids);
  const tree = makeTree(version, { "/a": files });
  const cgroup = openCgroup(discover(tree.dir), "/a")!;
  const patience = { reclaim: false, graceMs: 0, killMs: 0 };
  const policy: GuardPolicy = { ...WARM_UP_POLICY, timeouts: patience, ...part };
  const limit = () => limitOf(cgroup, true, policy.softLimit);
  const adopt = (
    { limit, oomTotalBytes, limitOwner: measured }: GuardedLimit,
    epoll: JoinedEpoll,
    post: (said: Report) => void,
  ) => {
    const levelBytes = levelBytesOf(limit, { warn: 65, critical: 90, margin: NOTIFY_MARGIN });
    if (!levelBytes) return undefined;
    const loop = createMonitorLoop(singlePolicy(policy), epoll, post);
    const terms = {
      policy: 0,
      mode: "notify",
      eventfds: [],
      limit,
      oomTotalBytes,
      levelBytes,
    } as const;
    loop.add({ id: 1, ...terms, limitOwner: flatten(measured), scope: flatten(cgroup) });
    return {
      loop,
      lookAnew() {
        loop.updateSettings(1, {});
        loop.runOnce();
      },
    };
  };
  return {
    tree,
    cgroup,
    limit,
    adopt: (epoll, post) => adopt(limit()!, epoll, post)!.loop,
    run(found = limit()) {
      const messages: Report[] = [];
      const adopted = found && adopt(found, quietEpoll, (said) => void messages.push(said));
      try {
        for (let look = 0; look < LOOKS; look++) adopted?.lookAnew();
      } finally {
        adopted?.loop.close();
      }
      return { messages, limit: found?.limit };
    },
    [Symbol.dispose]: () => tree[Symbol.dispose](),
  };
}

const LOOKS = 4;

/** Nobody wakes it, and it is not waited for. */
const quietEpoll: JoinedEpoll = {
  block: () => ({ events: [], woken: 0 }),
  add() {},
  remove() {},
};
