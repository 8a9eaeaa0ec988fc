/** What a watch is woken by: opens it, arms it, and says what stands in where it is refused. */

import { type Cgroup, isThere, parentOf, readPressure } from "../cgroup/cgroup.ts";
import type { Interests, PressureLevel, Trigger } from "../cgroup/dialect.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import { EPOLLERR, EPOLLIN, openEpoll } from "../kernel/epoll.ts";
import { type Fd, takeEventfd } from "../kernel/fd.ts";
import { IN_Q_OVERFLOW, openInotify, readInotify } from "../kernel/inotify.ts";
import { SystemCallError } from "../kernel/libc.ts";
import type { Body, Source } from "../report/event.ts";
import { arm, type Armed, type Bench } from "./arm.ts";
import { type KernelLog, openKernelLog } from "./kernel_log.ts";
import { describe, describePoll, joinFiles, reasonOf, tellsOom } from "./describe.ts";
import { keepUsageFile, type Member } from "./member.ts";
import { createTrees, type Trees } from "./trees.ts";
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
  readonly touched: ReadonlyMap<Member, Hint>;
  /** Directories of cgroups that came or went, in order. */
  readonly changed: readonly string[];
  /** The kernel dropped events. */
  readonly overflow: boolean;
}

export interface Sources {
  readonly log: KernelLog | undefined;
  arm(member: Member): void;
  /** After the thresholds of a member have changed. */
  rearmThresholds(member: Member): void;
  /** Takes what its OOM eventfd still holds. */
  collect(member: Member): void;
  forget(member: Member): void;
  readonly trees: Trees;
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
  tell: (cgroup: string, source: Source, body: Body) => void,
): Sources {
  const described = new Set<string>();
  const refused = new Set<string>();
  const refuse = (cgroup: string, wanted: string, using: string, reason: string) => {
    if (refused.has(`${wanted} ${reason}`)) return;
    refused.add(`${wanted} ${reason}`);
    described.add(`${using} instead of ${wanted}: ${reason}`);
    tell(cgroup, "none", { type: "degraded", wanted, using, reason });
  };
  const attempt = <T>(wanted: string, using: string, open: () => T): T | undefined => {
    try {
      return open();
    } catch (error) {
      refuse(hierarchy.root, wanted, using, reasonOf(error));
      return undefined;
    }
  };

  const pollText = describePoll(options.poll);
  const notified = options.poll === undefined;
  const epoll = notified ? attempt("notifications", pollText, openEpoll) : undefined;
  const inotify = epoll && attempt("inotify", pollText, openInotify);
  if (epoll && inotify) epoll.add(inotify, EPOLLIN, INOTIFY_TOKEN);
  const bench: Bench | undefined = epoll && { epoll, inotify };
  const trees = createTrees(options, inotify, (line) => described.add(line), refuse);
  if (!notified) described.add(pollText);

  const log = hierarchy.kernel ? openLog() : undefined;
  function openLog(): KernelLog | undefined {
    const without = "counters alone, which name no victim";
    if (hierarchy.hidden && hierarchy.root === "/") {
      const reason = "it names cgroups as the host does, and this is a cgroup namespace";
      return void refuse(hierarchy.root, "the kernel log", without, reason);
    }
    const opened = attempt("the kernel log", without, () => openKernelLog(hierarchy));
    if (opened && epoll) epoll.add(opened.fd, EPOLLIN, LOG_TOKEN);
    if (opened) described.add("kernel log: /dev/kmsg");
    return opened;
  }

  interface Slot {
    readonly member: Member;
    readonly armed: Armed;
    readonly stall?: Stall;
  }
  const slots = new Map<number, Slot>();
  let nextToken = FIRST_FREE_TOKEN;
  /** inotify watches; several targets can share that of their parent. */
  const watches = new Map<number, Set<Member>>();

  const armOne = (member: Member, cgroup: Cgroup, trigger: Trigger, optional = false): boolean => {
    const token = nextToken++;
    try {
      const armed = arm(cgroup, trigger, token, bench!);
      if (armed.watch !== undefined) {
        const sharers = watches.get(armed.watch) ?? new Set();
        watches.set(armed.watch, sharers.add(member));
      } else {
        slots.set(token, { member, armed, ...stallOf(member, trigger) });
      }
      member.armed.push({ ...armed, disarm: () => release(member, armed, token) });
      return true;
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      // The whole machine has no limit of which anything could be told, and a poll would tell no more.
      const isWhole = cgroup.path === "/" && error.code === "ENOENT";
      if (isWhole || !isThere(cgroup)) return isWhole;
      const using = tellsOom(trigger) || trigger.kind === "eventfd" && trigger.tells === "threshold"
        ? pollText
        : "nothing";
      if (!optional && trigger.file !== hierarchy.dialect.limitFile) {
        refuse(cgroup.path, describe(trigger), using, reasonOf(error));
      }
      return false;
    }
  };

  const readNotices = (touch: (member: Member, source: Source) => void): Omit<Batch, "touched"> => {
    const events = inotify ? readInotify(inotify) : [];
    for (const { watch } of events) {
      for (const member of watches.get(watch) ?? []) touch(member, "inotify");
    }
    return {
      changed: events.map(trees.changed).filter((dir) => dir !== undefined),
      overflow: events.some(({ mask }) => mask & IN_Q_OVERFLOW),
    };
  };

  const release = (member: Member, armed: Armed, token: number) => {
    slots.delete(token);
    const sharers = armed.watch === undefined ? undefined : watches.get(armed.watch);
    sharers?.delete(member);
    if (sharers && sharers.size > 0) return;
    if (armed.watch !== undefined) watches.delete(armed.watch);
    armed.disarm();
  };

  const interests = (member: Member): Interests => ({
    thresholds: member.thresholds.map(({ bytes }) => bytes),
    pressure: options.pressure,
    psi: options.psi,
  });

  const pollThresholds = (member: Member) => {
    if (member.thresholds.length === 0 || options.poll !== undefined) return;
    keepUsageFile(member);
    member.nextGlance = member.usageFile ? performance.now() : Infinity;
    described.add(
      `thresholds: ${hierarchy.dialect.usageFile}, polled at the pace of the fill rate`,
    );
  };

  /** v2: a removed cgroup's last events are seen at its parent only. */
  const armParent = (member: Member) => {
    const parent = parentOf(member.cgroup);
    if (member.isTarget && parent && hierarchy.dialect.countsSubtree) {
      armOne(member, parent, { kind: "inotify", file: "memory.events" }, true);
    }
  };

  return {
    log,
    arm(member) {
      for (const reason of hierarchy.dialect.refusals(interests(member))) {
        refuse(member.cgroup.path, "pressure", "nothing", reason);
      }
      let armedThresholds = true;
      for (const trigger of bench ? hierarchy.dialect.triggers(interests(member)) : []) {
        const done = armOne(member, member.cgroup, trigger);
        if (member.armed.at(-1)?.trigger === trigger) described.add(describe(trigger));
        if (done && tellsOom(trigger)) member.source = trigger.kind as Source;
        if (!done && trigger.kind === "eventfd" && trigger.tells === "threshold") {
          armedThresholds = false;
        }
      }
      if (bench) armParent(member);
      const leave = options.recursive ? trees.follow(member.cgroup) : undefined;
      if (leave) member.armed.push({ trigger: { kind: "inotify", file: "." }, disarm: leave });
      if (!hierarchy.dialect.notifiesThresholds || !armedThresholds) pollThresholds(member);
    },

    rearmThresholds(member) {
      if (!bench || !hierarchy.dialect.notifiesThresholds) return;
      const isThreshold = ({ trigger }: Armed) =>
        trigger.kind === "eventfd" && trigger.tells === "threshold";
      for (const armed of member.armed.filter(isThreshold)) armed.disarm();
      member.armed = member.armed.filter((armed) => !isThreshold(armed));
      for (const trigger of hierarchy.dialect.triggers(interests(member))) {
        if (trigger.kind === "eventfd" && trigger.tells === "threshold") {
          armOne(member, member.cgroup, trigger);
        }
      }
    },

    collect(member) {
      const oom = member.armed.find(({ trigger, fd }) => fd && tellsOom(trigger));
      if (oom?.fd) member.notified += Number(takeEventfd(oom.fd));
    },

    forget(member) {
      for (const [token, slot] of slots) if (slot.member === member) slots.delete(token);
    },

    trees,

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
      await trees.close();
      log?.[Symbol.dispose]();
      inotify?.close();
      epoll?.close();
    },
  };
}

type Touch = (member: Member, source: Source) => Hint;

function createTouched(): { readonly touched: Map<Member, Hint>; readonly touch: Touch } {
  const touched = new Map<Member, Hint>();
  return {
    touched,
    touch(member, source) {
      const hint = touched.get(member) ?? { source, levels: [], psi: [] };
      touched.set(member, hint);
      return hint;
    },
  };
}

function wakeSlot(
  { member, armed, stall }: { member: Member; armed: Armed; stall?: Stall },
  events: number,
  touch: Touch,
): void {
  if (stall) {
    // A removed cgroup's pressure file is in error for ever: left in the set it would spin.
    if (events & EPOLLERR) armed.disarm();
    touch(member, "psi").psi.push(stall);
    return;
  }
  const { trigger } = armed;
  const count = takeEventfd(armed.fd as Fd);
  const hint = touch(member, "eventfd");
  if (trigger.kind !== "eventfd") return;
  if (trigger.tells === "oom") member.notified += Number(count);
  if (trigger.tells === "pressure") hint.levels.push({ level: trigger.level!, count });
}

function stallOf(member: Member, trigger: Trigger): { stall?: Stall } {
  if (trigger.kind !== "psi") return {};
  const { kind } = trigger.psi;
  return { stall: { kind, total: readPressure(member.cgroup)?.[kind]?.total ?? 0n } };
}
