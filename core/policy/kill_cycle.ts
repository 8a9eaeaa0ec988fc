/**
 * What a guard does when a cgroup has reached a level: which levels trigger, and from the start of a kill cycle to its end the
 * step to take at each sample. Pure. The monitor thread and a replay drive the same functions: both sample, take the step that
 * they return, and call them again.
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

/** One sample of a cgroup, as a step is decided by it; sizes in bytes, rates in bytes per second. */
export interface Observation {
  /** Usage or working set, whichever the level is of. */
  readonly metricValue: number;
  /** Where the level begins. */
  readonly levelBytes: number;
  readonly usage: number;
  readonly limit: number;
  /** Page cache that the kernel can reclaim; `undefined` when unknown. */
  readonly reclaimable: number | undefined;
  /** Of usage; 0 or less when it does not rise, `undefined` after a single sample. */
  readonly rate: number | undefined;
  /** Of what cannot be reclaimed: fast growth of page cache is harmless. */
  readonly unreclaimableRate: number | undefined;
  /** In mode `hold` an allocator that reaches the limit waits there. */
  readonly oomKillerDisabled: boolean;
  /** The signalled processes: alive while one of them is. */
  readonly victim: "none" | "alive" | "dead";
}

export interface KillTimeouts {
  /** Make the kernel reclaim page cache; if false, the kernel is left to do so by itself at the limit. */
  readonly reclaim: boolean;
  /** Milliseconds between SIGTERM and SIGKILL; 0 sends SIGKILL immediately. */
  readonly graceMs: number;
  /** Milliseconds for a killed process to exit before the next one is killed: 1 GiB is freed in some 50 ms. */
  readonly killMs: number;
}

/** If the limit is reached sooner than this, only a kill is in time (milliseconds). */
const MIN_MS_FOR_RECLAIM = 20;
/** Poll interval during a kill cycle (milliseconds). */
const POLL_MS = 2;
/** The kernel reclaims 64 MiB of page cache in some 20 ms; what remains after this long is not reclaimed. */
const MAX_RECLAIM_MS = 1000;
/**
 * Poll interval of a cgroup that is full of page cache (milliseconds). It can stay so for weeks; anything else that fills it
 * must push out the cache first.
 */
const DEFERRED_POLL_MS = 10;
/** Maximum wait for a killed process to exit when there is room again (milliseconds). */
const MAX_MS_TO_EXIT = 5000;
/** Between the exit of a process and the release of its last memory (milliseconds). */
const FREED_AFTER_EXIT_MS = 10;
/** When no process can be killed, a new one may appear (milliseconds). */
const FIRST_RETRY_MS = 100;
/** A search costs some 0.1 ms per process; the delay doubles each time up to this (milliseconds). */
const MAX_RETRY_MS = 1000;

export type Phase = "reached" | "reclaiming" | "terminating" | "killed" | "skipped" | "exhausted";

export interface KillCycle {
  readonly phase: Phase;
  readonly since: number;
  /** Bytes in use when the phase began; in `exhausted` the lowest since. */
  readonly usage: number;
}

/** Why no process was killed, or no further one. */
export type SkipReason =
  /** Usage is below the level. */
  | "recovered"
  /** Page cache filled the cgroup; the kernel reclaims it before it kills. */
  | "reclaimable_cache";

export type Step =
  | { readonly do: "reclaim" }
  /** Select a victim and send SIGTERM, or SIGKILL without a grace period. */
  | { readonly do: "kill" }
  /** The grace period of the last victim is over: send SIGKILL. */
  | { readonly do: "escalate" }
  | { readonly do: "wait"; readonly until: number }
  /** Page cache: do nothing while it stays so, and sample again. */
  | { readonly do: "skip"; readonly until: number }
  /** The victims freed too little, but usage does not rise: a further kill would be needless. Sample again. */
  | { readonly do: "exhausted"; readonly until: number }
  | { readonly do: "end" };

/** Where the decision about one cgroup stands. */
export interface DecisionState {
  levelStates: LevelStates;
  killCycle: KillCycle | undefined;
  /** The level at which the kill cycle started. */
  killLevel: Level;
  /** No kill cycle starts before this, because the last one found no victim. */
  retryAt: number;
  /** The last delay, milliseconds; 0 after usage was below all levels. */
  retryDelay: number;
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
  };
}

/** Forgets what was triggered and deferred under another policy. */
export function resetDecision(decision: DecisionState): void {
  decision.levelStates = initialLevelStates;
  decision.killCycle = undefined;
  decision.retryAt = -Infinity;
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
  // Without hysteresis: a kill that waits at the imminent level comes too late. In a dry run nothing happens: once is enough.
  else if (now >= decision.retryAt && (!dryRun || levels.length > 0)) {
    const level = highestUpTo(reached, killing);
    if (level) {
      decision.killCycle = startKillCycle(now);
      decision.killLevel = level;
    }
  }
  return { reached, levels };
}

export function startKillCycle(now: number): KillCycle {
  return { phase: "reached", since: now, usage: 0 };
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
  observation: Observation,
  timeouts: KillTimeouts,
  now: number,
): { readonly killCycle: KillCycle; readonly step: Step } {
  const stay = (step: Step) => ({ killCycle, step });
  const go = (phase: Phase, step: Step) => ({
    killCycle: { phase, since: now, usage: observation.usage },
    step,
  });
  const wait: Step = { do: "wait", until: now + (killCycle.phase === "killed" ? 1 : POLL_MS) };
  const kill = () => go(timeouts.graceMs > 0 ? "terminating" : "killed", { do: "kill" });
  const skip = () => go("skipped", { do: "skip", until: now + DEFERRED_POLL_MS });
  const over = now - killCycle.since;

  // In this form NaN counts as below the level.
  if (!(observation.metricValue >= observation.levelBytes)) {
    // A dying victim is still part of the usage, and a terminating one may free enough to live. How long the exit takes is no
    // reason to kill another process.
    const time = killCycle.phase === "terminating" ? timeouts.graceMs : MAX_MS_TO_EXIT;
    return stay(observation.victim !== "alive" || over >= time ? { do: "end" } : wait);
  }
  switch (killCycle.phase) {
    case "reached":
      if (!isCache(observation) || isTooLate(observation)) return kill();
      return timeouts.reclaim ? go("reclaiming", { do: "reclaim" }) : skip();
    case "reclaiming":
      if (!isCache(observation) || isTooLate(observation)) return kill();
      return over < MAX_RECLAIM_MS ? stay(wait) : skip();
    case "skipped":
      return isCache(observation) ? stay({ do: "skip", until: now + DEFERRED_POLL_MS }) : kill();
    case "terminating":
      if (observation.victim !== "alive") return isCache(observation) ? skip() : kill();
      return over >= timeouts.graceMs || isTooLate(observation) || isNearlyFull(observation)
        ? go("killed", { do: "escalate" })
        : stay(wait);
    case "killed":
      // A dying victim is still part of the usage. If usage rises meanwhile, another process allocates: the kernel's next victim.
      if (observation.victim === "alive") {
        const isNext = isRising(observation) && isPressing(observation);
        return isNext || over >= timeouts.killMs ? kill() : stay(wait);
      }
      if (isRising(observation) && !isCache(observation)) return kill();
      if (!isSettled(observation, over)) return stay(wait);
      if (isCache(observation)) return skip();
      return isStuck(observation)
        ? kill()
        : go("exhausted", { do: "exhausted", until: now + DEFERRED_POLL_MS });
    case "exhausted":
      if (isCache(observation)) return skip();
      if (isStuck(observation) || hasGrown(observation, killCycle.usage)) return kill();
      return {
        // Growth counts from the lowest usage: at the limit itself there is no room to grow.
        killCycle: { ...killCycle, usage: Math.min(killCycle.usage, observation.usage) },
        step: { do: "exhausted", until: now + DEFERRED_POLL_MS },
      };
  }
}

/** All memory of the dead victims is free, and it was not enough. */
const isSettled = ({ rate }: Observation, over: number) =>
  over >= FREED_AFTER_EXIT_MS && (rate ?? 0) >= 0;

/** Fast enough to use up the margin within a second; slower growth is found by its amount. */
const isRising = ({ rate, limit, levelBytes }: Observation) =>
  rate !== undefined && rate > limit - levelBytes;

/**
 * By an eighth of the margin, or by half of what was left when that is less: close to the limit an eighth of the margin would
 * reach it.
 */
const hasGrown = ({ usage, limit, levelBytes }: Observation, since: number) =>
  usage - since > Math.min((limit - levelBytes) / 8, Math.max(0, limit - since) / 2);

/** Allocators wait at the limit. */
const isStuck = (observation: Observation) =>
  observation.oomKillerDisabled && isNearlyFull(observation);

/** Without what the kernel can reclaim, usage would be below the level. */
function isCache({ usage, reclaimable, levelBytes }: Observation): boolean {
  return reclaimable !== undefined && usage - reclaimable < levelBytes;
}

/** At this rate the limit is reached, and the reclaimable memory used up, before anything but a kill has worked. */
function isTooLate(observation: Observation): boolean {
  const { usage, limit, reclaimable } = observation;
  // Without page cache both rates are the same, and that of usage is known sooner.
  const rate = observation.unreclaimableRate ??
    (isCache(observation) ? undefined : observation.rate);
  if (rate === undefined || rate <= 0) return false;
  return 1000 * (limit - usage + (reclaimable ?? 0)) / rate < MIN_MS_FOR_RECLAIM;
}

/** The limit would be reached before the memory of the dying victim is free, and the kernel would kill another process. */
const isPressing = (observation: Observation) =>
  !observation.oomKillerDisabled && isNearlyFull(observation);

/** Less than a quarter of the margin is left. */
function isNearlyFull({ usage, limit, levelBytes }: Observation): boolean {
  return limit - usage < (limit - levelBytes) / 4;
}
