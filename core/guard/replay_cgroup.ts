/**
 * One guarded cgroup in virtual time: the samples of a recording through the step functions of the monitor thread
 * (`core/policy/kill_cycle.ts`, `core/policy/usage_trend.ts`). Pure.
 */

import {
  continueKillCycle,
  evaluateLevels,
  initialDecision,
  type KillCycle,
  nextStep,
  type Observation,
  resetDecision,
  retryLater,
} from "../policy/kill_cycle.ts";
import type { Level, LevelBytes, Mode } from "../policy/levels.ts";
import {
  metricOf,
  noTrend,
  noUnreclaimableTrend,
  updateTrend,
  updateUnreclaimable,
  withoutPageCache,
} from "../policy/usage_trend.ts";
import type { RecordedSnapshot } from "../record/format.ts";
import { type GuardPolicy, type ResolvedPolicy, resolvePolicy } from "./policy.ts";

/** What a guard does that is visible outside of it. */
export type Decision = Level | "reclaim" | "skip" | "kill" | "escalate" | "no_victim";

export interface ReplaySettings {
  readonly policy: GuardPolicy;
  readonly levelBytes: LevelBytes;
  readonly limit: number;
  readonly mode: Mode;
  readonly protectsPageCache: boolean;
}

export class ReplayedState {
  /** How often page cache was needed that no snapshot had: it counts as unknown, see `Observation`. */
  assumedReads = 0;
  readonly #ofGuard: boolean;
  #settings: ReplaySettings;
  #policy: ResolvedPolicy;
  #now = -Infinity;
  readonly #decision = initialDecision();
  readonly #trend = { ...noTrend };
  readonly #unreclaimable = { ...noUnreclaimableTrend };
  #inactiveFile: number | undefined;
  #reclaimable: number | undefined;
  #reclaimed: number | undefined;
  /** This kill cycle has killed, at the same sample as in the recording. */
  #hasKilled = false;
  /** After a kill that is not in the recording, where the victim lived on, usage means nothing until it is below this. */
  #resumeBelow: number | undefined;

  /** @param ofGuard the snapshots are of a guard; then those that were only sampled for the recording decide nothing. */
  constructor(settings: ReplaySettings, ofGuard: boolean) {
    this.#settings = settings;
    this.#policy = resolvePolicy(settings.policy);
    this.#ofGuard = ofGuard;
  }

  updateSettings(settings: ReplaySettings): void {
    if (settings.policy !== this.#settings.policy) {
      this.#hasKilled = false;
      resetDecision(this.#decision);
      this.#policy = resolvePolicy(settings.policy);
    }
    this.#settings = settings;
  }

  /** Takes the next snapshot. @returns what a guard does at it. */
  step(seen: RecordedSnapshot): readonly Decision[] {
    if (this.#ofGuard && seen.sampled) {
      this.#readStat(seen);
      return [];
    }
    // Several processes record their samples; some are late.
    if (seen.at < this.#now) return [];
    this.#now = seen.at;
    if (!this.#ofGuard) updateTrend(this.#trend, seen.usage, seen.at);
    this.#readStat(seen);
    if (this.#resumeBelow !== undefined) {
      if (this.#metricOf(seen) >= this.#resumeBelow) return [];
      this.#resumeBelow = undefined;
    }
    const decisions: Decision[] = this.#decision.killCycle ? [] : [...this.#evaluate(seen)];
    const { killCycle } = this.#decision;
    const kind = killCycle && this.#stepKillCycle(seen, killCycle);
    if (kind) decisions.push(kind);
    return decisions;
  }

  #evaluate(seen: RecordedSnapshot): readonly Level[] {
    const { levelBytes } = this.#settings;
    const metricValue = this.#metricOf(seen);
    return evaluateLevels(this.#decision, this.#policy, levelBytes, metricValue, seen.at).levels;
  }

  #stepKillCycle(seen: RecordedSnapshot, before: KillCycle): Decision | undefined {
    const { killSettings } = this.#policy;
    const { killCycle, step } = nextStep(before, this.#observe(seen), killSettings, seen.at);
    // Another cgroup was being killed, or the sample was too old: the recording has another one.
    if (step.do === "kill" && seen.decision === "deferred") return undefined;
    continueKillCycle(this.#decision, killCycle, seen.at);
    switch (step.do) {
      case "kill":
        return this.#kill(seen);
      case "escalate":
        if (seen.decision !== "escalate") this.#diverge();
        return "escalate";
      case "reclaim":
        return "reclaim";
      case "skip":
        return before.phase === "skipped" ? undefined : "skip";
      case "end":
        this.#endKillCycle();
        return undefined;
      case "exhausted":
      case "wait":
        return undefined;
    }
  }

  #kill(seen: RecordedSnapshot): Decision {
    if (seen.decision === "no_victim") {
      this.#endKillCycle();
      retryLater(this.#decision, seen.at);
      return "no_victim";
    }
    // A dry run has no effect.
    if (this.#policy.dryRun) this.#endKillCycle();
    else if (seen.decision === "kill") this.#hasKilled = true;
    else this.#diverge();
    return "kill";
  }

  /** A kill that is not in the recording: the usage that follows is without its effect. */
  #diverge(): void {
    this.#endKillCycle();
    this.#resumeBelow = this.#settings.levelBytes[this.#decision.killLevel];
  }

  #endKillCycle(): void {
    this.#decision.killCycle = undefined;
    this.#hasKilled = false;
  }

  #readStat(seen: RecordedSnapshot): void {
    this.#inactiveFile = seen.inactive_file ?? this.#inactiveFile;
    this.#reclaimable = seen.reclaimable ?? this.#reclaimable;
    this.#reclaimed = seen.reclaimed ?? this.#reclaimed;
    if (this.#ofGuard) this.#unreclaimable.unreclaimableRate = seen.unreclaimable_rate;
    else if (seen.reclaimable !== undefined) {
      updateUnreclaimable(
        this.#unreclaimable,
        withoutPageCache(seen.usage, seen.reclaimable),
        this.#now,
      );
    }
  }

  #metricOf({ usage }: RecordedSnapshot): number {
    const { policy, levelBytes } = this.#settings;
    if (policy.metric === "usage" || usage < levelBytes.warn) return usage;
    if (this.#inactiveFile === undefined) this.assumedReads++;
    return metricOf(policy.metric, usage, this.#inactiveFile);
  }

  #observe(seen: RecordedSnapshot): Observation {
    const { levelBytes, limit, mode, protectsPageCache } = this.#settings;
    const { usage, victim = "dead" } = seen;
    if (this.#reclaimable === undefined) this.assumedReads++;
    return {
      metricValue: this.#metricOf(seen),
      killLevelBytes: levelBytes[this.#decision.killLevel],
      usage,
      limit,
      reclaimable: this.#reclaimable,
      swappable: seen.swappable ?? 0,
      kernelMemory: seen.kernel_memory ?? 0,
      reclaimed: this.#reclaimed,
      writeback: seen.writeback ?? 0,
      rate: this.#ofGuard ? seen.rate : this.#trend.rate,
      peakRate: this.#ofGuard ? seen.peak_rate ?? 0 : this.#trend.peakRate,
      unreclaimableRate: this.#unreclaimable.unreclaimableRate,
      oomKillerDisabled: mode === "hold" ||
        (this.#ofGuard
          ? seen.oom_killer_disabled === true
          : mode === "hold-near-limit" && usage >= levelBytes.critical),
      isThrottled: mode === "throttle",
      protectsPageCache,
      victim: this.#hasKilled ? victim : "none",
    };
  }
}

/** What the recording says was done at a snapshot. @param before the decision at the previous one. */
export function recordedDecisions(
  { levels = [], decision }: RecordedSnapshot,
  before: string | undefined,
): readonly Decision[] {
  switch (decision) {
    case "skip":
      return before === "skip" ? levels : [...levels, decision];
    case "reclaim":
    case "kill":
    case "escalate":
    case "no_victim":
      return [...levels, decision];
    default:
      return levels;
  }
}
