/** One blow: at a process, or at all that it belongs to. */

import {
  type Failure,
  isStillMember,
  killCgroup,
  SIGKILL,
  signalProcess,
  SIGTERM,
} from "../../control/kill.ts";
import { pidsInCgroup } from "../../cgroup/pids.ts";
import { startReclaim } from "../../control/reclaim.ts";
import { noSuspensionLog, type SuspensionLog } from "../../control/suspension_log.ts";
import { tryOpenDirectory } from "../../kernel/fd.ts";
import { type KillCycle, nextStep, type Observation, type Step } from "../../policy/kill_cycle.ts";
import type { Level } from "../../policy/levels.ts";
import type { RecordedDecision } from "../../record/format.ts";
import { type KillAction, killActionOf } from "../../policy/actions.ts";
import { overlap } from "../../cgroup_path.ts";
import {
  type CgroupState,
  FAR_FROM_LIMIT_MS,
  msUntilLimit,
  msUntilLimitAtPeakRate,
  observe,
  readStat,
  reportHead,
} from "./cgroup_state.ts";
import { createPendingKills } from "./pending_kills.ts";
import type { Report } from "./protocol.ts";
import type { SampleWriter } from "./sample_ring.ts";
import {
  byBadnessNow,
  excludedPids,
  killScopeOf,
  noVictimReason,
  selectVictims,
  type Victim,
} from "./victims.ts";

/** @param present who is there, by pid. @returns why it failed; `undefined` when it did not. */
export function executeKill(
  { policy }: CgroupState,
  victim: Victim,
  present: ReadonlySet<number>,
  killAction: KillAction,
  signal: number,
): Failure {
  const killScope = killScopeOf(victim, killAction);
  // Whoever fills it first: to go through a cgroup takes a millisecond, in which it would meet the limit. But nobody is
  // asked twice: to many a program a second SIGTERM means to leave everything as it is.
  const isFirst = !killScope || signal === SIGKILL;
  const first: Failure = isFirst
    ? signalProcess(victim, present, signal, policy.dryRun)
    : undefined;
  if (!killScope || (first !== undefined && first !== "gone")) return first;
  return killCgroup(
    killScope,
    signal,
    policy.dryRun,
    excludedPids(victim, killAction, policy),
    false,
  );
}

/* One ward at the level at which something is to die: aiming, reclaiming, striking. */

export interface KillExecutor {
  /** Finds out ahead of time whom to strike, unless that is known. */
  selection(state: CgroupState, now: number, reached: Level, anew: boolean): void;
  /** Does the next step, and says when to look again. */
  runStep(state: CgroupState, now: number): void;
  /** Tells of what is open, and forgets it. */
  cancel(state: CgroupState, now: number): void;
}

export interface KillExecutorOptions {
  readonly states: () => Iterable<CgroupState>;
  /** Whether a rule leaves alone what lies there. */
  readonly isExcluded: (path: string) => boolean;
  readonly say: (message: Report) => void;
  readonly suspensions?: SuspensionLog;
  /** Where somebody records them. */
  readonly samples?: SampleWriter | undefined;
}

/** An aim that is older is taken anew, while the threshold is far enough to do so (milliseconds). */
export const MAX_SELECTION_AGE_MS = 1000;
/** An aim as young as this is as good as a new one (milliseconds). */
const FRESH_SELECTION_MS = 100;
/** With less left than this until the limit is met, an older aim has to do (milliseconds). */
const MIN_MS_TO_RESELECT = 20;
/** What it takes to look at one of those who are held, with much to spare (milliseconds). */
const MS_TO_RANK_ONE = 0.4;
/** Who takes this part of what is left while somebody is looked at leaves no time to look at all. */
const MAX_SHARE_WHILE_SELECTING = 8;
/** What was seen longer ago may be otherwise by now (milliseconds). */
const MAX_OBSERVATION_AGE_MS = 5;
/** Where nobody can be struck, somebody may come (milliseconds). */
const FIRST_RETRY_MS = 100;
/** To ask costs some 0.1 ms a process; twice as long each time, but no longer than this (milliseconds). */
const MAX_RETRY_MS = 1000;
/** How often to tell of what is reclaimed and let go (milliseconds). */
const MIN_MS_BETWEEN_REPORTS = 1000;
/** With less left than this the limit is met before a victim's memory is free (milliseconds). */
const SUSPEND_WITHIN_MS = 5;

export function createKillExecutor(options: KillExecutorOptions): KillExecutor {
  const { states, isExcluded, say: report, suspensions = noSuspensionLog, samples } = options;

  const pendingKills = createPendingKills(report, suspensions);

  const selectBefore = (state: CgroupState, mark: number) => {
    const { settings, scope, limitOwner, usageFile } = state;
    const began = usageFile.number() ?? 0;
    const far = began + (settings.limit - began) / MAX_SHARE_WHILE_SELECTING;
    // Nearly full is not pressed: where nobody grows there is time to look at all of them, and under hold whoever grows waits.
    const outOfTime = () => {
      const usage = settings.mode === "hold" ? 0 : usageFile.number() ?? 0;
      return usage >= mark && usage > far;
    };
    const selection = selectVictims(scope, {
      policy: state.policy,
      isExcluded,
      limitOwner: scope.path === limitOwner.path ? scope : limitOwner,
      oomTotalBytes: settings.oomTotalBytes,
      outOfTime: outOfTime,
      signalled: new Set(state.pendingKills.map(({ victim }) => victim.pid)),
    });
    if (selection === undefined || (selection.isPartial && state.selection)) {
      return selection?.close();
    }
    pendingKills.dropSelection(state);
    state.selection = selection;
  };

  const selection = (state: CgroupState, now: number, reached: Level, anew: boolean) => {
    const { imminent } = state.settings.levelBytes;
    const age = state.selection === undefined ? Infinity : now - state.selection.at;
    const left = msUntilLimit(state);
    const isStale = (anew && age > FRESH_SELECTION_MS) ||
      (age > MAX_SELECTION_AGE_MS && left < FAR_FROM_LIMIT_MS);
    // An aim takes milliseconds, in which the level would be crossed unseen.
    if (state.selection === undefined || (isStale && left > MIN_MS_TO_RESELECT)) {
      selectBefore(state, imminent);
    } else if (reached === "warn" || left > FAR_FROM_LIMIT_MS) return;
    // What the blow will need is read once before it: the second time takes a third.
    else {
      rank(state);
      if (!state.selection.victims.slice(0, 1).every(isStillMember)) selectBefore(state, imminent);
    }
    if (reached !== "warn" && left < FAR_FROM_LIMIT_MS) readStat(state, now);
  };

  /** Anew, by who has grown since; where there is no time for that, by what is known. */
  const rank = (state: CgroupState) => {
    const { selection } = state;
    if (selection && msUntilLimit(state) > MS_TO_RANK_ONE * selection.victims.length) {
      selection.victims = byBadnessNow(selection.victims);
    }
  };

  const runStep = (state: CgroupState, now: number) => {
    const killCycle = state.killCycle!;
    const seenAt = performance.now();
    const observation = observe(state, now, pendingKills);
    const { timeouts } = state.policy;
    const { killCycle: cycle, step } = nextStep(killCycle.cycle, observation, timeouts, now);
    const decision = step.do === "kill"
      ? tryKill(state, now, observation, cycle, seenAt)
      : doStep(state, now, cycle, step);
    samples?.observation(state, now, observation, decision);
  };

  const tryKill = (
    state: CgroupState,
    now: number,
    { victim }: Observation,
    cycle: KillCycle,
    seenAt: number,
  ): RecordedDecision => {
    if (overlapsPendingKill(state)) {
      state.nextPollAt = now + 1;
      return "deferred";
    }
    prepare(state, now);
    // Somebody took the CPU away meanwhile: who filled it may be gone, and the next of them would die for nothing.
    if (performance.now() - seenAt > MAX_OBSERVATION_AGE_MS) {
      state.nextPollAt = now;
      return "deferred";
    }
    state.killCycle!.cycle = cycle;
    state.nextPollAt = now + 1;
    return startKill(state, now, victim) ? "kill" : "no_victim";
  };

  const doStep = (
    state: CgroupState,
    now: number,
    cycle: KillCycle,
    step: Exclude<Step, { readonly do: "kill" }>,
  ): RecordedDecision => {
    const killCycle = state.killCycle!;
    switch (step.do) {
      case "escalate":
        escalate(state, now);
        state.nextPollAt = now + 1;
        break;
      case "reclaim":
        state.reclaim = { before: state.usage, since: now };
        if (!state.policy.dryRun) {
          reclaim(state, state.usage - state.settings.levelBytes[killCycle.level]);
        }
        state.nextPollAt = now;
        break;
      case "skip":
        endReclaim(state, now);
        if (state.pendingKills.length > 0) pendingKills.cancel(state, now);
        else skip(state, "reclaimable_cache");
        state.nextPollAt = step.until;
        break;
      case "exhausted":
      case "wait":
        if (step.do === "wait") pendingKills.repeatKill(state, now);
        else if (state.pendingKills.length > 0) pendingKills.cancel(state, now);
        state.nextPollAt = step.until;
        break;
      case "end":
        endReclaim(state, now);
        if (state.pendingKills.length === 0 && killCycle.cycle.phase !== "exhausted") {
          skip(state, "recovered");
        }
        cancel(state, now);
        state.nextPollAt = now + 1;
        return step.do;
    }
    killCycle.cycle = cycle;
    return step.do;
  };

  const reclaim = (state: CgroupState, bytes: number) => {
    const { directory, limitOwner: { dir } } = state;
    // What cannot be opened cannot be asked; whether it has helped is seen by the usage.
    const opened = directory ?? tryOpenDirectory(dir);
    if (opened) startReclaim(opened, bytes);
    if (opened !== directory) opened?.close();
  };

  /** Wards that overlap have the same processes: what one has struck counts for the other. */
  const overlapsPendingKill = (state: CgroupState) => {
    for (const other of states()) {
      // Who was only asked may take his time, which another cgroup may not have.
      const isStriking = other.pendingKills.some(({ kill }) => kill.signal === "SIGKILL");
      if (other === state || !isStriking) continue;
      if (overlap(other.scope.path, state.scope.path)) return true;
    }
    return false;
  };

  const prepare = (state: CgroupState, now: number) => {
    const isOld = state.selection !== undefined && now - state.selection.at > FRESH_SELECTION_MS;
    if (state.selection === undefined || (isOld && msUntilLimit(state) > MIN_MS_TO_RESELECT)) {
      selectNow(state);
    }
  };

  /** False where nobody could be struck. */
  const startKill = (state: CgroupState, now: number, victim: Observation["victim"]): boolean => {
    endReclaim(state, now);
    const level = state.killCycle!.level;
    const killAction = killActionOf(state.policy.actions[level])!;
    let failure = killFirstPresent(state, now, killAction);
    if (failure === "gone") {
      selectNow(state);
      failure = killFirstPresent(state, now, killAction);
    }
    if (failure === undefined) return true;
    // That nobody is left beside who is dying is no failure yet, though he may have ended since he was looked at.
    if (failure === "gone" && victim === "alive") return true;
    const reason = failure === "gone" ? noVictimReason(state) : failure.reason;
    const candidates = state.selection?.candidates ?? [];
    // What went before is told before.
    pendingKills.cancel(state, now);
    if (state.failure !== reason) pendingKills.fail(state, now, killAction, { reason, candidates });
    state.failure = reason;
    state.killCycle = undefined;
    state.retryDelay = Math.min(MAX_RETRY_MS, Math.max(FIRST_RETRY_MS, 2 * state.retryDelay));
    state.retryAt = state.nextPollAt = now + state.retryDelay;
    return false;
  };

  const selectNow = (state: CgroupState) => {
    const { limit, levelBytes } = state.settings;
    selectBefore(state, limit - (limit - levelBytes.imminent) / 2);
  };

  /** Strikes the first that still is where it was. */
  const killFirstPresent = (state: CgroupState, now: number, killAction: KillAction): Failure => {
    const signal = state.policy.timeouts.graceMs > 0 ? SIGTERM : SIGKILL;
    rank(state);
    for (const victim of state.selection?.victims ?? []) {
      if (state.pendingKills.some((open) => open.victim.pid === victim.pid)) continue;
      const present = pidsInCgroup(victim.cgroupFd);
      // Nor is anybody struck together with one who is not there any more.
      if (!present.has(victim.pid)) continue;
      const failure = executeKill(state, victim, present, killAction, signal);
      if (failure === "gone") continue;
      if (failure) return failure;
      const signalLatencyMs = performance.now() - now;
      const isUrgent = signal === SIGKILL && msUntilLimitAtPeakRate(state) < SUSPEND_WITHIN_MS;
      if (isUrgent && state.settings.mode === "notify") {
        pendingKills.suspendOthers(state, victim, present, now);
      }
      pendingKills.open(state, now, victim, killAction, signal, signalLatencyMs);
      return undefined;
    }
    return "gone";
  };

  const escalate = (state: CgroupState, now: number) => {
    const open = state.pendingKills.at(-1);
    if (open === undefined) return;
    const { victim, kill: { killAction } } = open;
    pendingKills.markSurvived(
      state,
      open,
      "it did not end within the grace, or before the limit came near",
    );
    if (
      executeKill(state, victim, pidsInCgroup(victim.cgroupFd), killAction, SIGKILL) !== undefined
    ) return;
    pendingKills.open(state, now, victim, killAction, SIGKILL, performance.now() - now);
  };

  const endReclaim = (state: CgroupState, now: number) => {
    if (state.reclaim === undefined) return;
    const { before, since } = state.reclaim;
    state.reclaim = undefined;
    const { level } = state.killCycle!;
    const lasted = now - since;
    // A throttle over a stream of page cache reclaims dozens of times a second.
    if (now - state.reclaimReportedAt < MIN_MS_BETWEEN_REPORTS) return;
    state.reclaimReportedAt = now;
    report({ type: "reclaimed", ...reportHead(state), level, before, after: state.usage, lasted });
  };

  const skip = (state: CgroupState, why: "recovered" | "reclaimable_cache") => {
    if (performance.now() - state.skipReportedAt < MIN_MS_BETWEEN_REPORTS) return;
    state.skipReportedAt = performance.now();
    const { level } = state.killCycle!;
    const { reclaimable } = state.pageCache;
    report({
      type: "action_skipped",
      ...reportHead(state),
      level,
      why,
      usage: state.usage,
      reclaimable,
    });
  };

  const cancel = (state: CgroupState, now: number) => {
    pendingKills.cancel(state, now);
    state.killCycle = undefined;
  };

  return { selection, runStep, cancel };
}
