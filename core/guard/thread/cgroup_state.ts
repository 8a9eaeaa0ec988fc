/** Usage and how fast it rises, look by look: in the sentry, and where a recording is run again. Pure. */

import type { Cgroup } from "../../cgroup/cgroup.ts";
import type { SuspendedProcess } from "../../control/change.ts";
import { wallClock } from "../../kernel/clock.ts";
import {
  type ControlFile,
  type LazyControlFile,
  type OpenControlFile,
  openControlFileIn,
  openLazily,
  reopenOnRead,
} from "../../kernel/control_file.ts";
import { type Fd, inodeOfFd, openDirectory } from "../../kernel/fd.ts";
import { withinFdBudget } from "../../kernel/fd_budget.ts";
import { SystemCallError } from "../../kernel/libc.ts";
import { parseBytes, parseKeyed } from "../../parse/cgroupfs.ts";
import type { KillCycle, Observation } from "../../policy/kill_cycle.ts";
import { initialLevelStates, type Level, type LevelStates } from "../../policy/levels.ts";
import { tooFewDescriptors } from "../../watch/triggers.ts";
import { actingLevels, type GuardPolicy, keyOf, killLevel } from "../policy.ts";
import type { PendingKills } from "./pending_kills.ts";
import {
  type CgroupSpec,
  type GuardSettings,
  type KillReport,
  unflatten,
  type WakeSource,
} from "./protocol.ts";
import type { Victim, VictimSelection } from "./victims.ts";

/** Two looks that are closer than this say nothing of the rate (milliseconds). */
export const MIN_MS_FOR_RATE = 0.2;
/**
 * And those that are closer than that say something only of growth beyond what the kernel takes ahead at once: 256 KiB on each
 * CPU (kernel, mm/memcontrol.c, MEMCG_CHARGE_BATCH).
 */
const MIN_MS_FOR_SMALL_GROWTH = 1;
const MIN_BYTES_FOR_FAST_RATE = 1024 ** 2;
/** An allocator that stood still for a moment, for want of a CPU, goes on as before (milliseconds). */
const PEAK_RATE_MS = 250;

export interface UsageTrend {
  /** Bytes, and when they were read; `NaN` before the first look. */
  usage: number;
  usageAt: number;
  rate: number | undefined;
  /** What usage was then: the rate is told by two looks that are far enough apart. */
  trendUsage: number;
  /** The highest rate of late, and when it was seen. */
  peakRate: number;
  peakRateAt: number;
}

/** Before the first look. */
export const noTrend: Readonly<UsageTrend> = {
  usage: NaN,
  usageAt: -Infinity,
  rate: undefined,
  trendUsage: NaN,
  peakRate: 0,
  peakRateAt: -Infinity,
};

/** Usage as it was just read. */
export function updateTrend(state: UsageTrend, usage: number, now: number): void {
  state.usage = usage;
  const over = now - state.usageAt;
  const growth = usage - state.trendUsage;
  if (
    over < MIN_MS_FOR_RATE ||
    (over < MIN_MS_FOR_SMALL_GROWTH && Math.abs(growth) < MIN_BYTES_FOR_FAST_RATE)
  ) return;
  if (Number.isFinite(over)) {
    const rate = 1000 * growth / over;
    state.rate = rate;
    if (rate >= state.peakRate || now - state.peakRateAt > PEAK_RATE_MS) {
      state.peakRate = rate;
      state.peakRateAt = now;
    }
  }
  state.trendUsage = usage;
  state.usageAt = now;
}

/* What a ward is looked at by: files that stay open while descriptors are to spare, and are opened at each look where not. */

export interface ControlFiles {
  /** The very cgroup that was named, also when another takes its name; `undefined` where descriptors are not to spare. */
  readonly directory: Fd | undefined;
  readonly usageFile: ControlFile;
  /** memory.stat, which rests where usage is far from any level. */
  readonly statFile: LazyControlFile;
  /** v2 memory.events, for the epoll set; read to be woken again. */
  readonly events: OpenControlFile | undefined;
}

/** `undefined` when the cgroup is gone, or another has its name. Throws `SystemCallError` when none can be opened at all. */
export function openControlFiles(limitOwner: Cgroup): ControlFiles | undefined {
  const { dir, hierarchy: { version, kernel } } = limitOwner;
  const opened: { close(): void }[] = [];
  const keep = <T extends { close(): void }>(file: T): T => {
    opened.push(file);
    return file;
  };
  try {
    const directory = keep(openDirectory(dir));
    if (inodeOfFd(directory) !== limitOwner.inode) return closeAll(opened);
    // A plain file of that name tells nothing, and epoll_ctl(2) refuses it.
    const events = version.eventsFile && kernel
      ? openEvents(directory, version.eventsFile, keep)
      : undefined;
    if (withinFdBudget(directory, "speed")) {
      const usageFile = keep(openControlFileIn(directory, version.usageFile));
      const statFile = openLazily(directory, "memory.stat");
      return { directory, usageFile, statFile, events };
    }
    directory.close();
    const usageFile = reopenOnRead(`${dir}/${version.usageFile}`);
    const statFile = reopenOnRead(`${dir}/memory.stat`);
    return { directory: undefined, usageFile, statFile, events };
  } catch (error) {
    closeAll(opened);
    if (error instanceof SystemCallError && !isShortage(error)) return undefined;
    throw error;
  }
}

/** What is wanted, what it is instead, and why. */
export function fdShortage(): readonly [string, string, string] {
  return ["files that stay open", "files opened at each look", tooFewDescriptors()];
}

export function closeControlFiles({ directory, usageFile, statFile, events }: ControlFiles): void {
  for (const file of [events, statFile, usageFile, directory]) file?.close();
}

const isShortage = ({ code }: SystemCallError) => code === "EMFILE" || code === "ENFILE";

function closeAll(files: readonly { close(): void }[]): undefined {
  for (const file of files) file.close();
}

/** The root has none. */
function openEvents(
  directory: Fd,
  name: string,
  keep: <T extends { close(): void }>(file: T) => T,
): OpenControlFile | undefined {
  try {
    const file = openControlFileIn(directory, name);
    if (withinFdBudget(file.fd, "notification")) return keep(file);
    file.close();
    return undefined;
  } catch (error) {
    if (error instanceof SystemCallError) return undefined;
    throw error;
  }
}

/* One guarded cgroup, as the sentry knows it: what is kept open, and what it was last seen to be. */

/** A blow whose outcome is not known yet. */
export interface PendingKill {
  readonly victim: Victim;
  readonly kill: Omit<
    KillReport,
    "after" | "outcome" | "reason" | "exitLatencyMs" | "freeLatencyMs"
  >;
  /** Milliseconds of this thread's clock. */
  readonly since: number;
  rounds: number;
  exitLatencyMs: number | undefined;
}

/** A plan, and what follows from it. */
export interface ResolvedPolicy extends GuardPolicy {
  readonly acting: ReadonlySet<Level>;
  readonly kills: boolean;
  /** See `keyOf`. */
  readonly key: string;
}

export function resolvePolicy(policy: GuardPolicy): ResolvedPolicy {
  const kills = killLevel(policy.actions) !== undefined;
  return { ...policy, acting: actingLevels(policy.actions), kills, key: keyOf(policy) };
}

export interface CgroupState extends ControlFiles, UsageTrend {
  readonly id: number;
  settings: GuardSettings;
  policy: ResolvedPolicy;
  readonly scope: Cgroup;
  readonly limitOwner: Cgroup;
  levelStates: LevelStates;
  /** The same of the base, where that is not usage. */
  metricValue: number;
  valueAt: number;
  valueRate: number | undefined;
  nextPollAt: number;
  /** Until then it is looked at without a pause where the threshold is near. */
  busyPollUntil: number;
  /** What made the last look that led to something. */
  wakeSource: WakeSource;
  /** The text of memory.stat, what it says, and when it was read. */
  stat: string;
  pageCache: PageCache;
  statAt: number;
  /** Bytes of usage that cannot be taken back, as memory.stat was read last, and how they rise, in bytes per second. */
  unreclaimable: number;
  unreclaimableRate: number | undefined;
  selection: VictimSelection | undefined;
  killCycle: { cycle: KillCycle; readonly level: Level; readonly since: number } | undefined;
  /** Told of last, so that it is not told at every look. */
  skipReportedAt: number;
  /** In the order in which they were struck; each is told of once it is over. */
  pendingKills: PendingKill[];
  reclaimReportedAt: number;
  reclaim: { readonly before: number; readonly since: number } | undefined;
  /** Stopped beside a victim, and since when. */
  readonly suspended: { readonly victim: Victim; readonly record: SuspendedProcess }[];
  suspendedAt: number;
  /** Told of last, so that it is not told at every look. */
  failure: string | undefined;
  /** Nobody could be struck: look again no sooner than this. */
  retryAt: number;
  /** Milliseconds, the last time. */
  retryDelay: number;
}

/** `undefined` when the cgroup is gone, or another has its name. Throws `SystemCallError` when descriptors run short. */
export function openCgroupState(spec: CgroupSpec, policy: ResolvedPolicy): CgroupState | undefined {
  const { id, limitOwner: flat, scope, ...settings } = spec;
  const limitOwner = unflatten(flat);
  const controlFiles = openControlFiles(limitOwner);
  return controlFiles && {
    ...controlFiles,
    id,
    settings,
    policy,
    // Nearly always the same, and then kept once.
    scope: scope.path === limitOwner.path ? limitOwner : unflatten(scope),
    limitOwner,
    levelStates: initialLevelStates,
    ...noTrend,
    metricValue: NaN,
    valueAt: -Infinity,
    valueRate: undefined,
    nextPollAt: -Infinity,
    busyPollUntil: -Infinity,
    wakeSource: "poll",
    stat: "",
    pageCache: {},
    statAt: -Infinity,
    unreclaimable: NaN,
    unreclaimableRate: undefined,
    selection: undefined,
    killCycle: undefined,
    skipReportedAt: -Infinity,
    pendingKills: [],
    reclaimReportedAt: -Infinity,
    reclaim: undefined,
    suspended: [],
    suspendedAt: -Infinity,
    failure: undefined,
    retryAt: -Infinity,
    retryDelay: 0,
  };
}

export function closeCgroupState(state: CgroupState): void {
  state.selection?.close();
  closeControlFiles(state);
}

/** Milliseconds until usage is at the limit at the present rate; `Infinity` where it does not grow. */
export function msUntilLimit({ rate, usage, settings: { limit } }: CgroupState): number {
  return rate === undefined || rate <= 0 ? Infinity : 1000 * (limit - usage) / rate;
}

/** The same at the highest rate of late. */
export function msUntilLimitAtPeakRate(
  { peakRate, usage, settings: { limit } }: CgroupState,
): number {
  return peakRate <= 0 ? Infinity : 1000 * (limit - usage) / peakRate;
}

/** What memory.stat says of page cache, bytes. */
export interface PageCache {
  readonly inactiveFile?: number;
  readonly reclaimable?: number;
}

/** The rows of v1 that count what lies beneath come first. */
export function pageCacheOf(text: string): PageCache {
  const rows = parseKeyed(text);
  const bytes = (key: string) => parseBytes(rows.get(`total_${key}`) ?? rows.get(key));
  const inactiveFile = bytes("inactive_file");
  const activeFile = bytes("active_file");
  if (inactiveFile === undefined) return {};
  return activeFile === undefined
    ? { inactiveFile }
    : { inactiveFile, reclaimable: inactiveFile + activeFile };
}

/** What every report on a ward begins with. */
export function reportHead({ id, wakeSource }: CgroupState) {
  return { id, wakeSource, at: clock() };
}

/** Milliseconds since the epoch; `performance.now()` counts from each thread's own beginning. */
export const clock = wallClock;

export function closeSelection(state: CgroupState): void {
  state.selection?.close();
  state.selection = undefined;
}

/* What is to be known of a ward before it is decided what to do about it. */

/** What is further away than this does not matter yet (milliseconds). */
export const FAR_FROM_LIMIT_MS = 5000;
/** With less left than this, what was read of memory.stat has to do (milliseconds). */
const MAX_MS_TO_SKIP_STAT = 2;
/** But no older than this: near the threshold it is read at each look, unless somebody took the CPU away (milliseconds). */
const MAX_STAT_AGE_MS = 1;

export function observe(state: CgroupState, now: number, pendingKills: PendingKills): Observation {
  const { level } = state.killCycle!;
  const { limit, levelBytes } = state.settings;
  const victim = victimIn(state, now, pendingKills);
  // Who has ended has given back his memory before: what was read before that would have another one killed.
  const usage = victim === "dead" ? state.usageFile.number() : undefined;
  if (usage !== undefined) updateTrend(state, usage, performance.now());
  // Half a margin of page cache that came since counts less than the time that it takes to see it.
  const age = performance.now() - state.statAt;
  if (age > MAX_STAT_AGE_MS || (age > 0 && msUntilLimit(state) > MAX_MS_TO_SKIP_STAT)) {
    readStat(state, now);
  }
  // Nobody dies for what may be page cache.
  const { inactiveFile = state.usage, reclaimable = state.usage } = state.pageCache;
  const metricValue = state.policy.metric === "usage"
    ? state.usage
    : Math.max(0, state.usage - inactiveFile);
  return {
    metricValue,
    levelBytes: levelBytes[level],
    usage: state.usage,
    limit,
    reclaimable,
    rate: state.rate,
    unreclaimableRate: state.unreclaimableRate,
    oomKillerDisabled: state.settings.mode === "hold",
    victim,
  };
}

function victimIn(
  state: CgroupState,
  now: number,
  pendingKills: PendingKills,
): Observation["victim"] {
  if (state.pendingKills.length === 0) return "none";
  return state.pendingKills.some((open) => pendingKills.isAlive(state, open, now))
    ? "alive"
    : "dead";
}

export function readStat(state: CgroupState, now: number): void {
  const text = state.statFile.text();
  // What could not be read this time is not nothing.
  if (text === undefined) return;
  state.stat = text;
  state.pageCache = pageCacheOf(text);
  const over = now - state.statAt;
  const unreclaimable = state.usage - (state.pageCache.reclaimable ?? 0);
  // What was read long ago says nothing of the rate.
  state.unreclaimableRate = over > 0 && over < FAR_FROM_LIMIT_MS
    ? 1000 * (unreclaimable - state.unreclaimable) / over
    : undefined;
  state.unreclaimable = unreclaimable;
  state.statAt = now;
}

/** Bytes, of the base that the ward's levels are of. */
export function valueOf(state: CgroupState, now: number): number {
  const isUsage = state.policy.metric === "usage";
  if (isUsage || state.usage < state.settings.levelBytes.warn) return state.usage;
  const text = state.statFile.text();
  const { inactiveFile = state.usage } = text === undefined ? state.pageCache : pageCacheOf(text);
  const metricValue = Math.max(0, state.usage - inactiveFile);
  const over = now - state.valueAt;
  if (over < MIN_MS_FOR_RATE) return metricValue;
  state.valueRate = Number.isFinite(over)
    ? 1000 * (metricValue - state.metricValue) / over
    : undefined;
  state.metricValue = metricValue;
  state.valueAt = now;
  return metricValue;
}

/** Who has least left to his limit comes first: what it takes to ask is little beside what it takes to act. Sorts in place. */
export function byHeadroom(due: CgroupState[]): readonly CgroupState[] {
  if (due.length < 2) return due;
  const left = new Map(
    due.map((state) => [state, state.settings.limit - (state.usageFile.number() ?? 0)]),
  );
  return due.sort((a, b) => left.get(a)! - left.get(b)!);
}
