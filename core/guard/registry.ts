/** The kernel's notifications for a guarded cgroup: usage thresholds, on v1. */

import { type Cgroup, isThere, openCgroup } from "../cgroup/cgroup.ts";
import type { Journal, Restored } from "../control/journal.ts";
import type { EpollSet } from "../kernel/epoll.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { pageSize } from "../kernel/page_size.ts";
import { type LevelBytes, levelBytesIn, notificationThreshold } from "../policy/levels.ts";
import { armAsync, reasonOf, shortageOf } from "../watch/triggers.ts";
import { createModes } from "./modes.ts";
import {
  type GuardPolicy,
  keyOf,
  killLevel,
  type Mode,
  policyFor,
  type PolicySet,
} from "./policy.ts";
import { limitOf } from "./targets.ts";
import { type Command, flatten, type GuardSettings } from "./thread/protocol.ts";

export interface ArmedEventfd {
  readonly token: number;
  disarm(): void;
  /** It tells that the kernel reclaims, which concerns only who is full of page cache. */
  readonly isHint: boolean;
}

/** Cgroups at once; each takes a thread. */
const AT_ONCE = 16;

/**
 * @param refuse told why a threshold cannot be notified.
 * @returns arms one cgroup; resolves to nothing where the kernel has no such notifications, or refuses them.
 */
export function createArming(
  epoll: EpollSet,
  reportFallback: (cgroup: Cgroup, requested: string, fallback: string, reason: string) => void,
): (cgroup: Cgroup, levelBytes: LevelBytes, kills: boolean) => Promise<ArmedEventfd[]> {
  let nextToken = 1;
  let underway = 0;
  let isShort = false;
  const waiting: (() => void)[] = [];

  const armOne = async (
    cgroup: Cgroup,
    trigger: Parameters<typeof armAsync>[1],
  ): Promise<ArmedEventfd[]> => {
    const token = nextToken++;
    const isHint = trigger.tells === "pressure";
    try {
      const { disarm } = await armAsync(cgroup, trigger, token, { epoll });
      return [{ token, disarm, isHint }];
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      // Of one there are thousands to follow.
      const isKnown = isShort;
      isShort ||= shortageOf(error) !== undefined;
      if (!isHint && !isKnown && isThere(cgroup)) {
        reportFallback(cgroup, "a notification at the threshold", "a poll", reasonOf(error));
      }
      return [];
    }
  };

  return async (cgroup, { warn, critical, imminent }, kills) => {
    const { version } = cgroup.hierarchy;
    if (!version.notifiesThresholds) return [];
    if (underway >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
    underway += 1;
    try {
      const cpus = navigator.hardwareConcurrency;
      const early = kills ? [notificationThreshold(imminent, cpus, pageSize())] : [];
      const thresholds = [...new Set([imminent, ...early, critical, warn])];
      const pressure = kills ? [{ level: "low", mode: "local" } as const] : [];
      const triggers = version.triggers({ thresholds, pressure, psi: [] }).flatMap((trigger) =>
        trigger.kind === "eventfd" && trigger.tells !== "oom" ? [trigger] : []
      );
      const all: ArmedEventfd[] = [];
      // One after the other: of those that are registered at once for one cgroup some stay silent (measured on 6.18).
      for (const trigger of triggers) all.push(...await armOne(cgroup, trigger));
      return all;
    } finally {
      underway -= 1;
      waiting.shift()?.();
    }
  };
}

/* Which cgroups are guarded: their limits followed, armed, and handed to the sentry. */

export interface GuardedCgroup {
  readonly id: number;
  readonly cgroup: Cgroup;
  readonly limitOwner: Cgroup;
  readonly isTarget: boolean;
  readonly policy: GuardPolicy;
  /** What was asked for; `terms.mode` is what could be had. */
  readonly requested: Mode;
  readonly settings: GuardSettings;
  armed: readonly ArmedEventfd[];
}

export interface GuardRegistryOptions {
  readonly policies: PolicySet;
  readonly epoll: EpollSet;
  readonly journal: Journal;
  send(send: Command): void;
  /** It is guarded from now on, or otherwise than before. */
  emitEvent(guarded: GuardedCgroup): void;
  reportRestored(restored: readonly Restored[]): void;
  /** What was asked for cannot be had there, and what stands in. */
  reportFallback(cgroup: Cgroup, requested: string, fallback: string, reason: string): void;
  /** What goes wrong where nobody waits for it. */
  fail(error: unknown): void;
}

export interface GuardRegistry {
  /** Guards it, guards it otherwise, or no longer: as its limit is now. `anew` arms it afresh in any case. */
  update(cgroup: Cgroup, isTarget: boolean, anew?: boolean): void;
  remove(path: string): void;
  /** The sentry could not open or read it: it is gone, or is tried again by `retry`. */
  markLost(guarded: GuardedCgroup): void;
  retry(): void;
  /** From now on; what is guarded already is to be considered anew. */
  reload(policies: PolicySet): void;
  get(id: number): GuardedCgroup | undefined;
  /** Also one that is forgotten: somebody in it may have been struck before that, which is to be told. */
  getIncludingRemoved(id: number): GuardedCgroup | undefined;
  all(): GuardedCgroup[];
  /** Resolves when all that is being armed now is armed. */
  armed(): Promise<void>;
  close(): void;
}

/** Forgotten ones that are remembered: a thousand cgroups can go before the word of a blow in the first of them is read. */
const MAX_REMOVED_KEPT = 2048;

export function createGuardRegistry(options: GuardRegistryOptions): GuardRegistry {
  const { journal, send, emitEvent, reportRestored, reportFallback } = options;
  const entries = new Map<string, GuardedCgroup>();
  const byId = new Map<number, GuardedCgroup>();
  const left = new Map<number, GuardedCgroup>();
  const lost: GuardedCgroup[] = [];
  const underway = new Set<Promise<void>>();
  let { policies } = options;
  const modes = createModes(journal, reportFallback);
  const armAll = createArming(options.epoll, reportFallback);
  let nextId = 1;

  const update = (cgroup: Cgroup, isTarget: boolean, anew = false) => {
    const getIncludingRemoved = entries.get(cgroup.path);
    const same = getIncludingRemoved?.cgroup.inode === cgroup.inode
      ? getIncludingRemoved
      : undefined;
    if (getIncludingRemoved && !same) remove(cgroup.path);
    const number = policyFor(policies, cgroup.path);
    const policy = number === undefined ? undefined : policies.all[number];
    const found = policy && limitOf(cgroup, isTarget, policy.softLimit);
    if (number === undefined || !policy || !found) return remove(cgroup.path);
    const { limitOwner, limit, oomTotalBytes } = found;
    const isSameFile = same?.limitOwner.inode === limitOwner.inode;
    const isUnchanged = same !== undefined && isSameFile && same.policy === policy &&
      same.settings.limit === limit && same.settings.oomTotalBytes === oomTotalBytes &&
      modes.isAsSet(limitOwner, same.settings.mode);
    if (isUnchanged && !anew) return;
    const requested = modes.requested(found, policy);
    const levelBytes = levelBytesIn(policy, limit, requested);
    if (levelBytes === undefined) {
      reportFallback(cgroup, "a guard", "nothing", "the margin leaves nothing of its limit");
      return remove(cgroup.path);
    }
    // Its old notifications lead to a look as well, until it has those for the new limit.
    const armed = isSameFile ? same.armed : [];
    if (same && !isSameFile) leave(same);
    else if (same && same.requested !== requested) restoreChange(same);
    const mode = modes.settle(limitOwner, requested, levelBytes.imminent);
    const id = same?.id ?? nextId++;
    const eventfds = armed.map(tokenOf);
    const settings: GuardSettings = {
      policy: number,
      limit,
      oomTotalBytes,
      levelBytes,
      mode,
      eventfds,
    };
    if (isSameFile) send({ type: "update_settings", id, settings });
    else {
      const state = { id, limitOwner: flatten(limitOwner), scope: flatten(cgroup), ...settings };
      send({ type: "add", state });
    }
    // Whose own limit it is needs no second copy.
    const of = limitOwner.path === cgroup.path ? cgroup : limitOwner;
    const guarded: GuardedCgroup = {
      id,
      cgroup,
      limitOwner: of,
      isTarget,
      policy,
      requested,
      settings,
      armed,
    };
    entries.set(cgroup.path, guarded);
    byId.set(id, guarded);
    const isNews = !isUnchanged || same.settings.mode !== mode;
    if (policy.poll !== undefined || !limitOwner.hierarchy.version.notifiesThresholds) {
      if (isNews) emitEvent(guarded);
      return;
    }
    follow(arm(guarded, isNews));
  };

  /** In the meantime the sentry looks at it by itself. */
  const arm = async (guarded: GuardedCgroup, isNews: boolean) => {
    const { id, cgroup, limitOwner, settings, policy } = guarded;
    const kills = killLevel(policy.actions) !== undefined;
    const fresh = await armAll(limitOwner, settings.levelBytes, kills);
    if (entries.get(cgroup.path) !== guarded) return disarm(fresh);
    send({ type: "update_settings", id, settings: { ...settings, eventfds: fresh.map(tokenOf) } });
    disarm(guarded.armed);
    guarded.armed = fresh;
    if (isNews) emitEvent(guarded);
  };

  const follow = (work: Promise<void>) => {
    const followed = work.catch(options.fail).finally(() => underway.delete(followed));
    underway.add(followed);
  };

  /** Ends what was set up for it. */
  const leave = (guarded: GuardedCgroup) => {
    disarm(guarded.armed);
    guarded.armed = [];
    restoreChange(guarded);
  };

  /** What was changed for it, unless another one stands on the same limit. */
  const restoreChange = (guarded: GuardedCgroup) => {
    const { dir } = guarded.limitOwner;
    // Nothing is made of a thousand others for each that goes.
    for (const other of entries.values()) {
      if (other !== guarded && other.limitOwner.dir === dir) return;
    }
    reportRestored(journal.restore(dir));
  };

  const remove = (path: string) => {
    const guarded = entries.get(path);
    if (guarded === undefined) return;
    entries.delete(path);
    byId.delete(guarded.id);
    left.set(guarded.id, guarded);
    if (left.size > MAX_REMOVED_KEPT) left.delete(left.keys().next().value!);
    send({ type: "remove", id: guarded.id });
    leave(guarded);
  };

  return {
    update,
    remove,
    markLost(guarded) {
      remove(guarded.cgroup.path);
      lost.push(guarded);
    },
    retry() {
      for (const { cgroup: { hierarchy, path }, isTarget } of lost.splice(0)) {
        const cgroup = openCgroup(hierarchy, path);
        if (cgroup) update(cgroup, isTarget);
      }
    },
    reload(next) {
      const getIncludingRemoved = new Map(policies.all.map((policy) => [keyOf(policy), policy]));
      // Those that ask for the same are the same: what they guard is not armed anew.
      const all = next.all.map((policy) => getIncludingRemoved.get(keyOf(policy)) ?? policy);
      policies = { ...next, all };
      send({ type: "policies", policies });
    },
    get: (id) => byId.get(id),
    getIncludingRemoved: (id) => byId.get(id) ?? left.get(id),
    all: () => [...entries.values()],
    async armed() {
      await Promise.all(underway);
    },
    close() {
      for (const { armed } of entries.values()) disarm(armed);
      entries.clear();
      byId.clear();
    },
  };
}

const tokenOf = ({ token, isHint }: ArmedEventfd) => ({ token, isHint });

function disarm(all: readonly ArmedEventfd[]): void {
  for (const armed of all) armed.disarm();
}
