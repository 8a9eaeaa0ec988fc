/**
 * The notifications that wake a watch: opens and arms them, reads them, and reports what stands in where one is refused.
 * Creation and removal of cgroups come through inotify; `Deno.watchFs` stands in where there is no inotify instance: it drops
 * events while 16 wait to be read (denoland/deno issue 11373), and wakes up for every control file that changes.
 */

import { whyNoPressure } from "../cgroup/absence.ts";
import {
  ancestorsOf,
  type Cgroup,
  existingAncestorsOf,
  isThere,
  parentOf,
  readPressure,
} from "../cgroup/cgroup.ts";
import { unlessRefused } from "../cgroup/files.ts";
import type { Hierarchy } from "../cgroup/hierarchy.ts";
import type { Interests, PressureLevel, Trigger } from "../cgroup/version.ts";
import type { Source } from "../events/event.ts";
import { EPOLLERR, EPOLLIN, type EpollSet, openEpoll } from "../kernel/epoll.ts";
import { type Fd, takeEventfd } from "../kernel/fd.ts";
import {
  addWatch,
  CREATED_OR_REMOVED,
  IN_ISDIR,
  IN_Q_OVERFLOW,
  type InotifyEvent,
  openInotify,
  readInotify,
  removeWatch,
} from "../kernel/inotify.ts";
import { asSystemCallError, SystemCallError, unlessFailed } from "../kernel/libc.ts";
import { KernelLog, type LoggedKill } from "./kernel_log.ts";
import {
  type Fallback,
  fallbackAfter,
  type FallbackReport,
  type ReportedFallback,
} from "./fallbacks.ts";
import type { WatchOptions } from "./options.ts";
import { isFollowed } from "./scopes.ts";
import {
  arm,
  type Armed,
  describePoll,
  describeTrigger,
  isInotifyShortage,
  isOomTrigger,
  isThresholdTrigger,
} from "./triggers.ts";
import { openUsageFile, type WatchedCgroup } from "./watched_cgroup.ts";

/** Why a cgroup is read again. `source` and the counts of `levels` reach events, and so do the OOMs that v1 only notifies. */
export interface Wake {
  readonly source: Source;
  readonly levels: { readonly level: PressureLevel; readonly count: bigint }[];
  readonly stalls: Stall[];
}

/** A PSI trigger. */
interface Stall {
  readonly kind: "some" | "full";
  /** Microseconds; the total of its line as last reported. */
  total: bigint;
}

/** Everything that one call of epoll_wait returned. */
export interface Batch {
  readonly wakes: ReadonlyMap<WatchedCgroup, Wake>;
  /** Directories of cgroups that were created or removed, in order. */
  readonly changed: readonly string[];
  /** The kernel dropped inotify events. */
  readonly hasOverflowed: boolean;
}

/** What a token of the epoll set stands for. */
interface Slot {
  readonly watched: WatchedCgroup;
  readonly armed: Armed;
  readonly stall: Stall | undefined;
}

const LOG_TOKEN = 1;
const INOTIFY_TOKEN = 2;
const FIRST_FREE_TOKEN = 3;

const LOG_SOURCE = "kernel log: /dev/kmsg";
/** What is requested, and what stands in for it. */
const LOG_FALLBACK = ["kernel log", "kills counted, victims unnamed"] as const;

export class Notifications {
  readonly hierarchyWatcher: HierarchyWatcher;
  readonly #report: SourceReport;
  /** Open until `close`, also what is no longer used. */
  readonly #opened = new DisposableStack();
  /** Absent where notifications are refused or have failed, or polling is asked for. */
  #epoll: EpollSet | undefined;
  #inotify: Fd | undefined;
  #log: KernelLog | undefined;
  readonly #slots = new Map<number, Slot>();
  #nextToken = FIRST_FREE_TOKEN;
  /** By inotify watch; several targets can share that of their parent. */
  readonly #sharers = new Map<number, Set<WatchedCgroup>>();

  constructor(
    private readonly options: WatchOptions,
    private readonly hierarchy: Hierarchy,
    fallbacks: FallbackReport,
  ) {
    this.#report = new SourceReport(fallbacks, hierarchy.root, options.poll);
    const poll = describePoll(options.poll);
    if (options.poll === undefined) {
      this.#epoll = this.#tryOpen("notifications", poll, openEpoll);
      this.#inotify = this.#epoll && this.#tryOpen("inotify", poll, () => {
        using opened = new DisposableStack();
        const inotify = opened.use(openInotify());
        this.#epoll!.add(inotify, EPOLLIN, INOTIFY_TOKEN);
        opened.move();
        return inotify;
      });
    }
    this.hierarchyWatcher = new HierarchyWatcher(options, this.#inotify, this.#report);
    if (options.poll !== undefined) this.#report.add(poll);
    this.#log = hierarchy.kernel ? this.#openLog() : undefined;
  }

  #tryOpen<T extends Disposable>(
    requested: string,
    fallback: string,
    open: () => T,
  ): T | undefined {
    try {
      return this.#opened.use(open());
    } catch (error) {
      const { root } = this.hierarchy;
      this.#report.reportError(root, requested, fallback, error);
      return undefined;
    }
  }

  #openLog(): KernelLog | undefined {
    const { hidden, root } = this.hierarchy;
    if (hidden && root === "/") {
      const reason = "it names cgroups by their path on the host, which a cgroup namespace hides";
      const [requested, fallback] = LOG_FALLBACK;
      this.#report.reportFallback(root, { requested, fallback, reason });
      return undefined;
    }
    const log = this.#tryOpen(...LOG_FALLBACK, () => {
      using opened = new DisposableStack();
      const log = opened.use(new KernelLog(this.hierarchy));
      this.#epoll?.add(log.fd, EPOLLIN, LOG_TOKEN);
      opened.move();
      return log;
    });
    if (log) this.#report.add(LOG_SOURCE);
    return log;
  }

  /** Whether a change of the limit of any ancestor wakes the watch. */
  notifiesLimitsAbove({ notifications }: WatchedCgroup): boolean {
    return notifications.hasLimitsAbove && this.#inotify !== undefined;
  }

  /** Whether kills are read from the kernel log. */
  get hasLog(): boolean {
    return this.#log !== undefined;
  }

  /** The kills logged since the last call. A log that cannot be read any more is given up. */
  readLog(): LoggedKill[] {
    const log = this.#log;
    const kills: LoggedKill[] = [];
    try {
      for (const kill of log?.read() ?? []) kills.push(kill);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      this.#log = undefined;
      this.#epoll?.remove(log!.fd);
      this.#report.remove(LOG_SOURCE);
      this.#report.reportError(this.hierarchy.root, ...LOG_FALLBACK, error);
    }
    return kills;
  }

  /** For the start-up line. */
  lines(): string[] {
    return this.#report.lines();
  }

  /** Says which cgroup is followed in place of one without the memory controller. */
  reportUncharged({ path }: Cgroup, charged: Cgroup | undefined): void {
    const reason = charged
      ? `memory is not in cgroup.subtree_control of ${charged.path}`
      : "no visible ancestor has the memory controller";
    const fallback = charged ? `those of ${charged.path}, which is charged for it` : "none";
    const cause = `no memory controller, ${charged ? "an ancestor has it" : "no ancestor has it"}`;
    this.#report.reportFallback(path, { requested: "memory events", fallback, reason, cause });
  }

  arm(watched: WatchedCgroup): void {
    const { version } = this.hierarchy;
    const { armed } = watched.notifications;
    const interests = this.#interestsIn(watched);
    for (const reason of version.refusals(interests)) {
      const fallback = { requested: "pressure", fallback: "none", reason };
      this.#report.reportFallback(watched.cgroup.path, fallback);
    }
    let hasThresholds = version.notifiesThresholds;
    for (const trigger of this.#epoll ? version.triggers(interests) : []) {
      if (watched.chargedTo !== undefined && trigger.file.startsWith("memory.")) continue;
      const isDone = this.#arm(watched, watched.cgroup, trigger);
      if (armed.at(-1)?.trigger === trigger) this.#report.add(describeTrigger(trigger));
      if (isDone && isOomTrigger(trigger)) watched.notifications.source = trigger.kind as Source;
      if (!isDone && isThresholdTrigger(trigger)) hasThresholds = false;
    }
    // v2: a removed cgroup's last events are seen at its parent only.
    const parent = this.#epoll && watched.isTarget && version.countsSubtree
      ? parentOf(watched.cgroup)
      : undefined;
    if (parent) this.#arm(watched, parent, { kind: "inotify", file: "memory.events" }, true);
    if (this.#epoll && watched.isTarget) {
      const trigger = { kind: "inotify", file: version.limitFile } as const;
      watched.notifications.hasLimitsAbove = ancestorsOf(watched.cgroup)
        .map((ancestor) => this.#arm(watched, ancestor, trigger, true)).every((isArmed) => isArmed);
    }
    if (isFollowed(this.options.scopes, watched.cgroup.path)) {
      const disarm = this.hierarchyWatcher.watchChildren(watched.cgroup);
      if (disarm) armed.push({ trigger: { kind: "inotify", file: "." }, disarm });
    }
    // Without the memory controller it has no usage.
    if (!hasThresholds && watched.chargedTo === undefined) this.#pollThresholds(watched);
  }

  /** After the thresholds of a cgroup have changed. */
  rearmThresholds(watched: WatchedCgroup): void {
    const { version } = this.hierarchy;
    if (!this.#epoll || !version.notifiesThresholds) return;
    const { notifications } = watched;
    const isThreshold = ({ trigger }: Armed) => isThresholdTrigger(trigger);
    notifications.armed.filter(isThreshold).forEach(({ disarm }) => disarm());
    notifications.armed = notifications.armed.filter((armed) => !isThreshold(armed));
    for (const trigger of version.triggers(this.#interestsIn(watched))) {
      if (isThresholdTrigger(trigger)) this.#arm(watched, watched.cgroup, trigger);
    }
  }

  #interestsIn({ memory }: WatchedCgroup): Interests {
    const { pressureLevels, psi } = this.options;
    return { thresholds: memory.thresholds.map(({ bytes }) => bytes), pressureLevels, psi };
  }

  #pollThresholds(watched: WatchedCgroup): void {
    if (watched.memory.thresholds.length === 0 || this.options.poll !== undefined) return;
    openUsageFile(watched);
    watched.polls.nextUsageAt = performance.now();
    const { usageFile } = this.hierarchy.version;
    this.#report.add(`thresholds: ${usageFile}, polled more often the faster usage rises`);
  }

  /** False when a poll must stand in. */
  #arm(watched: WatchedCgroup, cgroup: Cgroup, trigger: Trigger, isOptional = false): boolean {
    const token = this.#nextToken++;
    try {
      const armTargets = { epoll: this.#epoll!, inotify: this.#inotify };
      const armed = arm(cgroup, trigger, token, armTargets);
      if (armed.watch !== undefined) {
        const sharers = this.#sharers.get(armed.watch) ?? new Set();
        this.#sharers.set(armed.watch, sharers.add(watched));
      } else {
        this.#slots.set(token, { watched, armed, stall: stallOf(watched, trigger) });
      }
      const disarm = () => this.#disarm(watched, armed, token);
      watched.notifications.armed.push({ ...armed, disarm });
      return true;
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      // The root of the machine has no limit that could be reported, and a poll would find none either.
      const isMachineRoot = cgroup.path === "/" && error.code === "ENOENT";
      if (isMachineRoot || !isThere(cgroup)) return isMachineRoot;
      if (!isOptional && trigger.file !== this.hierarchy.version.limitFile) {
        this.#reportLost(cgroup, trigger, error);
      }
      return false;
    }
  }

  #reportLost({ path, dir }: Cgroup, trigger: Trigger, error: SystemCallError): void {
    const fallback = isOomTrigger(trigger) || isThresholdTrigger(trigger)
      ? describePoll(this.options.poll)
      : "none";
    const hasNoPsi = trigger.kind === "psi" && ["ENOENT", "EOPNOTSUPP"].includes(error.code);
    const requested = describeTrigger(trigger);
    if (!hasNoPsi) return this.#report.reportError(path, requested, fallback, error);
    this.#report.reportFallback(path, { requested, fallback, reason: whyNoPressure(dir) });
  }

  #disarm(watched: WatchedCgroup, armed: Armed, token: number): void {
    this.#slots.delete(token);
    const sharers = armed.watch === undefined ? undefined : this.#sharers.get(armed.watch);
    sharers?.delete(watched);
    if (sharers && sharers.size > 0) return;
    if (armed.watch !== undefined) this.#sharers.delete(armed.watch);
    armed.disarm();
  }

  /** Counts the OOMs that its eventfd has been signalled since it was last read. */
  takeOomNotifications({ notifications }: WatchedCgroup): void {
    const oom = notifications.armed.find(({ trigger, fd }) => fd && isOomTrigger(trigger));
    // What cannot be read now is read, or given up, at its next wake-up.
    if (oom?.fd) notifications.ooms += Number(unlessFailed(() => takeEventfd(oom.fd!)) ?? 0n);
  }

  /** Reads what inotify has queued by now. */
  drain(): Batch {
    const wakes = new Map<WatchedCgroup, Wake>();
    return { wakes, ...this.#readInotify(wakes) };
  }

  /** Calls `onBatch` for everything that arrives, until `wakeUp`, or until no notification can be waited for any more. */
  async follow(onBatch: (batch: Batch) => void): Promise<void> {
    for (let isFollowing = true; isFollowing && this.#epoll;) {
      const wakes = new Map<WatchedCgroup, Wake>();
      let failed = false;
      try {
        const ready = await this.#epoll.wait();
        isFollowing = ready.woken === 0;
        for (const { token, events } of ready.events) this.#readSlot(token, events, wakes);
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error;
        this.#giveUpNotifications(error, wakes);
        failed = true;
      }
      const batch = { wakes, ...this.#readInotify(wakes) };
      onBatch(failed ? { ...batch, hasOverflowed: true } : batch);
    }
  }

  #readSlot(token: number, events: number, wakes: Map<WatchedCgroup, Wake>): void {
    const slot = this.#slots.get(token);
    if (slot === undefined) return;
    try {
      readSlot(slot, events, wakes);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      const { watched, armed } = slot;
      const { notifications } = watched;
      this.#disarm(watched, armed, token);
      notifications.armed = notifications.armed.filter(({ fd }) => fd !== armed.fd);
      this.#reportLost(watched.cgroup, armed.trigger, error);
      this.#poll(watched, armed.trigger, wakes);
    }
  }

  #readInotify(wakes: Map<WatchedCgroup, Wake>): Omit<Batch, "wakes"> {
    let events: InotifyEvent[] = [];
    let hasFailed = false;
    try {
      if (this.#inotify) events = readInotify(this.#inotify);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      this.#giveUpInotify(error, wakes);
      hasFailed = true;
    }
    for (const { watch } of events) {
      for (const watched of this.#sharers.get(watch) ?? []) wakeOf(watched, "inotify", wakes);
    }
    return {
      changed: events.flatMap((event) => this.hierarchyWatcher.changedDirectory(event) ?? []),
      hasOverflowed: hasFailed || events.some(({ mask }) => mask & IN_Q_OVERFLOW),
    };
  }

  /** From now on `watched` is polled for what `trigger` notified of. */
  #poll(watched: WatchedCgroup, trigger: Trigger, wakes: Map<WatchedCgroup, Wake>): void {
    if (isOomTrigger(trigger)) watched.notifications.source = "poll";
    if (isThresholdTrigger(trigger)) this.#pollThresholds(watched);
    wakeOf(watched, "poll", wakes);
  }

  #giveUpInotify(error: SystemCallError, wakes: Map<WatchedCgroup, Wake>): void {
    const inotify = this.#inotify!;
    this.#inotify = undefined;
    this.#epoll?.remove(inotify);
    this.hierarchyWatcher.giveUpInotify();
    const fallback = describePoll(this.options.poll);
    this.#report.reportError(this.hierarchy.root, "inotify", fallback, error);
    for (const watched of new Set(this.#sharers.values().flatMap((sharers) => sharers))) {
      for (const { trigger, watch } of watched.notifications.armed) {
        if (watch !== undefined) this.#poll(watched, trigger, wakes);
      }
    }
  }

  #giveUpNotifications(error: SystemCallError, wakes: Map<WatchedCgroup, Wake>): void {
    this.#epoll = undefined;
    this.#inotify = undefined;
    this.hierarchyWatcher.giveUpInotify();
    const fallback = describePoll(this.options.poll);
    this.#report.reportError(this.hierarchy.root, "notifications", fallback, error);
    const all = new Set(this.#sharers.values().flatMap((sharers) => sharers));
    for (const { watched } of this.#slots.values()) all.add(watched);
    for (const watched of all) {
      for (const { trigger } of watched.notifications.armed) this.#poll(watched, trigger, wakes);
    }
  }

  /** Ends `follow`. */
  wakeUp(): void {
    this.#epoll?.wake();
  }

  async close(): Promise<void> {
    await this.hierarchyWatcher.close();
    this.#opened.dispose();
  }
}

function wakeOf(watched: WatchedCgroup, source: Source, wakes: Map<WatchedCgroup, Wake>): Wake {
  const wake = wakes.get(watched) ?? { source, levels: [], stalls: [] };
  wakes.set(watched, wake);
  return wake;
}

function readSlot(
  { watched, armed, stall }: Slot,
  events: number,
  wakes: Map<WatchedCgroup, Wake>,
): void {
  if (stall) {
    // The pressure file of a removed cgroup stays in error: left in the epoll set it would wake without end.
    if (events & EPOLLERR) armed.disarm();
    wakeOf(watched, "psi", wakes).stalls.push(stall);
    return;
  }
  const { trigger } = armed;
  const count = takeEventfd(armed.fd!);
  const wake = wakeOf(watched, "eventfd", wakes);
  if (trigger.kind !== "eventfd") return;
  if (trigger.event === "oom") watched.notifications.ooms += Number(count);
  if (trigger.event === "pressure") wake.levels.push({ level: trigger.level!, count });
}

function stallOf({ cgroup }: WatchedCgroup, trigger: Trigger): Stall | undefined {
  if (trigger.kind !== "psi") return undefined;
  const { kind } = trigger.psi;
  return { kind, total: unlessRefused(() => readPressure(cgroup))?.[kind]?.total ?? 0n };
}

/** Called with the directory of a cgroup that was created or removed; `undefined` means that any may have been. */
type OnChange = (dir: string | undefined) => void;

const NAME = "cgroup creation/removal";
const READ_ALL = "read all cgroups every 30 s";

/** Creation and removal of cgroups. */
class HierarchyWatcher {
  source: "inotify" | "watchfs" | "poll";
  /** By watch, so that a directory created later with the same name has its own. */
  readonly #directories = new Map<number, string>();
  readonly #fsWatchers: { readonly watcher: Deno.FsWatcher; readonly done: Promise<void> }[] = [];
  /** Whether every creation and removal is reported, as far as the kernel reports it. */
  reportsAllChanges: boolean;
  #followsAwaited = false;

  constructor(
    private readonly options: WatchOptions,
    private inotify: Fd | undefined,
    private readonly report: SourceReport,
  ) {
    this.source = inotify ? "inotify" : "watchfs";
    this.reportsAllChanges = inotify !== undefined;
  }

  /** Whether the creation of each awaited target, and of the cgroups above it, is notified. */
  get followsAwaited(): boolean {
    return this.#followsAwaited && this.inotify !== undefined;
  }

  /**
   * Follows the siblings of the targets, what is above those that are awaited and, with watchFs, what is below the targets; only
   * watchFs calls `onChange`.
   */
  start(onChange: OnChange): void {
    const { scopes, awaited = [] } = this.options;
    const parents = scopes.flatMap(({ cgroup }) => parentOf(cgroup) ?? []);
    if (this.inotify) {
      parents.forEach((parent) => this.watchChildren(parent));
      this.#followsAwaited = awaited.flatMap(existingAncestorsOf)
        .map((each) => this.watchChildren(each)).every((disarm) => disarm !== undefined);
      return;
    }
    const followed = scopes.filter(({ recursive }) => recursive).map(({ cgroup }) => cgroup);
    if (followed.length > 0) this.#watchFs(followed, true, onChange);
    if (parents.length > 0) this.#watchFs(parents, false, onChange);
  }

  /** Follows the children of `cgroup` until the returned function is called; `undefined` without inotify. */
  watchChildren(cgroup: Cgroup): (() => void) | undefined {
    const inotify = this.inotify;
    if (inotify === undefined) return undefined;
    try {
      const watch = addWatch(inotify, cgroup.dir, CREATED_OR_REMOVED);
      this.#directories.set(watch, cgroup.dir);
      this.report.add(`${NAME}: inotify`);
      return () => {
        if (this.#directories.delete(watch)) removeWatch(inotify, watch);
      };
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      if (isThere(cgroup)) this.#reportFallback(cgroup, error);
      return undefined;
    }
  }

  /** From now on changes are found by reading all cgroups. */
  giveUpInotify(): void {
    if (this.inotify === undefined) return;
    this.inotify = undefined;
    this.#giveUp();
  }

  #giveUp(): void {
    this.source = "poll";
    this.reportsAllChanges = false;
  }

  /** The directory of a cgroup that was created or removed; `undefined` when the event is about something else. */
  changedDirectory({ watch, mask, name }: InotifyEvent): string | undefined {
    const dir = this.#directories.get(watch);
    return dir !== undefined && mask & IN_ISDIR && name !== "" ? `${dir}/${name}` : undefined;
  }

  async close(): Promise<void> {
    for (const { watcher } of this.#fsWatchers) watcher.close();
    await Promise.all(this.#fsWatchers.map(({ done }) => done));
  }

  #watchFs(cgroups: readonly Cgroup[], recursive: boolean, onChange: OnChange): void {
    try {
      const watcher = Deno.watchFs(cgroups.map(({ dir }) => dir), { recursive });
      const done = forward(watcher, onChange).catch((error) => {
        this.#giveUp();
        this.#reportFallback(cgroups[0]!, error);
      });
      this.#fsWatchers.push({ watcher, done });
      this.report.add(`${NAME}: watchFs`);
    } catch (error) {
      // NotFound, or an Error when a limit of inotify is reached.
      this.#reportFallback(cgroups[0]!, error);
    }
  }

  #reportFallback({ path }: Cgroup, error: unknown): void {
    this.reportsAllChanges = false;
    // watchFs takes an inotify instance of its own, and then a watch, of which there can be too few (ENOSPC).
    const known = asSystemCallError(error, "inotify_init1", path);
    const isWatch = known instanceof SystemCallError && known.code === "ENOSPC";
    const named = isWatch ? asSystemCallError(error, "inotify_add_watch", path) : known;
    this.report.reportError(path, NAME, READ_ALL, named);
  }
}

async function forward(watcher: Deno.FsWatcher, onChange: OnChange): Promise<void> {
  for await (const { flag, kind, paths } of watcher) {
    // The kernel dropped events.
    if (flag === "rescan") onChange(undefined);
    else if (kind === "create" || kind === "remove" || kind === "rename") {
      for (const path of paths) onChange(path);
    }
  }
}

/** Which sources are in use, and what stands in for those that are not available: for the start-up line and as events. */
class SourceReport {
  readonly #sources = new Set<string>();
  /** Of this watch; a guard has others. */
  readonly #reported = new Set<ReportedFallback>();

  /**
   * @param root of the hierarchy.
   * @param poll milliseconds; see {@link describePoll}.
   */
  constructor(
    private readonly fallbacks: FallbackReport,
    private readonly root: string,
    private readonly poll?: number,
  ) {}

  /** @param source such as `events: inotify on memory.events`. */
  add(source: string): void {
    this.#sources.add(source);
  }

  /** It is not in use any more. */
  remove(source: string): void {
    this.#sources.delete(source);
  }

  reportFallback(cgroup: string, fallback: Fallback): void {
    this.#reported.add(this.fallbacks.report(cgroup, fallback));
  }

  /** A shortage of inotify affects more than the mechanism that noticed it first. */
  reportError(cgroup: string, requested: string, fallback: string, error: unknown): void {
    if (!(error instanceof SystemCallError) || !isInotifyShortage(error)) {
      return this.reportFallback(cgroup, fallbackAfter(requested, fallback, error));
    }
    const replacement = `${describePoll(this.poll)}, ${READ_ALL}`;
    // Without an instance no cgroup has a watch.
    const affected = error.call === "inotify_init1" ? this.root : cgroup;
    this.reportFallback(affected, fallbackAfter("inotify", replacement, error));
  }

  /** One line for each source, with all its files: `events: inotify on memory.events, memory.max`; then the fallbacks. */
  lines(): string[] {
    const bySource = Map.groupBy(this.#sources, (line) => line.split(" on ", 1)[0]!);
    const sources = [...bySource].map(([source, lines]) => {
      const files = lines.flatMap((line) => line.split(" on ", 2)[1] ?? []);
      return files.length === 0 ? source : `${source} on ${files.join(", ")}`;
    });
    const fallbacks = [...this.#reported].map((each) => {
      const { requested, fallback, reason, cgroups } = each.count();
      const effect = fallback === "none" ? "no fallback" : fallback;
      const extent = cgroups > 1 ? `, ${cgroups} cgroups` : "";
      return `${requested} unavailable: ${effect} (${reason}${extent})`;
    });
    return [...sources, ...fallbacks];
  }
}
