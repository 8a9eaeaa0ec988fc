/**
 * What the monitor thread keeps of one guarded cgroup: a few records, each written by one module, and the functions that read
 * the control files.
 */

import type { Cgroup } from "../../cgroup/cgroup.ts";
import { readSwapLeft, readUnswappable } from "../../cgroup/swap.ts";
import type { SuspendedProcess } from "../../control/journal.ts";
import type { KillBody } from "../../events/event.ts";
import { wallClock } from "../../kernel/clock.ts";
import {
  type ControlFile,
  type LazyControlFile,
  type OpenControlFile,
  openControlFileIn,
  openLazily,
  reopenOnRead,
} from "../../kernel/control_file.ts";
import { type Fd, LazyDirectory } from "../../kernel/fd.ts";
import { withinFdBudget } from "../../kernel/fd_budget.ts";
import { pageSize } from "../../kernel/page_size.ts";
import { SystemCallError } from "../../kernel/libc.ts";
import { parseReclaimStat, type ReclaimStat } from "../../parse/cgroupfs.ts";
import {
  type DecisionState,
  initialDecision,
  type Observation,
  type SkipReason,
} from "../../policy/kill_cycle.ts";
import { PressureWindow } from "../../policy/pressure_window.ts";
import {
  metricOf,
  MIN_MS_FOR_RATE,
  msUntilLimit,
  noTrend,
  noUnreclaimableTrend,
  PEAK_RATE_MS,
  type UnreclaimableTrend,
  updateTrend,
  updateUnreclaimable,
  type UsageTrend,
  withoutPageCache,
} from "../../policy/usage_trend.ts";
import type { ResolvedPolicy } from "../policy.ts";
import { type CgroupSpec, type GuardSettings, unflatten, type WakeSource } from "./protocol.ts";
import {
  type KnownProcesses,
  NOTHING_KNOWN,
  type Victim,
  type VictimSelection,
} from "./victim_selection.ts";
import { type CgroupRanking, rankingOf } from "./cgroup_ranking.ts";
import { openMachineFiles } from "./machine_files.ts";

export interface CgroupState {
  readonly id: number;
  readonly scope: Cgroup;
  readonly limitOwner: Cgroup;
  readonly files: ControlFiles;
  /** Written by this module. */
  readonly memory: MemoryReading;
  /** Written by `loop.ts`, and by `kill_executor.ts` after a kill. */
  pressure: PressureState | undefined;
  /** Written by `core/policy/kill_cycle.ts`, and by `kill_executor.ts` at each step. */
  readonly decision: DecisionState;
  /** Written by `loop.ts`, as are the settings and the policy. */
  readonly schedule: Schedule;
  settings: GuardSettings;
  policy: ResolvedPolicy;
  /** Of the policy. */
  ranking: CgroupRanking | undefined;
  /** Written by `kill_executor.ts`. */
  readonly actions: ActionState;
  /** Written by `pending_kills.ts`. */
  readonly pinned: PinnedVictims;
  /** Written by `oom_killer_switch.ts`. */
  readonly hold: OomKillerHold;
  /** Written by `throttle_switch.ts`. */
  readonly throttle: ThrottleState;
}

/** Kept open within the descriptor budget; otherwise opened for each read. */
export interface ControlFiles {
  /** The same cgroup, never another that has taken its name; closed like `statFile`. `undefined` outside of the descriptor budget. */
  readonly directory: LazyDirectory | undefined;
  readonly usageFile: ControlFile;
  /** These are closed like `statFile`. The last two are absent on v2. */
  readonly limitFile: LazyControlFile;
  readonly kernelMemoryFile: LazyControlFile | undefined;
  readonly underOomFile: LazyControlFile | undefined;
  /** memory.stat; closed while usage is far from any level. */
  readonly statFile: LazyControlFile;
  /** v2 memory.events, for the epoll set; a read re-arms it. */
  readonly events: OpenControlFile | undefined;
  /** Of the machine: its limit at the last read of usage (bytes), which changes with huge pages and hot-plugged memory. */
  readonly machineLimit?: () => number;
  /** Of the machine; absent without PSI. */
  readonly pressureFile?: ControlFile | undefined;
}

export interface MemoryReading extends UsageTrend, UnreclaimableTrend {
  /** The text of memory.stat as of `statAt`, and what it says about reclaim. */
  stat: string;
  reclaimStat: ReclaimStat;
  /**
   * v1: bytes as of `statAt` that may be reclaimable. The difference of usage and memory.stat is no measure of it: memory.stat lags by
   * megabytes.
   */
  kernelMemory: number;
  /** Bytes that may still be swapped, and when that was read. */
  swapLeft: number;
  swapLeftAt: number;
  /** Of the machine: bytes that its cgroups may not swap, and when to read that again. */
  unswappable: number;
  unswappableDueAt: number;
  /** Value and rate of the metric, where that is not usage. */
  metricValue: number;
  metricAt: number;
  metricRate: number | undefined;
}

/** Of the machine, for a policy with a condition of pressure. */
export interface PressureState {
  readonly window: PressureWindow;
  /** At the last poll, and there for the first time. */
  isReached: boolean;
  isNew: boolean;
}

export interface Schedule {
  nextPollAt: number;
  /** Until then the cgroup is polled without a pause while it is close to the imminent level. */
  busyPollUntil: number;
  /** The cause of the last poll that led to something. */
  wakeSource: WakeSource;
  /** Since when usage cannot be read, or is unknown; `undefined` while it is known. */
  unreadableSince: number | undefined;
  /**
   * Since when the cgroup is full of page cache, with other memory far from the level; `undefined` while it is not, which is known
   * only as far as it matters.
   */
  farSince: number | undefined;
  /** When that may have changed. */
  lookAgainAt: number;
  /** Usage around which usage has stayed, and since when. */
  rest: { readonly usage: number; readonly since: number };
  /** The main thread was asked to arm what is left. */
  hasAskedToArm: boolean;
  /** v2: memory.events wakes this thread. */
  hasEvents: boolean;
}

export interface ActionState {
  /** The reclaim in progress with usage when it began; `refused` says why it could not be started. */
  reclaim:
    | { readonly before: number; readonly since: number; readonly refused: string | undefined }
    | undefined;
  /** When a reclaim, and each reason to kill nothing, was reported last. */
  readonly reportedAt: Map<SkipReason | "reclaim", number>;
  /** Why kills have failed since the last one that did not, and when that was reported: each reason once. */
  readonly reportedFailures: Map<string, number>;
  /** When a kill failed last. */
  failedAt: number;
  /** Why processes could not be signalled, by pid; `undefined` for those that were gone. */
  readonly refused: Map<number, string | undefined>;
  /** Since when this kill cycle waits for a process that exits without its doing. */
  exitingSince: number | undefined;
  /** The last turn read all processes, which took so long that the kill is left to the next turn. */
  isKillDeferred: boolean;
}

/** All processes that the thread holds by a pidfd. */
export interface PinnedVictims {
  selection: VictimSelection | undefined;
  /** From the last selection; kept beyond it, until usage is below all levels. */
  known: KnownProcesses;
  /** In the order of their signals; each is reported when its outcome is known. */
  kills: PendingKill[];
  /** Stopped next to a victim, and since when. */
  readonly suspended: { readonly victim: Victim; readonly record: SuspendedProcess }[];
  suspendedAt: number;
}

/** In mode `hold-near-limit`. */
export interface OomKillerHold {
  /** This guard has disabled it. */
  isDisabled: boolean;
  /** It stays disabled until then, however low usage is. */
  until: number;
  /** Nothing could be killed, or it cannot be disabled: the kernel's turn, until usage is far from the limit again. */
  isLeftToKernel: boolean;
  /** The last look. */
  usage: number;
  at: number;
}

const noHold: Readonly<OomKillerHold> = {
  isDisabled: false,
  until: -Infinity,
  isLeftToKernel: false,
  usage: NaN,
  at: -Infinity,
};

/** In mode `throttle`. */
export interface ThrottleState {
  /** memory.high is what it was before the guard. */
  isLifted: boolean;
  /** No attempt to lift it before this. */
  retryAt: number;
}

const noThrottle: Readonly<ThrottleState> = { isLifted: false, retryAt: -Infinity };

/** memory.high was set again for new settings, or restored for good. */
export function resetThrottle({ throttle }: CgroupState): void {
  Object.assign(throttle, noThrottle);
}

/** A kill with an outcome that is not known yet. */
export interface PendingKill {
  readonly victim: Victim;
  readonly kill: Omit<
    KillBody,
    "usage_after" | "freed" | "outcome" | "exit_ms" | "freed_ms"
  >;
  /** memory.stat at the decision. */
  readonly stat: string;
  /** Milliseconds of this thread's clock. */
  readonly since: number;
  rounds: number;
  /** When the last round was. */
  repeatedAt: number;
  exitLatencyMs: number | undefined;
  /** It was reported as survived because it had not exited in time. */
  isOverdue: boolean;
  /** Why the rest of its cgroup cannot be signalled. */
  refusal: string | undefined;
}

export const pressureOf = ({ pressure }: ResolvedPolicy): PressureState | undefined =>
  pressure && { window: new PressureWindow(pressure), isReached: false, isNew: false };

/**
 * Whether the levels below the imminent one kill nothing now, because processes have not waited for memory long enough. At the imminent
 * level the kernel is about to kill, whether or not they have.
 */
export const lacksPressure = ({ pressure }: Pick<CgroupState, "pressure">): boolean =>
  pressure !== undefined && !pressure.isReached;

const NO_CONTROL_FILES = {
  directory: undefined,
  kernelMemoryFile: undefined,
  underOomFile: undefined,
  events: undefined,
};

/** `undefined` when the cgroup is gone, or another has its name. Throws `SystemCallError` when descriptors run short. */
export function openCgroupState(spec: CgroupSpec, policy: ResolvedPolicy): CgroupState | undefined {
  const { id, limitOwner: flatOwner, scope: flatScope, ...settings } = spec;
  const limitOwner = unflatten(flatOwner);
  // Nearly always the same cgroup, which is then stored once.
  const scope = flatScope.path === limitOwner.path ? limitOwner : unflatten(flatScope);
  const files = limitOwner.machine
    ? { ...NO_CONTROL_FILES, ...openMachineFiles(limitOwner.machine) }
    : openControlFiles(limitOwner);
  return files && {
    id,
    scope,
    limitOwner,
    files,
    memory: {
      ...noTrend,
      ...noUnreclaimableTrend,
      stat: "",
      reclaimStat: {},
      kernelMemory: 0,
      swapLeft: 0,
      swapLeftAt: -Infinity,
      unswappable: 0,
      unswappableDueAt: -Infinity,
      metricValue: NaN,
      metricAt: -Infinity,
      metricRate: undefined,
    },
    decision: initialDecision(),
    schedule: {
      nextPollAt: -Infinity,
      busyPollUntil: -Infinity,
      wakeSource: "poll",
      unreadableSince: undefined,
      farSince: undefined,
      lookAgainAt: Infinity,
      rest: { usage: NaN, since: Infinity },
      hasAskedToArm: false,
      hasEvents: false,
    },
    settings,
    policy,
    pressure: pressureOf(policy),
    ranking: rankingOf(policy.preferences, scope, limitOwner),
    actions: {
      reclaim: undefined,
      reportedAt: new Map(),
      reportedFailures: new Map(),
      failedAt: -Infinity,
      refused: new Map(),
      exitingSince: undefined,
      isKillDeferred: false,
    },
    pinned: {
      selection: undefined,
      known: NOTHING_KNOWN,
      kills: [],
      suspended: [],
      suspendedAt: -Infinity,
    },
    hold: { ...noHold },
    throttle: { ...noThrottle },
  };
}

/** Closes what is read only near a level, until it is read again. */
export function restFiles({ files }: CgroupState): void {
  files.statFile.rest();
  files.limitFile.rest();
  files.kernelMemoryFile?.rest();
  files.underOomFile?.rest();
  files.directory?.rest();
}

export function closeCgroupState({ pinned, files }: CgroupState): void {
  pinned.selection?.close();
  const { directory, machineLimit: _, ...others } = files;
  for (const file of Object.values(others)) file?.close();
  directory?.rest();
}

function openControlFiles(limitOwner: Cgroup): ControlFiles | undefined {
  const { dir, inode, hierarchy: { version, kernel } } = limitOwner;
  using opened = new DisposableStack();
  try {
    const directory = new LazyDirectory(dir, inode);
    opened.defer(() => directory.rest());
    const fd = directory.open();
    // epoll_ctl(2) refuses a plain file, which a fake hierarchy has.
    const events = version.eventsFile && kernel ? openEvents(fd, version.eventsFile) : undefined;
    if (events) opened.use(events);
    const { limitFile, kernelMemoryFile, underOomFile } = version;
    const lazyFiles = (open: (name: string) => LazyControlFile) => ({
      statFile: open("memory.stat"),
      limitFile: open(limitFile),
      kernelMemoryFile: kernelMemoryFile === undefined ? undefined : open(kernelMemoryFile),
      underOomFile: underOomFile === undefined ? undefined : open(underOomFile),
    });
    if (withinFdBudget(fd, "speed")) {
      const usageFile = opened.use(openControlFileIn(fd, version.usageFile));
      opened.move();
      directory.rest();
      return { directory, usageFile, events, ...lazyFiles((name) => openLazily(directory, name)) };
    }
    opened.move();
    directory.rest();
    const reopen = (name: string) => reopenOnRead(`${dir}/${name}`);
    const usageFile = reopen(version.usageFile);
    return { directory: undefined, usageFile, events, ...lazyFiles(reopen) };
  } catch (error) {
    if (error instanceof SystemCallError && !isShortage(error)) return undefined;
    throw error;
  }
}

const isShortage = ({ code }: SystemCallError) => code === "EMFILE" || code === "ENFILE";

/** The root cgroup has no such file. */
function openEvents(directory: Fd, name: string): OpenControlFile | undefined {
  try {
    const file = openControlFileIn(directory, name);
    if (withinFdBudget(file.fd, "notification")) return file;
    file.close();
    return undefined;
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}

/** The fields that every report on a cgroup begins with. */
export function reportHead({ id, schedule: { wakeSource } }: CgroupState) {
  return { id, wakeSource, at: wallClock() };
}

/** If the limit is reached sooner than this, the last reading of memory.stat is used (milliseconds). */
const MAX_MS_TO_SKIP_STAT = 2;
/** A reading of what is left of swap is used for this long: it takes 0.1 ms, and a disk takes 1 ms for 200 KiB (estimates). */
const MAX_SWAP_AGE_MS = 5;
/** Unless it is older than this: near the level it is read at each poll, unless the thread lost the CPU (milliseconds). */
const MAX_STAT_AGE_MS = 1;

/** Where page cache was less of usage than this, memory that grows so fast is taken for anonymous (an estimate). */
const MIN_SHARE_OF_PAGE_CACHE = 1 / 4;

/** @param victim whether a signalled process is alive. */
export function observe(
  state: CgroupState,
  now: number,
  victim: Observation["victim"],
): Observation {
  const { memory, settings: { limit, levelBytes }, policy, decision, files, actions } = state;
  // The victim frees its memory before it exits, so usage read before the exit is stale. Read it again, or a second process is
  // killed needlessly.
  const usage = victim === "dead" ? files.usageFile.number() : undefined;
  if (usage !== undefined) updateTrend(memory, usage, performance.now());
  // Half a margin of new page cache matters less than the time that it takes to read memory.stat. Where there is page cache it may be
  // far more: readahead charges 10 MiB in a millisecond.
  const age = performance.now() - memory.statAt;
  const isUrgent = msUntilLimit(memory, limit) <= MAX_MS_TO_SKIP_STAT && !hasMuchPageCache(memory);
  if (age > MAX_STAT_AGE_MS || (age > 0 && !isUrgent)) readStat(state, now);
  const { inactiveFile, reclaimable, writeback = 0, reclaimed } = memory.reclaimStat;
  const killLevelBytes = levelBytes[decision.killLevel];
  const isImminent = decision.killLevel === "imminent" ||
    (policy.killing.has("imminent") && memory.usage >= levelBytes.imminent);
  // A new window begins with a kill, but a victim that ignores SIGTERM is sent SIGKILL without one.
  const isInGracePeriod = decision.killCycle?.phase === "sigterm_sent" && victim === "alive";
  return {
    // The kill cycle of a lower level ends with the pressure.
    metricValue: lacksPressure(state) && !isImminent && !isInGracePeriod
      ? 0
      : metricOf(policy.metric, memory.usage, inactiveFile),
    killLevelBytes,
    usage: memory.usage,
    limit,
    reclaimable,
    swappable: swappableBytes(memory),
    kernelMemory: kernelMemory(memory, limit - killLevelBytes),
    // Nothing was asked for: the kernel's figures count.
    reclaimed: policy.dryRun || actions.reclaim?.refused !== undefined ? undefined : reclaimed,
    writeback,
    rate: memory.rate,
    peakRate: now - memory.peakRateAt > PEAK_RATE_MS ? 0 : memory.peakRate,
    unreclaimableRate: memory.unreclaimableRate,
    oomKillerDisabled: isOomKillerDisabled(state),
    isThrottled: state.settings.mode === "throttle",
    protectsPageCache: state.limitOwner.hierarchy.version.protectsPageCache,
    victim,
  };
}

/** Allocators wait at the limit. */
export const isOomKillerDisabled = ({ settings, hold }: CgroupState): boolean =>
  settings.mode === "hold" || hold.isDisabled;

/** At the last reading of memory.stat. */
const hasMuchPageCache = ({ reclaimStat: { reclaimable = 0 }, unreclaimable }: MemoryReading) =>
  reclaimable >= MIN_SHARE_OF_PAGE_CACHE * (reclaimable + unreclaimable);

/** Keeps the last reading when memory.stat cannot be read. */
export function readStat(state: CgroupState, now: number): void {
  const { memory, files, settings: { limit, levelBytes, canSwap }, policy: { killSettings } } =
    state;
  const text = files.statFile.text();
  if (text === undefined) return;
  memory.stat = text;
  memory.reclaimStat = parseReclaimStat(text, pageSize());
  memory.kernelMemory = hasWaitingAllocator(state) ? 0 : files.kernelMemoryFile?.number() ?? 0;
  if (canSwap && killSettings.countSwap && now - memory.swapLeftAt > MAX_SWAP_AGE_MS) {
    memory.swapLeft = Math.floor(readSwapLeft(state.limitOwner, killSettings.swapUsedLimit));
    memory.swapLeftAt = now;
    if (memory.swapLeft > 0) updateUnswappable(state, now);
  }
  const unreclaimable = withoutPageCache(memory.usage, memory.reclaimStat.reclaimable) -
    swappableBytes(memory) - kernelMemory(memory, limit - levelBytes.imminent);
  const { reclaimed } = memory.reclaimStat;
  const charged = reclaimed === undefined ? undefined : memory.usage + reclaimed;
  updateUnreclaimable(memory, Math.max(0, unreclaimable), now, charged);
}

/**
 * v1 with the OOM killer off: the kernel has tried to reclaim everything, kernel memory too, before it lets an allocator wait
 * (mm/memcontrol-v1.c, mem_cgroup_oom_synchronize). Usage may be hundreds of KiB below the limit by then: other processes fail there,
 * or exit, and new ones follow.
 */
function hasWaitingAllocator(state: CgroupState): boolean {
  const { memory: { usage }, settings: { levelBytes }, decision, files } = state;
  return isOomKillerDisabled(state) && usage >= levelBytes[decision.killLevel] &&
    /^under_oom 1$/m.test(files.underOomFile?.text() ?? "");
}

/** What swap has room for. */
const swappableBytes = ({ reclaimStat, swapLeft, unswappable }: MemoryReading): number =>
  Math.max(0, Math.min((reclaimStat.swappable ?? 0) - unswappable, swapLeft));

/** Near the level: to read two small files of all cgroups takes milliseconds. */
function updateUnswappable({ memory, limitOwner }: CgroupState, now: number): void {
  if (limitOwner.machine === undefined || now < memory.unswappableDueAt) return;
  const startedAt = performance.now();
  memory.unswappable = readUnswappable(limitOwner);
  const took = performance.now() - startedAt;
  memory.unswappableDueAt = now +
    Math.max(MIN_MS_BETWEEN_SWAP_LIMITS, took / MAX_SHARE_FOR_SWAP_LIMITS);
}

/** Swap limits rarely change, but the memory below them does. */
const MIN_MS_BETWEEN_SWAP_LIMITS = 500;
const MAX_SHARE_FOR_SWAP_LIMITS = 1 / 20;

/** Less kernel memory is no reason to wait: each process has some, for its stack and page tables. */
const MIN_MARGINS_OF_KERNEL_MEMORY = 2;

/** v1: kernel memory, which may be reclaimable slab; 0 where it is little. @param margin bytes between the level and the limit. */
const kernelMemory = ({ kernelMemory }: MemoryReading, margin: number): number =>
  kernelMemory < MIN_MARGINS_OF_KERNEL_MEMORY * margin ? 0 : kernelMemory;

/** Reads the metric that the levels are of, in bytes. */
export function readMetric(state: CgroupState, now: number): number {
  const { memory, policy, settings: { levelBytes }, files } = state;
  if (policy.metric === "usage" || memory.usage < levelBytes.warn) return memory.usage;
  const text = files.statFile.text();
  const { inactiveFile } = text === undefined
    ? memory.reclaimStat
    : parseReclaimStat(text, pageSize());
  const metricValue = metricOf(policy.metric, memory.usage, inactiveFile);
  const over = now - memory.metricAt;
  if (over < MIN_MS_FOR_RATE) return metricValue;
  memory.metricRate = Number.isFinite(over)
    ? 1000 * (metricValue - memory.metricValue) / over
    : undefined;
  memory.metricValue = metricValue;
  memory.metricAt = now;
  return metricValue;
}

/** Sorts in place, the least headroom first: a read costs little compared with an action. */
export function byHeadroom(due: CgroupState[]): readonly CgroupState[] {
  if (due.length < 2) return due;
  const headroom = new Map(
    due.map((state) => [state, state.settings.limit - (state.files.usageFile.number() ?? 0)]),
  );
  return due.sort((a, b) => headroom.get(a)! - headroom.get(b)!);
}
