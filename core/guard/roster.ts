/** Which cgroups are guarded: their limits followed, armed, and handed to the sentry. */

import { readEffectiveLimit } from "../cgroup/ancestry.ts";
import { type Cgroup, isThere, openCgroup, readSnapshot } from "../cgroup/cgroup.ts";
import { readMeminfo } from "../cgroup/machine.ts";
import type { Journal } from "../act/journal.ts";
import type { EpollSet } from "../kernel/epoll.ts";
import { SystemCallError } from "../kernel/libc.ts";
import { boundsOf, marginOf, NOTIFIED_MARGIN, TRIPWIRE_MARGIN } from "../policy/bounds.ts";
import { oomCapacity } from "../policy/victim.ts";
import type { Snapshot } from "../snapshot.ts";
import { arm, type Armed } from "../watch/arm.ts";
import { reasonOf } from "../watch/describe.ts";
import { flatten, type Order, type WardSpec } from "./messages.ts";
import { deadlyLevel, type GuardPlan, type Mode } from "./plan.ts";
import { isWithin } from "./scope.ts";

export interface Entry {
  readonly id: number;
  readonly cgroup: Cgroup;
  readonly measured: Cgroup;
  readonly isNamed: boolean;
  readonly spec: WardSpec;
  armed: Armed[];
}

export interface RosterOptions {
  readonly plan: GuardPlan;
  readonly mode: Mode | "auto";
  readonly epoll: EpollSet;
  readonly journal: Journal;
  order(order: Order): void;
  /** It is guarded from now on, or otherwise than before. */
  tell(entry: Entry): void;
  /** What was asked for cannot be had there, and what stands in. */
  refuse(cgroup: Cgroup, wanted: string, using: string, reason: string): void;
}

export interface Roster {
  /** Guards it, guards it otherwise, or no longer: as its limit is now. */
  consider(cgroup: Cgroup, isNamed: boolean): void;
  forget(path: string): void;
  get(id: number): Entry | undefined;
  all(): Entry[];
  /** Arms everything afresh. */
  rearm(): void;
  close(): void;
}

/** The kernel rounds to pages, of which these are the largest (arm64); so what is set is what is read. */
const PAGE = 65536;

export function createRoster(options: RosterOptions): Roster {
  const { plan, epoll, journal, order, tell, refuse } = options;
  const entries = new Map<string, Entry>();
  let nextId = 1;
  let nextToken = 1;
  const isDeadly = deadlyLevel(plan.actions) !== undefined;

  const consider = (cgroup: Cgroup, isNamed: boolean, anew = false) => {
    const known = entries.get(cgroup.path);
    const same = known && known.cgroup.inode === cgroup.inode ? known : undefined;
    if (known && !same) forget(cgroup.path);
    const found = limitOf(cgroup, isNamed, plan.softLimit);
    if (found === undefined) return forget(cgroup.path);
    const isUnchanged = same?.spec.limit === found.limit &&
      same.measured.inode === found.measured.inode && same.spec.capacity === found.capacity &&
      isAsSet(same);
    if (isUnchanged && !anew) return;
    const mode = modeOf(found);
    const usual = mode === "tripwire" ? TRIPWIRE_MARGIN : NOTIFIED_MARGIN;
    const margin = marginOf(usual, plan.levels.margin);
    const bounds = boundsOf(found.limit, { ...plan.levels, margin });
    if (bounds === undefined) {
      refuse(cgroup, "a guard", "nothing", "the margin leaves nothing of its limit");
      return forget(cgroup.path);
    }
    const settled = settle(found.measured, mode, bounds.threshold);
    const armed = armAll(found.measured, bounds);
    const eventfds = armed.map(({ token, fd, isHint }) => ({ token, fd: fd.number, isHint }));
    const { limit, capacity } = found;
    const spec: WardSpec = {
      id: same?.id ?? nextId++,
      measured: flatten(found.measured),
      scope: flatten(cgroup),
      limit,
      capacity,
      bounds,
      mode: settled,
      eventfds,
    };
    const isSameFile = same?.measured.inode === found.measured.inode;
    order(
      same && isSameFile
        ? {
          order: "rebound",
          id: same.id,
          spec: { limit, capacity, bounds, mode: settled, eventfds },
        }
        : { order: "adopt", ward: spec },
    );
    for (const old of same?.armed ?? []) old.disarm();
    const entry = {
      id: spec.id,
      cgroup,
      measured: found.measured,
      isNamed,
      spec,
      armed: armed.map((each) => each.armed),
    };
    entries.set(cgroup.path, entry);
    if (!isUnchanged || same?.spec.mode !== settled) tell(entry);
  };

  /** False when somebody has undone what the mode needs, as systemd does when it is reloaded. */
  const isAsSet = ({ measured: { dir }, spec: { mode } }: Entry) =>
    mode === "notify" || journal.isOurs(dir, fileOf(mode));

  const modeOf = ({ measured, isSoft }: Found): Mode => {
    if (options.mode !== "auto") return options.mode;
    const isV2 = measured.hierarchy.dialect.version === 2;
    // Nothing is changed for what only tells; and above a memory.high of its own the kernel brakes already.
    return isV2 && isDeadly && !plan.dryRun && !isSoft ? "tripwire" : "notify";
  };

  /** Changes the cgroup as the mode asks for; the mode that it is in then. */
  const settle = (measured: Cgroup, mode: Mode, threshold: number): Mode => {
    if (mode === "notify" || plan.dryRun) return mode === "notify" ? mode : "notify";
    const { dir, inode } = measured;
    if (
      mode === "hold" && measured.hierarchy.own !== undefined &&
      isWithin(measured.hierarchy.own, measured.path)
    ) {
      refuse(measured, mode, "notify", "oomkit runs in it, and would be held as well");
      return "notify";
    }
    const file = fileOf(mode);
    const value = mode === "tripwire" ? String(Math.floor(threshold / PAGE) * PAGE) : "1";
    const brake = mode === "tripwire" ? ownHigh(measured, journal) : undefined;
    if (brake !== undefined && brake <= threshold) {
      refuse(
        measured,
        "tripwire",
        "notify",
        `its own memory.high of ${brake} slows it down before`,
      );
      return "notify";
    }
    const refused = journal.change(dir, inode, file, value);
    if (refused === undefined) return mode;
    if (isThere(measured)) refuse(measured, mode, "notify", `${dir}/${file}: ${refused}`);
    return "notify";
  };

  const armAll = (measured: Cgroup, bounds: WardSpec["bounds"]) => {
    if (plan.poll !== undefined || !measured.hierarchy.dialect.notifiesThresholds) return [];
    const thresholds = [...new Set([bounds.warn, bounds.critical, bounds.threshold])];
    const pressure = isDeadly ? [{ level: "low", mode: "local" } as const] : [];
    return measured.hierarchy.dialect.triggers({ thresholds, pressure, psi: [] }).flatMap(
      (trigger) => {
        if (trigger.kind !== "eventfd" || trigger.tells === "oom") return [];
        const token = nextToken++;
        try {
          const armed = arm(measured, trigger, token, { epoll, inotify: undefined });
          return [{ token, armed, fd: armed.fd!, isHint: trigger.tells === "pressure" }];
        } catch (error) {
          if (!(error instanceof SystemCallError)) throw error;
          const isHint = trigger.tells === "pressure";
          if (isThere(measured) && !isHint) {
            refuse(measured, "a notification at the threshold", "a poll", reasonOf(error));
          }
          return [];
        }
      },
    );
  };

  const forget = (path: string) => {
    const entry = entries.get(path);
    if (entry === undefined) return;
    entries.delete(path);
    order({ order: "drop", id: entry.id });
    for (const armed of entry.armed) armed.disarm();
    journal.restore(entry.measured.dir);
  };

  return {
    consider: (cgroup, isNamed) => consider(cgroup, isNamed),
    forget,
    get: (id) => [...entries.values()].find((entry) => entry.id === id),
    all: () => [...entries.values()],
    rearm() {
      for (const { cgroup, isNamed } of [...entries.values()]) consider(cgroup, isNamed, true);
    },
    close() {
      for (const { armed } of entries.values()) for (const each of armed) each.disarm();
      entries.clear();
    },
  };
}

const fileOf = (mode: Mode) => mode === "tripwire" ? "memory.high" : "memory.oom_control";

interface Found {
  readonly measured: Cgroup;
  readonly limit: number;
  readonly capacity: number;
  readonly isSoft: boolean;
}

/**
 * Of a cgroup that was named the limit that counts, whoever set it; of one beneath it its own alone, since that of another
 * is guarded there. `undefined` when there is none.
 */
function limitOf(cgroup: Cgroup, isNamed: boolean, soft: boolean): Found | undefined {
  const own = readSnapshot(cgroup);
  if (own === undefined) return undefined;
  const effective = isNamed ? readEffectiveLimit(cgroup) : undefined;
  const owner = effective?.owner === undefined || effective.owner === cgroup.path
    ? undefined
    : openCgroup(cgroup.hierarchy, effective.owner);
  const measured = owner ?? cgroup;
  const snapshot = owner ? readSnapshot(owner) : own;
  if (snapshot === undefined) return undefined;
  const hard = effective?.bytes ?? own.limits.max ?? Infinity;
  const softLimit = soft ? snapshot.limits.soft ?? snapshot.limits.high ?? Infinity : Infinity;
  const limit = Math.min(hard, softLimit);
  if (!Number.isFinite(limit) || limit <= 0) return undefined;
  return { measured, limit, capacity: capacityOf(snapshot, hard), isSoft: softLimit < hard };
}

function capacityOf({ limits }: Snapshot, hard: number): number {
  const capacity = oomCapacity({ ...limits, max: hard }, readMeminfo().swapTotal);
  return capacity !== undefined && Number.isFinite(capacity) ? capacity : hard;
}

/** v2 memory.high as somebody else has set it. */
function ownHigh(cgroup: Cgroup, journal: Journal): number | undefined {
  const high = readSnapshot(cgroup)?.limits.high;
  return high === undefined || journal.isOurs(cgroup.dir, "memory.high") ? undefined : high;
}
