/** One guarded cgroup, as the sentry knows it: what is kept open, and what it was last seen to be. */

import type { SuspendedProcess } from "../act/pauses.ts";
import type { Cgroup } from "../cgroup/cgroup.ts";
import { wallClock } from "../kernel/clock.ts";
import { parseKeyed } from "../parse/keyed.ts";
import { parseBytes } from "../parse/numbers.ts";
import type { Level } from "../policy/bounds.ts";
import type { KillCycle } from "../policy/engagement.ts";
import { initialLevelStates, type LevelStates } from "../policy/levels.ts";
import type { Victim, VictimSelection } from "./aim.ts";
import { closeControlFiles, type ControlFiles, openControlFiles } from "./eyes.ts";
import { noTrend, type UsageTrend } from "./measure.ts";
import {
  type CgroupSpec,
  type GuardSettings,
  type KillReport,
  unflatten,
  type WakeSource,
} from "./messages.ts";
import { actingLevels, type GuardPolicy, keyOf, killLevel } from "./plan.ts";

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
