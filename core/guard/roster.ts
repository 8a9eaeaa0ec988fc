/** Which cgroups are guarded: their limits followed, armed, and handed to the sentry. */

import type { Journal, Restored } from "../act/journal.ts";
import { type Cgroup, openCgroup } from "../cgroup/cgroup.ts";
import type { EpollSet } from "../kernel/epoll.ts";
import { type ArmedEventfd, createArming } from "./arming.ts";
import { boundsUnder } from "./bounds_under.ts";
import { limitOf } from "./limit.ts";
import { flatten, type Order, type WardTerms } from "./messages.ts";
import { createModes } from "./modes.ts";
import { deadlyLevel, type GuardPlan, keyOf, type Mode, planFor, type Plans } from "./plan.ts";

export interface Entry {
  readonly id: number;
  readonly cgroup: Cgroup;
  readonly measured: Cgroup;
  readonly isNamed: boolean;
  readonly plan: GuardPlan;
  /** What was asked for; `terms.mode` is what could be had. */
  readonly wanted: Mode;
  readonly terms: WardTerms;
  armed: readonly ArmedEventfd[];
}

export interface RosterOptions {
  readonly plans: Plans;
  readonly epoll: EpollSet;
  readonly journal: Journal;
  order(order: Order): void;
  /** It is guarded from now on, or otherwise than before. */
  tell(entry: Entry): void;
  tellRestored(restored: readonly Restored[]): void;
  /** What was asked for cannot be had there, and what stands in. */
  refuse(cgroup: Cgroup, wanted: string, using: string, reason: string): void;
  /** What goes wrong where nobody waits for it. */
  fail(error: unknown): void;
}

export interface Roster {
  /** Guards it, guards it otherwise, or no longer: as its limit is now. `anew` arms it afresh in any case. */
  consider(cgroup: Cgroup, isNamed: boolean, anew?: boolean): void;
  forget(path: string): void;
  /** The sentry could not open or read it: it is gone, or is tried again by `retry`. */
  lose(entry: Entry): void;
  retry(): void;
  /** From now on; what is guarded already is to be considered anew. */
  assume(plans: Plans): void;
  get(id: number): Entry | undefined;
  /** Also one that is forgotten: somebody in it may have been struck before that, which is to be told. */
  known(id: number): Entry | undefined;
  all(): Entry[];
  /** Resolves when all that is being armed now is armed. */
  armed(): Promise<void>;
  close(): void;
}

/** Forgotten ones that are remembered: a thousand cgroups can go before the word of a blow in the first of them is read. */
const MOST_LEFT = 2048;

export function createRoster(options: RosterOptions): Roster {
  const { journal, order, tell, tellRestored, refuse } = options;
  const entries = new Map<string, Entry>();
  const byId = new Map<number, Entry>();
  const left = new Map<number, Entry>();
  const lost: Entry[] = [];
  const underway = new Set<Promise<void>>();
  let { plans } = options;
  const modes = createModes(journal, refuse);
  const armAll = createArming(options.epoll, refuse);
  let nextId = 1;

  const consider = (cgroup: Cgroup, isNamed: boolean, anew = false) => {
    const known = entries.get(cgroup.path);
    const same = known?.cgroup.inode === cgroup.inode ? known : undefined;
    if (known && !same) forget(cgroup.path);
    const number = planFor(plans, cgroup.path);
    const plan = number === undefined ? undefined : plans.all[number];
    const found = plan && limitOf(cgroup, isNamed, plan.softLimit);
    if (number === undefined || !plan || !found) return forget(cgroup.path);
    const { measured, limit, capacity } = found;
    const isSameFile = same?.measured.inode === measured.inode;
    const isUnchanged = same !== undefined && isSameFile && same.plan === plan &&
      same.terms.limit === limit && same.terms.capacity === capacity &&
      modes.isAsSet(measured, same.terms.mode);
    if (isUnchanged && !anew) return;
    const wanted = modes.wanted(found, plan);
    const bounds = boundsUnder(plan, limit, wanted);
    if (bounds === undefined) {
      refuse(cgroup, "a guard", "nothing", "the margin leaves nothing of its limit");
      return forget(cgroup.path);
    }
    // Its old notifications lead to a look as well, until it has those for the new limit.
    const armed = isSameFile ? same.armed : [];
    if (same && !isSameFile) leave(same);
    else if (same && same.wanted !== wanted) putBack(same);
    const mode = modes.settle(measured, wanted, bounds.threshold);
    const id = same?.id ?? nextId++;
    const eventfds = armed.map(tokenOf);
    const terms: WardTerms = { plan: number, limit, capacity, bounds, mode, eventfds };
    if (isSameFile) order({ order: "rebound", id, terms });
    else {
      const ward = { id, measured: flatten(measured), scope: flatten(cgroup), ...terms };
      order({ order: "adopt", ward });
    }
    // Whose own limit it is needs no second copy.
    const of = measured.path === cgroup.path ? cgroup : measured;
    const entry: Entry = { id, cgroup, measured: of, isNamed, plan, wanted, terms, armed };
    entries.set(cgroup.path, entry);
    byId.set(id, entry);
    const isNews = !isUnchanged || same.terms.mode !== mode;
    if (plan.poll !== undefined || !measured.hierarchy.dialect.notifiesThresholds) {
      if (isNews) tell(entry);
      return;
    }
    follow(arm(entry, isNews));
  };

  /** In the meantime the sentry looks at it by itself. */
  const arm = async (entry: Entry, isNews: boolean) => {
    const { id, cgroup, measured, terms, plan } = entry;
    const isDeadly = deadlyLevel(plan.actions) !== undefined;
    const fresh = await armAll(measured, terms.bounds, isDeadly);
    if (entries.get(cgroup.path) !== entry) return disarm(fresh);
    order({ order: "rebound", id, terms: { ...terms, eventfds: fresh.map(tokenOf) } });
    disarm(entry.armed);
    entry.armed = fresh;
    if (isNews) tell(entry);
  };

  const follow = (work: Promise<void>) => {
    const followed = work.catch(options.fail).finally(() => underway.delete(followed));
    underway.add(followed);
  };

  /** Ends what was set up for it. */
  const leave = (entry: Entry) => {
    disarm(entry.armed);
    entry.armed = [];
    putBack(entry);
  };

  /** What was changed for it, unless another one stands on the same limit. */
  const putBack = (entry: Entry) => {
    const { dir } = entry.measured;
    // Nothing is made of a thousand others for each that goes.
    for (const other of entries.values()) if (other !== entry && other.measured.dir === dir) return;
    tellRestored(journal.restore(dir));
  };

  const forget = (path: string) => {
    const entry = entries.get(path);
    if (entry === undefined) return;
    entries.delete(path);
    byId.delete(entry.id);
    left.set(entry.id, entry);
    if (left.size > MOST_LEFT) left.delete(left.keys().next().value!);
    order({ order: "drop", id: entry.id });
    leave(entry);
  };

  return {
    consider,
    forget,
    lose(entry) {
      forget(entry.cgroup.path);
      lost.push(entry);
    },
    retry() {
      for (const { cgroup: { hierarchy, path }, isNamed } of lost.splice(0)) {
        const cgroup = openCgroup(hierarchy, path);
        if (cgroup) consider(cgroup, isNamed);
      }
    },
    assume(next) {
      const known = new Map(plans.all.map((plan) => [keyOf(plan), plan]));
      // Those that ask for the same are the same: what they guard is not armed anew.
      const all = next.all.map((plan) => known.get(keyOf(plan)) ?? plan);
      plans = { ...next, all };
      order({ order: "plans", plans });
    },
    get: (id) => byId.get(id),
    known: (id) => byId.get(id) ?? left.get(id),
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
