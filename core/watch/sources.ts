/** What a watch is woken by: opens it, arms it, and says what stands in where it is refused. */

import { type Cgroup, isThere, parentOf, readPressure } from "../cgroup/cgroup.ts";
import type { Interests, PressureLevel, Trigger } from "../cgroup/version.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { EPOLLERR, EPOLLIN, openEpoll } from "../kernel/epoll.ts";
import { type Fd, takeEventfd } from "../kernel/fd.ts";
import { IN_Q_OVERFLOW, openInotify, readInotify } from "../kernel/inotify.ts";
import { SystemCallError } from "../kernel/libc.ts";
import type { Body, Source } from "../events/event.ts";
import { arm, type Armed, type ArmTargets } from "./triggers.ts";
import { type KernelLog, openKernelLog } from "./kernel_log.ts";
import { describe, describePoll, isOomTrigger, joinFiles, reasonOf } from "./triggers.ts";
import { keepUsageFile, type WatchedCgroup } from "./watched_cgroup.ts";
import { createHierarchyWatcher, type HierarchyWatcher } from "./hierarchy_watcher.ts";
import type { WatchOptions } from "./watch.ts";

/** Why a member was woken. Only `source` reaches an event; the rest says what to read again. */
export interface Hint {
  source: Source;
  readonly levels: { readonly level: PressureLevel; readonly count: bigint }[];
  readonly psi: Stall[];
}

/** A PSI trigger with its line's total (microseconds) as last told. */
interface Stall {
  readonly kind: "some" | "full";
  total: bigint;
}

/** What came in one batch. */
export interface Batch {
  readonly touched: ReadonlyMap<WatchedCgroup, Hint>;
  /** Directories of cgroups that came or went, in order. */
  readonly changed: readonly string[];
  /** The kernel dropped events. */
  readonly overflow: boolean;
}

export interface Sources {
  readonly log: KernelLog | undefined;
  arm(watched: WatchedCgroup): void;
  /** After the thresholds of a member have changed. */
  rearmThresholds(watched: WatchedCgroup): void;
  /** Takes what its OOM eventfd still holds. */
  collect(watched: WatchedCgroup): void;
  forget(watched: WatchedCgroup): void;
  readonly hierarchyWatcher: HierarchyWatcher;
  /** What inotify has to say right now; nobody will be woken for it. */
  drain(): Batch;
  /** Calls `wake` for every batch until `wakeUp`. */
  follow(wake: (batch: Batch) => void): Promise<void>;
  wakeUp(): void;
  described(): string[];
  close(): Promise<void>;
}

const LOG_TOKEN = 1;
const INOTIFY_TOKEN = 2;
const FIRST_FREE_TOKEN = 3;

export function openSources(
  options: WatchOptions,
  hierarchy: Hierarchy,
  emitEvent: (cgroup: string, source: Source, body: Body) => void,
): Sources {
  const described = new Set<string>();
  const refused = new Set<string>();
  const refuse = (cgroup: string, requested: string, fallback: string, reason: string) => {
    if (refused.has(`${requested} ${reason}`)) return;
    refused.add(`${requested} ${reason}`);
    described.add(`${fallback} instead of ${requested}: ${reason}`);
    emitEvent(cgroup, "none", { type: "degraded", requested, fallback, reason });
  };
  const attempt = <T>(requested: string, fallback: string, open: () => T): T | undefined => {
    try {
      return open();
    } catch (error) {
      refuse(hierarchy.root, requested, fallback, reasonOf(error));
      return undefined;
    }
  };

  const pollText = describePoll(options.poll);
  const notified = options.poll === undefined;
  const epoll = notified ? attempt("notifications", pollText, openEpoll) : undefined;
  const inotify = epoll && attempt("inotify", pollText, openInotify);
  if (epoll && inotify) epoll.add(inotify, EPOLLIN, INOTIFY_TOKEN);
  const armTargets: ArmTargets | undefined = epoll && { epoll, inotify };
  const hierarchyWatcher = createHierarchyWatcher(
    options,
    inotify,
    (line) => described.add(line),
    refuse,
  );
  if (!notified) described.add(pollText);

  const log = hierarchy.kernel ? openLog() : undefined;
  function openLog(): KernelLog | undefined {
    const omitUndefined = "counters alone, which name no victim";
    if (hierarchy.hidden && hierarchy.root === "/") {
      const reason = "it names cgroups as the host does, and this is a cgroup namespace";
      return void refuse(hierarchy.root, "the kernel log", omitUndefined, reason);
    }
    const opened = attempt("the kernel log", omitUndefined, () => openKernelLog(hierarchy));
    if (opened && epoll) epoll.add(opened.fd, EPOLLIN, LOG_TOKEN);
    if (opened) described.add("kernel log: /dev/kmsg");
    return opened;
  }

  interface Slot {
    readonly watched: WatchedCgroup;
    readonly armed: Armed;
    readonly stall?: Stall;
  }
  const slots = new Map<number, Slot>();
  let nextToken = FIRST_FREE_TOKEN;
  /** inotify watches; several targets can share that of their parent. */
  const watches = new Map<number, Set<WatchedCgroup>>();

  const armOne = (
    watched: WatchedCgroup,
    cgroup: Cgroup,
    trigger: Trigger,
    optional = false,
  ): boolean => {
    const token = nextToken++;
    try {
      const armed = arm(cgroup, trigger, token, armTargets!);
      if (armed.watch !== undefined) {
        const sharers = watches.get(armed.watch) ?? new Set();
        watches.set(armed.watch, sharers.add(watched));
      } else {
        slots.set(token, { watched, armed, ...stallOf(watched, trigger) });
      }
      watched.armed.push({ ...armed, disarm: () => release(watched, armed, token) });
      return true;
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      // The whole machine has no limit of which anything could be told, and a poll would tell no more.
      const isWhole = cgroup.path === "/" && error.code === "ENOENT";
      if (isWhole || !isThere(cgroup)) return isWhole;
      const fallback =
        isOomTrigger(trigger) || trigger.kind === "eventfd" && trigger.tells === "threshold"
          ? pollText
          : "nothing";
      if (!optional && trigger.file !== hierarchy.version.limitFile) {
        refuse(cgroup.path, describe(trigger), fallback, reasonOf(error));
      }
      return false;
    }
  };

  const readNotices = (
    touch: (watched: WatchedCgroup, source: Source) => void,
  ): Omit<Batch, "touched"> => {
    const events = inotify ? readInotify(inotify) : [];
    for (const { watch } of events) {
      for (const watched of watches.get(watch) ?? []) touch(watched, "inotify");
    }
    return {
      changed: events.map(hierarchyWatcher.changed).filter((dir) => dir !== undefined),
      overflow: events.some(({ mask }) => mask & IN_Q_OVERFLOW),
    };
  };

  const release = (watched: WatchedCgroup, armed: Armed, token: number) => {
    slots.delete(token);
    const sharers = armed.watch === undefined ? undefined : watches.get(armed.watch);
    sharers?.delete(watched);
    if (sharers && sharers.size > 0) return;
    if (armed.watch !== undefined) watches.delete(armed.watch);
    armed.disarm();
  };

  const interests = (watched: WatchedCgroup): Interests => ({
    thresholds: watched.thresholds.map(({ bytes }) => bytes),
    pressure: options.pressure,
    psi: options.psi,
  });

  const pollThresholds = (watched: WatchedCgroup) => {
    if (watched.thresholds.length === 0 || options.poll !== undefined) return;
    keepUsageFile(watched);
    watched.nextUsagePollAt = watched.usageFile ? performance.now() : Infinity;
    described.add(
      `thresholds: ${hierarchy.version.usageFile}, polled at the pace of the fill rate`,
    );
  };

  /** v2: a removed cgroup's last events are seen at its parent only. */
  const armParent = (watched: WatchedCgroup) => {
    const parent = parentOf(watched.cgroup);
    if (watched.isTarget && parent && hierarchy.version.countsSubtree) {
      armOne(watched, parent, { kind: "inotify", file: "memory.events" }, true);
    }
  };

  return {
    log,
    arm(watched) {
      for (const reason of hierarchy.version.refusals(interests(watched))) {
        refuse(watched.cgroup.path, "pressure", "nothing", reason);
      }
      let armedThresholds = true;
      for (const trigger of armTargets ? hierarchy.version.triggers(interests(watched)) : []) {
        const done = armOne(watched, watched.cgroup, trigger);
        if (watched.armed.at(-1)?.trigger === trigger) described.add(describe(trigger));
        if (done && isOomTrigger(trigger)) watched.source = trigger.kind as Source;
        if (!done && trigger.kind === "eventfd" && trigger.tells === "threshold") {
          armedThresholds = false;
        }
      }
      if (armTargets) armParent(watched);
      const leave = options.recursive ? hierarchyWatcher.follow(watched.cgroup) : undefined;
      if (leave) watched.armed.push({ trigger: { kind: "inotify", file: "." }, disarm: leave });
      if (!hierarchy.version.notifiesThresholds || !armedThresholds) pollThresholds(watched);
    },

    rearmThresholds(watched) {
      if (!armTargets || !hierarchy.version.notifiesThresholds) return;
      const isThreshold = ({ trigger }: Armed) =>
        trigger.kind === "eventfd" && trigger.tells === "threshold";
      for (const armed of watched.armed.filter(isThreshold)) armed.disarm();
      watched.armed = watched.armed.filter((armed) => !isThreshold(armed));
      for (const trigger of hierarchy.version.triggers(interests(watched))) {
        if (trigger.kind === "eventfd" && trigger.tells === "threshold") {
          armOne(watched, watched.cgroup, trigger);
        }
      }
    },

    collect(watched) {
      const oom = watched.armed.find(({ trigger, fd }) => fd && isOomTrigger(trigger));
      if (oom?.fd) watched.notified += Number(takeEventfd(oom.fd));
    },

    forget(watched) {
      for (const [token, slot] of slots) if (slot.watched === watched) slots.delete(token);
    },

    hierarchyWatcher,

    drain() {
      const { touched, touch } = createTouched();
      return { touched, ...readNotices(touch) };
    },

    async follow(wake) {
      if (!epoll) return;
      for (let going = true; going;) {
        const ready = await epoll.wait();
        going = !ready.woken;
        const { touched, touch } = createTouched();
        for (const { token, events } of ready.events) {
          const slot = slots.get(token);
          if (slot) wakeSlot(slot, events, touch);
        }
        wake({ touched, ...readNotices(touch) });
      }
    },

    wakeUp: () => epoll?.wake(),
    described: () => joinFiles(described),
    async close() {
      await hierarchyWatcher.close();
      log?.[Symbol.dispose]();
      inotify?.close();
      epoll?.close();
    },
  };
}

type Touch = (watched: WatchedCgroup, source: Source) => Hint;

function createTouched(): { readonly touched: Map<WatchedCgroup, Hint>; readonly touch: Touch } {
  const touched = new Map<WatchedCgroup, Hint>();
  return {
    touched,
    touch(watched, source) {
      const hint = touched.get(watched) ?? { source, levels: [], psi: [] };
      touched.set(watched, hint);
      return hint;
    },
  };
}

function wakeSlot(
  { watched, armed, stall }: { watched: WatchedCgroup; armed: Armed; stall?: Stall },
  events: number,
  touch: Touch,
): void {
  if (stall) {
    // A removed cgroup's pressure file is in error for ever: left in the set it would spin.
    if (events & EPOLLERR) armed.disarm();
    touch(watched, "psi").psi.push(stall);
    return;
  }
  const { trigger } = armed;
  const count = takeEventfd(armed.fd as Fd);
  const hint = touch(watched, "eventfd");
  if (trigger.kind !== "eventfd") return;
  if (trigger.tells === "oom") watched.notified += Number(count);
  if (trigger.tells === "pressure") hint.levels.push({ level: trigger.level!, count });
}

function stallOf(watched: WatchedCgroup, trigger: Trigger): { stall?: Stall } {
  if (trigger.kind !== "psi") return {};
  const { kind } = trigger.psi;
  return { stall: { kind, total: readPressure(watched.cgroup)?.[kind]?.total ?? 0n } };
}
