/**
 * What a guard does when a cgroup has reached a level: which levels trigger, and from the start of a kill cycle to its end the
 * step to take at each sample. No I/O; DecisionState is changed in place. The monitor thread and a replay drive the same
 * functions: both sample, take the step that they return, and call them again.
 */

import {
  highestUpTo,
  initialLevelStates,
  type Level,
  type LevelBytes,
  levelOf,
  type LevelStates,
  triggeredLevels,
  type TriggerPolicy,
} from "./levels.ts";
import { MAX_FILL_RATE, MAX_GROWTH, withoutPageCache } from "./usage_trend.ts";

/** The sample that a step is decided on; sizes in bytes, rates in bytes per second. */
export interface Observation {
  /** Usage or working set, by `policy.metric`. */
  readonly metricValue: number;
  /** Bytes of the metric at which the level of this kill cycle begins. */
  readonly killLevelBytes: number;
  readonly usage: number;
  readonly limit: number;
  /**
   * What the kernel can reclaim, by its own figures: page cache, and on v2 slab. `undefined` when unknown: then it may be all of usage,
   * and nothing is killed for it.
   */
  readonly reclaimable: number | undefined;
  /** Anonymous memory that swap has room for. */
  readonly swappable: number;
  /** Kernel memory of which v1 does not tell how much of it is reclaimable; 0 on v2, and where there is little. */
  readonly kernelMemory: number;
  /** What was ever reclaimed in this cgroup, a counter of the kernel; `undefined` when unknown. */
  readonly reclaimed: number | undefined;
  /** Page cache that cannot be reclaimed before it is written back. The kernel waits for that at the limit. */
  readonly writeback: number;
  /** Of usage: 0 or less when it does not rise, `undefined` after a single sample. */
  readonly rate: number | undefined;
  /** The highest rate of the last 250 ms; 0 without one. */
  readonly peakRate: number;
  /** Of usage without what is reclaimable or may be: fast growth of page cache or dentries is harmless. */
  readonly unreclaimableRate: number | undefined;
  /** In mode `hold` an allocator that reaches the limit waits there. */
  readonly oomKillerDisabled: boolean;
  /** In mode `throttle` an allocator is slowed down from the imminent level on. */
  readonly isThrottled: boolean;
  /** `memory.min` can keep page cache from being reclaimed; v1 has nothing like it. */
  readonly protectsPageCache: boolean;
  /** The signalled processes: alive while one of them is. */
  readonly victim: "none" | "alive" | "dead";
}

export interface KillSettings {
  /** Memory that swap has room for is no reason to kill; if false, swap counts as full. */
  readonly countSwap: boolean;
  /** How much of the machine's swap may be in use before it counts as full, 0 to 1; all of it where absent. */
  readonly swapUsedLimit?: number;
  /** Make the kernel reclaim memory before a kill; if false, the kernel does so by itself at the limit. */
  readonly reclaimFirst: boolean;
  /** Milliseconds between SIGTERM and SIGKILL; 0 sends SIGKILL immediately. */
  readonly graceMs: number;
  /** Milliseconds for a killed process to exit before the next one is killed; 512 MiB are free after 18 ms (docs/performance.md). */
  readonly exitTimeoutMs: number;
}

// In milliseconds, and estimates where no source is named.

/** If the limit is reached sooner than this, only a kill is in time: the kernel reclaims 64 MiB of page cache in about this long. */
const MIN_MS_FOR_RECLAIM = 20;
/** Poll interval during a kill cycle until SIGKILL is sent. */
const POLL_MS = 2;
/** Poll interval after SIGKILL: a victim of 64 MiB frees its memory in 7 ms (docs/performance.md). */
const POLL_MS_AFTER_SIGKILL = 1;
/** After this long the outcome of a reclaim counts; five times {@link MIN_MS_FOR_RECLAIM}. */
const MIN_MS_TO_MEASURE = 100;
/**
 * Poll interval while a reclaim is tried although by the kernel's figures it cannot suffice: an allocator of 2.5 GiB/s takes 256 KiB in
 * it, a quarter of the smallest usual margin.
 */
const POLL_MS_NEAR_KILL = 0.1;
/** Memory that is left after this long is not reclaimed by the guard; fifty times {@link MIN_MS_FOR_RECLAIM}. */
const MAX_RECLAIM_MS = 1000;
/** A reclaim that has failed is not repeated for this long: what it could not reclaim rarely becomes reclaimable. */
const MIN_MS_BETWEEN_FAILED_RECLAIMS = 10_000;
/** Kernel memory on v1 that stays above the level is tried again after this long: part of it may have become unreclaimable. */
const MAX_MS_WITHOUT_RECLAIM = 1000;
/** An allocator that is blocked found no room for a charge, which is a page, and 256 KiB at most (mm/memcontrol.c, MEMCG_CHARGE_BATCH). */
const MAX_ROOM_WHEN_BLOCKED = 256 * 1024;
/** Minimum poll interval of a cgroup full of page cache. It can stay so for weeks; other memory must push out the page cache first. */
const CACHE_POLL_MS = 10;
/** Maximum of that (milliseconds, an estimate). */
const MAX_CACHE_POLL_MS = 200;
/** Poll interval when the victims freed too little and usage does not rise. */
const EXHAUSTED_POLL_MS = 10;
/** Maximum wait for a signalled process to exit when usage is below the level again. */
const MAX_MS_TO_EXIT = 5000;
/** How much too long the reported time of an exit may be, as a share of it. */
const MAX_EXIT_LATENCY_ERROR = 1 / 8;
/** Maximum poll interval while a victim exits below the level; more often than a cgroup that is idle. */
const MAX_EXIT_POLL_MS = 10;
/** Maximum time from SIGKILL until a process that has exited has released its last memory. */
const FREED_AFTER_SIGKILL_MS = 10;
/** First wait after no process could be killed: another may have appeared by then. It doubles each time. */
const FIRST_RETRY_MS = 100;
/** Maximum of that wait: a selection costs about 0.1 ms per process. */
const MAX_RETRY_MS = 1000;

/**
 * - `reached`: the cycle has just started.
 * - `reclaiming`: the kernel was asked to reclaim memory.
 * - `sigterm_sent`: the last victim has its grace period.
 * - `sigkill_sent`: the last victim exits, or its memory is being freed.
 * - `skipped`: the cgroup is full of memory that the kernel reclaims before it kills.
 * - `exhausted`: the victims have exited and freed too little, but usage does not rise.
 */
export type Phase =
  | "reached"
  | "reclaiming"
  | "sigterm_sent"
  | "sigkill_sent"
  | "skipped"
  | "exhausted";

export interface KillCycle {
  readonly phase: Phase;
  /** When the phase began: milliseconds of a monotonic clock. */
  readonly since: number;
  /** Bytes in use when the phase began; in `exhausted` the lowest usage since. */
  readonly usage: number;
  /**
   * Bytes of page cache and kernel memory that a reclaim left, in this cycle or shortly before it, although by the kernel's figures they can be reclaimed: they are
   * protected (memory.min), in use, or of v1's kernel memory. `undefined` when no reclaim has failed.
   */
  readonly unreclaimed: number | undefined;
  /** {@link Observation.reclaimed} when the phase began. */
  readonly reclaimed: number | undefined;
}

/** Why no process was killed, or no further one. */
export type SkipReason =
  /** Usage is below the level. */
  | "recovered"
  /** Reclaimable memory filled the cgroup; the kernel reclaims it before it kills. */
  | "reclaimable_cache"
  /** Swap has room for it. */
  | "swap";

export type Step =
  | { readonly do: "reclaim" }
  /** Select a victim and send SIGTERM, or SIGKILL without a grace period. */
  | { readonly do: "kill" }
  /** The grace period of the last victim is over: send SIGKILL. */
  | { readonly do: "escalate" }
  | { readonly do: "wait"; readonly until: number }
  /** Reclaimable memory: do nothing while it stays so, and sample again. */
  | { readonly do: "skip"; readonly until: number }
  /** The victims freed too little, but usage does not rise: a further kill would be needless. Sample again. */
  | { readonly do: "exhausted"; readonly until: number }
  | { readonly do: "end" };

/** Where the decision about one cgroup stands. */
export interface DecisionState {
  levelStates: LevelStates;
  killCycle: KillCycle | undefined;
  /** The level at which the present or last kill cycle started; `imminent` before the first. */
  killLevel: Level;
  /** No kill cycle starts before this, because the last one found no victim. */
  retryAt: number;
  /** The last delay, milliseconds; 0 after usage was below all levels. */
  retryDelay: number;
  /** When a reclaim failed last, and what it left. */
  reclaimFailedAt: number;
  unreclaimed: number | undefined;
}

export interface DecisionPolicy {
  readonly triggerPolicy: TriggerPolicy;
  /** The levels that have actions, and those of them that kill. */
  readonly acting: ReadonlySet<Level>;
  readonly killing: ReadonlySet<Level>;
  readonly dryRun: boolean;
}

export function initialDecision(): DecisionState {
  return {
    levelStates: initialLevelStates,
    killCycle: undefined,
    killLevel: "imminent",
    retryAt: -Infinity,
    retryDelay: 0,
    reclaimFailedAt: -Infinity,
    unreclaimed: undefined,
  };
}

/** For a new policy: triggered levels, the kill cycle and the delay of its retry belong to the old one. */
export function resetDecision(decision: DecisionState): void {
  Object.assign(decision, initialDecision());
}

/**
 * Triggers levels, and starts a kill cycle at the highest killing level reached.
 *
 * @param metricValue bytes, of the metric that `levelBytes` is of. @param now milliseconds of a monotonic clock.
 * @returns the highest level reached, and those to report.
 */
export function evaluateLevels(
  decision: DecisionState,
  { triggerPolicy, acting, killing, dryRun }: DecisionPolicy,
  levelBytes: LevelBytes,
  metricValue: number,
  now: number,
): { readonly reached: Level | undefined; readonly levels: readonly Level[] } {
  const { levelStates, levels } = triggeredLevels(
    decision.levelStates,
    levelBytes,
    metricValue,
    now,
    triggerPolicy,
    acting,
  );
  decision.levelStates = levelStates;
  const reached = levelOf(levelBytes, metricValue);
  if (!reached) decision.retryDelay = 0;
  // No hysteresis for a kill: at the imminent level there is no time for it. A dry run changes nothing, so a cycle would start at
  // every poll: one for each triggered level is enough.
  else if (now >= decision.retryAt && (!dryRun || levels.length > 0)) {
    const level = highestUpTo(reached, killing);
    if (level) {
      const isRecent = now - decision.reclaimFailedAt < MIN_MS_BETWEEN_FAILED_RECLAIMS;
      decision.killCycle = startKillCycle(now, isRecent ? decision.unreclaimed : undefined);
      decision.killLevel = level;
    }
  }
  return { reached, levels };
}

export function startKillCycle(now: number, unreclaimed?: number): KillCycle {
  return { phase: "reached", since: now, usage: 0, unreclaimed, reclaimed: undefined };
}

/** Takes over the kill cycle that {@link nextStep} returns, and what is to be remembered beyond it. */
export function continueKillCycle(decision: DecisionState, next: KillCycle, now: number): void {
  if (next.unreclaimed !== decision.killCycle?.unreclaimed) {
    decision.reclaimFailedAt = now;
    decision.unreclaimed = next.unreclaimed;
  }
  decision.killCycle = next;
}

/** Ends a kill cycle that found no victim. @returns when the next one may start. */
export function retryLater(decision: DecisionState, now: number): number {
  decision.killCycle = undefined;
  decision.retryDelay = Math.min(MAX_RETRY_MS, Math.max(FIRST_RETRY_MS, 2 * decision.retryDelay));
  return decision.retryAt = now + decision.retryDelay;
}

/** @param now milliseconds of a monotonic clock. */
export function nextStep(
  killCycle: KillCycle,
  estimate: Observation,
  killSettings: KillSettings,
  now: number,
): { readonly killCycle: KillCycle; readonly step: Step } {
  const swappable = killSettings.countSwap ? estimate.swappable : 0;
  const observation = corrected({ ...estimate, swappable }, killCycle.unreclaimed);
  const stayInPhase = (step: Step) => ({ killCycle, step });
  const enterPhase = (phase: Phase, step: Step, unreclaimed = killCycle.unreclaimed) => ({
    killCycle: {
      phase,
      since: now,
      usage: observation.usage,
      unreclaimed,
      reclaimed: observation.reclaimed,
    },
    step,
  });
  const pollMs = killCycle.phase === "sigkill_sent" ? POLL_MS_AFTER_SIGKILL : POLL_MS;
  const wait: Step = { do: "wait", until: now + pollMs };
  /** Less and less often while usage does not rise: with one CPU the victim needs it to exit. */
  const waitForExit = (timeout: number): Step => {
    const slower = Math.min(MAX_EXIT_POLL_MS, (now - killCycle.since) * MAX_EXIT_LATENCY_ERROR);
    const isStill = (observation.rate ?? 0) <= 0;
    const until = Math.min(now + slower, killCycle.since + timeout);
    return isStill ? { do: "wait", until: Math.max(now + pollMs, until) } : wait;
  };
  const kill = (unreclaimed = killCycle.unreclaimed) =>
    enterPhase(
      killSettings.graceMs > 0 ? "sigterm_sent" : "sigkill_sent",
      { do: "kill" },
      unreclaimed,
    );
  const skipStep = { do: "skip", until: now + msUntilNear(observation) } as const;
  const skip = () => enterPhase("skipped", skipStep);
  const reclaim = () => enterPhase("reclaiming", { do: "reclaim" });
  // A reclaim that failed is repeated only for what it did not see. The kernel swaps by itself, and only as much as it must, where
  // memory.force_empty would swap all of the cgroup.
  const mayReclaim = killSettings.reclaimFirst && !onlySwapSuffices(observation) &&
    (isUnmeasured(killCycle, observation) || mayReclaimSuffice(observation));
  const phaseMs = now - killCycle.since;

  // In this form NaN counts as below the level.
  if (!(observation.metricValue >= observation.killLevelBytes)) {
    // Keep the victim: its exit frees more, and after SIGTERM it may free enough to live. A slow exit is no reason to kill another
    // process while usage is below the level.
    const time = killCycle.phase === "sigterm_sent" ? killSettings.graceMs : MAX_MS_TO_EXIT;
    if (observation.victim !== "alive" || phaseMs >= time) return stayInPhase({ do: "end" });
    return stayInPhase(waitForExit(time));
  }
  switch (killCycle.phase) {
    case "reached":
      if (isTooLateToReclaim(observation)) return kill();
      if (isLeftToKernel(observation, killCycle)) return skip();
      if (mayReclaim) return reclaim();
      return mayReclaimSuffice(observation) ? skip() : kill();
    case "reclaiming": {
      if (isTooLateToReclaim(observation)) return kill();
      const outcome = reclaimOutcome(killCycle, observation, phaseMs);
      // A measured answer precedes the kernel's figures: page cache that is protected or in use is part of those.
      if (outcome === "failed" && isConclusive(killCycle, observation)) {
        return kill(reclaimableBytes(estimate));
      }
      if (outcome === "worked" && !mayReclaimSuffice(observation)) return kill();
      if (!mayReclaimSuffice(observation)) {
        return stayInPhase({ do: "wait", until: now + POLL_MS_NEAR_KILL });
      }
      return phaseMs < MAX_RECLAIM_MS ? stayInPhase(wait) : skip();
    }
    case "skipped": {
      if (isTooLateToReclaim(observation)) return kill();
      const isRecent = phaseMs < MAX_MS_WITHOUT_RECLAIM || !killSettings.reclaimFirst;
      const suffices = reclaimSuffices(observation) || (isRecent && mayReclaimSuffice(observation));
      if (suffices && !(mayReclaim && isUntested(killCycle, observation, phaseMs))) {
        return stayInPhase(skipStep);
      }
      return mayReclaim ? reclaim() : kill();
    }
    case "sigterm_sent":
      if (observation.victim !== "alive") return reclaimSuffices(observation) ? skip() : kill();
      // A process that was sent SIGTERM may not continue as before.
      return phaseMs >= killSettings.graceMs ||
          (observation.usage > killCycle.usage &&
            isTooLateToReclaim({ ...observation, peakRate: 0 })) ||
          isNearlyFull(observation)
        ? enterPhase("sigkill_sent", { do: "escalate" })
        : stayInPhase(wait);
    case "sigkill_sent":
      // The memory of a victim that exits is still part of usage. If usage rises meanwhile, another process allocates.
      if (observation.victim === "alive") {
        const isUrgent = isRising(observation) && kernelWouldKill(observation);
        return isUrgent || phaseMs >= killSettings.exitTimeoutMs
          ? kill()
          : stayInPhase(waitForExit(killSettings.exitTimeoutMs));
      }
      // The victim of SIGTERM cannot be sent SIGKILL: it has left the cgroup, or has other credentials.
      if (observation.victim === "none") return kill();
      if (isRising(observation) && !reclaimSuffices(observation)) return kill();
      if (!isMemoryFreed(observation, phaseMs)) return stayInPhase(wait);
      if (reclaimSuffices(observation)) return skip();
      return isBlockedAtLimit(observation)
        ? kill()
        : enterPhase("exhausted", { do: "exhausted", until: now + EXHAUSTED_POLL_MS });
    case "exhausted":
      if (reclaimSuffices(observation)) return skip();
      if (isBlockedAtLimit(observation) || hasGrown(observation, killCycle.usage)) return kill();
      return {
        // Growth counts from the lowest usage: at the limit itself there is no room to grow.
        killCycle: { ...killCycle, usage: Math.min(killCycle.usage, observation.usage) },
        step: { do: "exhausted", until: now + EXHAUSTED_POLL_MS },
      };
  }
}

const reclaimableBytes = ({ reclaimable = 0, kernelMemory }: Observation): number =>
  reclaimable + kernelMemory;

/** Without what a reclaim has left: a measured answer precedes the kernel's figures. */
function corrected(estimate: Observation, unreclaimed: number | undefined): Observation {
  const { reclaimable, kernelMemory } = estimate;
  if (unreclaimed === undefined || reclaimable === undefined) return estimate;
  return {
    ...estimate,
    reclaimable: Math.max(0, reclaimable - unreclaimed),
    kernelMemory: Math.max(0, kernelMemory - Math.max(0, unreclaimed - reclaimable)),
  };
}

/**
 * Nothing has shown yet that the kernel's figures are right. An allocator that is blocked at the limit has: the kernel reclaims all that
 * it can before it lets one wait (mm/memcontrol.c, try_charge_memcg).
 */
const isUnmeasured = ({ unreclaimed }: KillCycle, observation: Observation): boolean =>
  unreclaimed === undefined &&
  !(observation.oomKillerDisabled && observation.limit - observation.usage < MAX_ROOM_WHEN_BLOCKED);

/** All memory of the victims is assumed free: they have had the time, and usage no longer falls. */
const isMemoryFreed = ({ rate }: Observation, phaseMs: number) =>
  phaseMs >= FREED_AFTER_SIGKILL_MS && (rate ?? 0) >= 0;

/** Usage rises fast enough to use up the margin within a second; {@link hasGrown} finds slower growth. */
const isRising = ({ rate, limit, killLevelBytes }: Observation) =>
  rate !== undefined && rate > limit - killLevelBytes;

/**
 * Usage has grown by an eighth of the margin, or by half of the room that was left when that is less: close to the limit an eighth
 * of the margin would reach it.
 */
const hasGrown = ({ usage, limit, killLevelBytes }: Observation, lowestUsage: number) =>
  usage - lowestUsage >
    Math.min((limit - killLevelBytes) / 8, Math.max(0, limit - lowestUsage) / 2);

/** Allocators wait at the limit, because the kernel kills nothing there. */
const isBlockedAtLimit = (observation: Observation) =>
  observation.oomKillerDisabled && isNearlyFull(observation);

/** Bytes; not below 0, although the figures may be of different moments. */
const unreclaimable = ({ usage, reclaimable, swappable }: Observation): number =>
  Math.max(0, withoutPageCache(usage, reclaimable) - swappable);

/** Without what is reclaimable, usage would be below the level. */
const reclaimSuffices = (observation: Observation) =>
  unreclaimable(observation) < observation.killLevelBytes;

/**
 * Full of page cache, and other memory cannot come near the level within a wake-up that is late: what a mode changes near the limit is not
 * needed. Never so in a cgroup with a limit below {@link MAX_GROWTH}.
 *
 * @param unreclaimed see {@link KillCycle}.
 */
export function isFarFromLevel(estimate: Observation, unreclaimed: number | undefined): boolean {
  const observation = corrected(estimate, unreclaimed);
  return observation.reclaimable !== undefined && distanceOf(observation) >= MAX_GROWTH;
}

/** Bytes of memory that cannot be reclaimed until the level is reached by that alone. */
const distanceOf = (observation: Observation) =>
  observation.killLevelBytes - unreclaimable(observation);

/** Half of the time in which such memory can reach the level, within bounds (milliseconds). */
export const msUntilNear = (observation: Observation): number =>
  Math.min(
    MAX_CACHE_POLL_MS,
    Math.max(CACHE_POLL_MS, 500 * distanceOf(observation) / MAX_FILL_RATE),
  );

/**
 * A stream of page cache would be reclaimed dozens of times a second, which the kernel does by itself. Not where the kernel's figures may be
 * wrong, as with memory.min, and an allocator is not slowed down until that is known.
 */
const isLeftToKernel = (observation: Observation, { unreclaimed }: KillCycle) =>
  (observation.isThrottled || !observation.protectsPageCache) && unreclaimed === undefined &&
  isFarFromLevel(observation, undefined);

/** The same, if all kernel memory is reclaimable too. */
const mayReclaimSuffice = (observation: Observation) =>
  unreclaimable(observation) - observation.kernelMemory < observation.killLevelBytes;

/** Without swap it would not. */
const onlySwapSuffices = (observation: Observation) =>
  reclaimSuffices(observation) && !mayReclaimSuffice({ ...observation, swappable: 0 });

/** Why nothing is killed in the phase `skipped`. */
export const skipReason = (observation: Observation): SkipReason =>
  onlySwapSuffices(observation) ? "swap" : "reclaimable_cache";

/** What came of a reclaim that the guard asked for; `unknown` as long as it may have an effect. */
function reclaimOutcome(
  killCycle: KillCycle,
  observation: Observation,
  phaseMs: number,
): "unknown" | "worked" | "failed" {
  const { reclaimable, reclaimed, writeback, killLevelBytes } = observation;
  if (reclaimable === undefined || reclaimed === undefined || killCycle.reclaimed === undefined) {
    return "worked";
  }
  const request = Math.max(1, killCycle.usage - killLevelBytes);
  if (reclaimed - killCycle.reclaimed >= request || writeback >= request) return "worked";
  const bound = mayReclaimSuffice(observation) ? MIN_MS_TO_MEASURE : MIN_MS_FOR_RECLAIM;
  return phaseMs < bound ? "unknown" : "failed";
}

/**
 * As long as the kernel's figures promise enough, a reclaim of which nothing is seen may just not have had a CPU. It has failed when
 * usage rises to the limit all the same.
 */
const isConclusive = (killCycle: KillCycle, observation: Observation): boolean =>
  !mayReclaimSuffice(observation)
    ? !onlySwapSuffices(observation)
    : isNearlyFull(observation) && observation.usage > killCycle.usage &&
      !isBeingRead(observation);

/**
 * v1: all page cache that a reclaim has left is still being read from a disk. It is locked until then, and readahead charges all of
 * a small cgroup in a millisecond (with 8 MiB of it, a disk of 100 MB/s takes 80 ms for that). The process waits for the disk.
 */
const isBeingRead = (observation: Observation) =>
  !observation.protectsPageCache && reclaimSuffices(observation);

/** Usage rises towards the limit, and the kernel reclaims nothing: its figures have not been tested. */
const isUntested = (killCycle: KillCycle, observation: Observation, phaseMs: number) =>
  phaseMs >= MIN_MS_TO_MEASURE && isNearlyFull(observation) && (observation.rate ?? 0) > 0 &&
  killCycle.reclaimed !== undefined && observation.reclaimed === killCycle.reclaimed;

/** The limit is reached, with all that is reclaimable reclaimed, before a reclaim or a grace period has had an effect. */
function isTooLateToReclaim(observation: Observation): boolean {
  const { limit, rate: usageRate = 0, peakRate, unreclaimableRate = 0 } = observation;
  // An allocator that gets there waits: a process that allocates 16 MiB in 10 ms may need no more.
  const waits = observation.oomKillerDisabled || observation.isThrottled;
  if (waits && mayReclaimSuffice(observation)) return false;
  // Where nothing is reclaimable all rates are the same, and that of usage is known sooner. An allocator that pauses continues as before.
  const rate = mayReclaimSuffice(observation)
    ? unreclaimableRate
    : Math.max(unreclaimableRate, usageRate, peakRate);
  if (rate <= 0) return false;
  return 1000 * (limit - unreclaimable(observation)) / rate < MIN_MS_FOR_RECLAIM;
}

/** The limit may be reached before the memory of the victim is free; then the kernel would kill another process. */
const kernelWouldKill = (observation: Observation) =>
  !observation.oomKillerDisabled && isNearlyFull(observation);

/** Less than a quarter of the margin is left, or the limit was lowered below usage. */
function isNearlyFull({ usage, limit, killLevelBytes }: Observation): boolean {
  return limit - usage < (limit - killLevelBytes) / 4;
}
