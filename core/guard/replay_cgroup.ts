/**
 * One guarded cgroup in virtual time: the looks of a recording through what the sentry decides by (`hear`, `measure`, `pursue`).
 * Pure.
 */

import type { Level, LevelBytes } from "../policy/levels.ts";
import { nextStep, type Observation, type Step } from "../policy/kill_cycle.ts";
import { initialLevelStates, type LevelStates } from "../policy/levels.ts";
import type { RecordedSnapshot } from "../record/format.ts";
import { evaluateLevels, type LevelTracker } from "./levels.ts";
import { noTrend, updateTrend, type UsageTrend } from "./thread/cgroup_state.ts";
import { actingLevels, type GuardPolicy, type Mode } from "./policy.ts";

/** What a guard does that anybody would notice, or wait for. */
export type Act = Level | "reclaim" | "skip" | "kill" | "escalate" | "no_victim";

/** @param at milliseconds since the epoch. Sizes are bytes. */
export interface ReplayedDecision {
  readonly at: number;
  readonly act: Act;
  readonly usage: number;
}

export interface ReplaySettings {
  readonly policy: GuardPolicy;
  readonly levelBytes: LevelBytes;
  readonly limit: number;
  readonly mode: Mode;
}

export interface ReplayedState {
  /** Every look in turn. @returns what is done at it now. */
  look(snapshot: RecordedSnapshot): readonly ReplayedDecision[];
  updateSettings(settings: ReplaySettings): void;
  /** Looks at which memory.stat was needed and is not in the recording: what was read last has stood in, or nothing. */
  readonly assumedReads: number;
}

/** As `core/guard/thread/kill.ts` has it, where nobody can be struck (milliseconds). */
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 1000;

/** @param isGuards the looks are a guard's own; else what was read for the recording's sake is looked at, too. */
export function createReplayedState(first: ReplaySettings, ofGuard: boolean): ReplayedState {
  let settings = first;
  const defaultPolicy: UsageTrend = { ...noTrend };
  const tracker: {
    -readonly [K in keyof LevelTracker]: LevelTracker[K];
  } = {
    levelStates: initialLevelStates as LevelStates,
    killCycle: undefined,
    retryAt: -Infinity,
    policy: resolvePolicy(first),
  };
  let now = -Infinity;
  let retryDelay = 0;
  let assumedReads = 0;
  /** memory.stat as far as it is known. */
  let inactiveFile: number | undefined;
  let reclaimable: number | undefined;
  let unreclaimable: number | undefined;
  let unreclaimableAt = -Infinity;
  let unreclaimableRate: number | undefined;
  /** Something was struck in this engagement, at the very look at which the recording has it. */
  let hasStruck = false;
  /** Below this what the recording has is what would have been; until then something was struck that lived on in it. */
  let resumeBelow: number | undefined;

  const learn = (seen: RecordedSnapshot) => {
    inactiveFile = seen.inactive_file ?? inactiveFile;
    reclaimable = seen.reclaimable ?? reclaimable;
    if (ofGuard) unreclaimableRate = seen.unreclaimable_rate;
    else if (seen.reclaimable !== undefined) {
      const over = now - unreclaimableAt;
      const rest = seen.usage - seen.reclaimable;
      unreclaimableRate = over > 0 && unreclaimable !== undefined
        ? 1000 * (rest - unreclaimable) / over
        : undefined;
      unreclaimable = rest;
      unreclaimableAt = now;
    }
  };

  const valueOf = ({ usage }: RecordedSnapshot): number => {
    if (settings.policy.metric === "usage" || usage < settings.levelBytes.warn) return usage;
    if (inactiveFile === undefined) assumedReads++;
    return Math.max(0, usage - (inactiveFile ?? 0));
  };

  const sightOf = (seen: RecordedSnapshot, level: Level): Observation => {
    const { usage, victim = "dead" } = seen;
    if (reclaimable === undefined) assumedReads++;
    return {
      metricValue: valueOf(seen),
      levelBytes: settings.levelBytes[level],
      usage,
      limit: settings.limit,
      reclaimable,
      rate: ofGuard ? seen.rate : defaultPolicy.rate,
      unreclaimableRate,
      oomKillerDisabled: settings.mode === "hold",
      victim: hasStruck ? victim : "none",
    };
  };

  const begin = (seen: RecordedSnapshot): ReplayedDecision[] => {
    const metricValue = valueOf(seen);
    const { reached, levels } = evaluateLevels(tracker, settings.levelBytes, metricValue, now);
    if (!reached) retryDelay = 0;
    return levels.map((act) => ({ at: now, act, usage: seen.usage }));
  };

  const leave = () => {
    tracker.killCycle = undefined;
    hasStruck = false;
  };

  const strike = (seen: RecordedSnapshot, level: Level): ReplayedDecision[] => {
    if (seen.decision === "no_victim") {
      leave();
      retryDelay = Math.min(MAX_RETRY_MS, Math.max(FIRST_RETRY_MS, 2 * retryDelay));
      tracker.retryAt = now + retryDelay;
      return [{ at: now, act: "no_victim", usage: seen.usage }];
    }
    // Of a rehearsal nothing comes.
    if (settings.policy.dryRun) leave();
    else if (seen.decision === "kill") hasStruck = true;
    else {
      leave();
      resumeBelow = settings.levelBytes[level];
    }
    return [{ at: now, act: "kill", usage: seen.usage }];
  };

  const pursueIt = (seen: RecordedSnapshot): ReplayedDecision[] => {
    const killCycle = tracker.killCycle!;
    const { level, cycle: before } = killCycle;
    const { timeouts } = settings.policy;
    const { killCycle: cycle, step } = nextStep(before, sightOf(seen, level), timeouts, now);
    const decision = (act: Act): ReplayedDecision[] => [{ at: now, act, usage: seen.usage }];
    // Somebody else was dying, or the look was too old: as it was then, it is looked again.
    if (step.do === "kill" && seen.decision === "deferred") return [];
    killCycle.cycle = cycle;
    switch (step.do) {
      case "kill":
        return strike(seen, level);
      case "escalate":
        if (seen.decision === "escalate") return decision("escalate");
        leave();
        resumeBelow = settings.levelBytes[level];
        return decision("escalate");
      case "end":
        leave();
        return [];
      case "reclaim":
        return decision("reclaim");
      default:
        return isNews(step, before.phase) ? decision("skip") : [];
    }
  };

  return {
    look(seen) {
      if (ofGuard && seen.sampled) {
        learn(seen);
        return [];
      }
      // Of several processes that tell of their looks some are late.
      if (seen.at < now) return [];
      now = seen.at;
      if (!ofGuard) updateTrend(defaultPolicy, seen.usage, now);
      learn(seen);
      if (resumeBelow !== undefined) {
        if (valueOf(seen) >= resumeBelow) return [];
        resumeBelow = undefined;
      }
      const deeds = tracker.killCycle ? [] : begin(seen);
      return tracker.killCycle ? [...deeds, ...pursueIt(seen)] : deeds;
    },
    updateSettings(next) {
      // What is under way was begun under other orders, as in the sentry.
      if (next.policy !== settings.policy) {
        leave();
        tracker.levelStates = initialLevelStates;
        tracker.retryAt = -Infinity;
      }
      settings = next;
      tracker.policy = resolvePolicy(next);
    },
    get assumedReads() {
      return assumedReads;
    },
  };
}

function resolvePolicy(
  { policy: { triggerPolicy, actions, dryRun } }: ReplaySettings,
): LevelTracker["policy"] {
  return { triggerPolicy, actions, dryRun, acting: actingLevels(actions) };
}

const isNews = (step: Step, before: string) => step.do === "skip" && before !== "skipped";

/** What the recording says was done at a look. @param before what was done at the last. */
export function recordedDecisions(
  seen: RecordedSnapshot,
  before: string | undefined,
): readonly ReplayedDecision[] {
  const { at, usage, levels: triggered = [], decision } = seen;
  const acts: Act[] = [...triggered];
  if (decision === "skip" ? before !== "skip" : isAct(decision)) acts.push(decision as Act);
  return acts.map((act) => ({ at, act, usage }));
}

const isAct = (decision: string | undefined) =>
  decision === "reclaim" || decision === "kill" || decision === "escalate" ||
  decision === "no_victim";
