/** Takes the steps of a kill cycle: selects victims ahead of time, reclaims, signals, and says when to poll again. */

import { pidsInCgroup } from "../../cgroup/pids.ts";
import { isInSubtree, overlap } from "../../cgroup_path.ts";
import {
  isStillMember,
  killCgroup,
  type KillFailure,
  SIGKILL,
  signalProcess,
  SIGTERM,
} from "../../control/kill.ts";
import { parseLimit } from "../../parse/cgroupfs.ts";
import { SuspensionLog } from "../../control/journal.ts";
import { startReclaim, startReclaimAt } from "../../control/reclaim.ts";
import type { CandidateJson } from "../../events/event.ts";
import { hasEnded } from "../../kernel/process.ts";
import { type KillAction, killActionOf } from "../../policy/actions.ts";
import {
  continueKillCycle,
  isFarFromLevel,
  type KillCycle,
  nextStep,
  type Observation,
  retryLater,
  type SkipReason,
  skipReason,
  type Step,
} from "../../policy/kill_cycle.ts";
import { waitsForExit } from "../../policy/exit_wait.ts";
import type { Level } from "../../policy/levels.ts";
import {
  FAR_FROM_LIMIT_MS,
  msUntilLimit,
  msUntilLimitAtPeakRate,
} from "../../policy/usage_trend.ts";
import type { RecordedDecision } from "../../record/decisions.ts";
import { actionEvent, type ActionResult, rounded } from "../events.ts";
import {
  type CgroupState,
  isOomKillerDisabled,
  lacksPressure,
  observe,
  readStat,
  reportHead,
  restFiles,
} from "./cgroup_state.ts";
import { PendingKills } from "./pending_kills.ts";
import type { Report } from "./protocol.ts";
import type { SampleWriter } from "./sample_ring.ts";
import {
  byBadnessNow,
  exitingNow,
  killScopeOf,
  NOTHING_KNOWN,
  noVictimReason,
  selectVictims,
  type Victim,
} from "./victim_selection.ts";

/** An older selection is renewed if the limit is between {@link MIN_MS_TO_RESELECT} and {@link FAR_FROM_LIMIT_MS} away (milliseconds). */
const MAX_SELECTION_AGE_MS = 1000;
/** Maximum age of a selection that is as good as a new one (milliseconds). */
const FRESH_SELECTION_MS = 100;
/** Before a kill an older selection is renewed if there is time: another process may be exiting already (milliseconds). */
const MAX_MS_WITHOUT_EXITS_SEEN = 20;
/** If the limit is reached sooner than this, an older selection is used (milliseconds). */
const MIN_MS_TO_RESELECT = 20;
/** Maximum time to read the present memory of one victim (milliseconds, an estimate: a read takes about 85 µs, see victim_selection.ts). */
const MS_TO_RANK_ONE = 0.4;
/** When usage grows by more of the headroom than this during a selection, there is no time to read further processes. */
const MAX_HEADROOM_SHARE_WHILE_SELECTING = 1 / 8;
/** In mode `throttle`: memory.high slows down what is left, the more the closer to the limit. */
const MAX_THROTTLED_SHARE = 1 / 2;
/** A kill is deferred when its observation is older than this, because usage may have changed (milliseconds). */
const MAX_OBSERVATION_AGE_MS = 5;
/** Minimum time between two reports of a reclaim, and between two with one reason of a skipped action (milliseconds). */
const MIN_MS_BETWEEN_REPORTS = 1000;
/**
 * Maximum time for a process to exit that is not guarded (milliseconds): an emulated machine with other load took more than 0.5 s for 40
 * MiB. The kernel itself goes on after about a second (mm/oom_kill.c, oom_reap_task).
 */
const MAX_MS_FOR_KERNEL = 5000;
const MAX_REFUSALS_IN_REASON = 8;
const NOT_EXITED = "it has not exited since SIGKILL, and no other process may be killed";
/** A reason names the processes, which may be other ones at each attempt. */
const MAX_REMEMBERED_FAILURES = 100;
/** If the limit is reached sooner than this, the victim's memory is not free in time: SIGSTOP the other candidates (milliseconds). */
const SUSPEND_WITHIN_MS = 5;

export interface KillExecutorOptions {
  readonly states: () => Iterable<CgroupState>;
  readonly isExcluded: (path: string) => boolean;
  readonly report: (report: Report) => void;
  /** Nothing can be killed. */
  readonly leaveToKernel?: (state: CgroupState) => void;
  readonly suspensions?: SuspensionLog;
  readonly samples?: SampleWriter | undefined;
}

export class KillExecutor {
  readonly #pending: PendingKills;

  constructor(private readonly options: KillExecutorOptions) {
    this.#pending = new PendingKills(options.report, options.suspensions ?? new SuspensionLog());
  }

  /**
   * Selects victims ahead of time, unless there is a selection that is young enough. Above the warn level, and near the limit, it
   * also reads what the kill will read.
   */
  prepareSelection(state: CgroupState, now: number, reached: Level, renew: boolean): void {
    const { settings: { limit, levelBytes }, memory, pinned } = state;
    const age = pinned.selection === undefined ? Infinity : now - pinned.selection.at;
    const left = msUntilLimit(memory, limit);
    const isRanked = left > FAR_FROM_LIMIT_MS && state.ranking?.keepUpToDate(now) === true;
    const isStale = ((renew || isRanked) && age > FRESH_SELECTION_MS) ||
      (age > MAX_SELECTION_AGE_MS && left < FAR_FROM_LIMIT_MS);
    // A selection takes milliseconds, in which usage could cross the level unseen.
    if (pinned.selection === undefined || (isStale && left > MIN_MS_TO_RESELECT)) {
      this.#select(state, levelBytes.imminent);
    } else if (reached === "warn" || left > FAR_FROM_LIMIT_MS) return;
    else {
      // Warms the caches: the second read takes a third of the time.
      this.#rank(state);
      if (!pinned.selection.victims.slice(0, 1).every(isStillMember)) {
        this.#select(state, levelBytes.imminent);
      }
    }
    if (reached === "warn" || left > FAR_FROM_LIMIT_MS) return;
    readStat(state, now);
    // Opens the file, which the kill reads.
    state.files.limitFile.text();
  }

  /** Unless there is a selection already: the limit is an ancestor's, and the kernel's victim may be outside. */
  selectIfShared(state: CgroupState): void {
    const { scope, limitOwner, pinned: { selection }, settings: { levelBytes } } = state;
    if (selection || scope.path === limitOwner.path) return;
    this.#select(state, levelBytes.imminent);
  }

  dropSelection(state: CgroupState): void {
    this.#pending.replaceSelection(state, undefined);
  }

  /** To be called when usage is below all levels. Releases the victims of an old selection, and memory.stat. */
  releaseStaleSelection(state: CgroupState, now: number): void {
    const { selection } = state.pinned;
    if (selection && now - selection.at > MAX_SELECTION_AGE_MS) this.dropSelection(state);
    if (state.pinned.selection === undefined) {
      state.pinned.known = NOTHING_KNOWN;
      restFiles(state);
    }
    state.actions.refused.clear();
  }

  /** Takes the next step. @returns when to poll again. */
  runStep(state: CgroupState, now: number): number {
    const seenAt = performance.now();
    const observation = observe(state, now, this.#pending.victimStatus(state, now));
    this.#pending.reportSurvivors(state, now);
    const isFar = isFarFromLevel(observation, state.decision.killCycle!.unreclaimed);
    state.schedule.farSince = isFar ? state.schedule.farSince ?? now : undefined;
    const { metricValue, killLevelBytes } = observation;
    const { hysteresis } = state.policy.triggerPolicy;
    // A level triggers again only outside of a kill cycle.
    if (metricValue < killLevelBytes * (1 - hysteresis)) forgetFailures(state, now);
    const { killCycle, step } = nextStep(
      state.decision.killCycle!,
      observation,
      state.policy.killSettings,
      now,
    );
    if (step.do === "kill") return this.#tryKill(state, now, observation, killCycle, seenAt);
    const pollAt = this.#doStep(state, now, killCycle, step, observation);
    this.options.samples?.observation(state.id, now, observation, step.do);
    return pollAt;
  }

  /** Ends the kill cycle and reports the outcome of pending kills, whether or not they made room. */
  finish(state: CgroupState, now: number): void {
    this.#pending.finish(state, now);
    state.actions.exitingSince = undefined;
    state.actions.isKillDeferred = false;
    state.decision.killCycle = undefined;
  }

  /** For a new policy: what was selected and reported under the old one does not count. */
  reset(state: CgroupState, now: number): void {
    this.#endReclaim(state, now);
    this.finish(state, now);
    this.dropSelection(state);
    state.actions.reportedFailures.clear();
  }

  #tryKill(
    state: CgroupState,
    now: number,
    observation: Observation,
    killCycle: KillCycle,
    seenAt: number,
  ): number {
    let decision: RecordedDecision = "deferred";
    let pollAt = now + 1;
    if (!this.#overlapsPendingKill(state, now)) {
      const { actions } = state;
      // The second time it goes ahead: on a slow machine, or with thousands of processes, each selection takes longer than that.
      const isSecondTry = actions.isKillDeferred;
      if (!isSecondTry) this.#renewSelection(state, now);
      // The thread was preempted meanwhile: the allocator may have exited, and the next process would be killed needlessly.
      const isOld = performance.now() - seenAt > MAX_OBSERVATION_AGE_MS;
      actions.isKillDeferred = isOld && !isSecondTry;
      if (actions.isKillDeferred) pollAt = now;
      else if (!this.#waitsForExit(state, now) && isStillFull(state)) {
        const before = state.decision.killCycle;
        continueKillCycle(state.decision, killCycle, now);
        decision = this.#startKill(state, now, observation.victim);
        if (decision === "deferred") state.decision.killCycle = before;
        if (decision === "no_victim") pollAt = state.decision.retryAt;
      }
    }
    this.options.samples?.observation(state.id, now, observation, decision);
    return pollAt;
  }

  #doStep(
    state: CgroupState,
    now: number,
    killCycle: KillCycle,
    step: Exclude<Step, { readonly do: "kill" }>,
    observation: Observation,
  ): number {
    const { decision, pinned } = state;
    const { phase } = decision.killCycle!;
    continueKillCycle(decision, killCycle, now);
    switch (step.do) {
      case "escalate":
        this.#escalate(state, now);
        return now + 1;
      case "reclaim":
        this.#reclaim(state, now);
        return now;
      case "skip":
        this.#endReclaim(state, now);
        if (pinned.kills.length > 0) this.#pending.finish(state, now);
        // A cgroup can stay full of page cache for weeks.
        else if (phase !== "skipped") {
          this.#reportSkip(state, now, skipReason(observation), observation.swappable);
        }
        return step.until;
      case "exhausted":
        if (pinned.kills.length > 0) this.#pending.finish(state, now);
        return step.until;
      case "wait":
        this.#pending.repeatKill(state, now);
        return step.until;
      case "end":
        this.#endReclaim(state, now);
        if (
          pinned.kills.length === 0 && phase !== "exhausted" && hasRecovered(state, observation)
        ) {
          this.#reportSkip(state, now, "recovered");
        }
        this.finish(state, now);
        return now + 1;
    }
  }

  /** @param minUsageToStop bytes; below it all processes are read, however fast usage grows. */
  #select(state: CgroupState, minUsageToStop: number): void {
    const { settings, scope, limitOwner, files: { usageFile }, pinned, actions } = state;
    const usageBefore = usageFile.number() ?? 0;
    const share = settings.mode === "throttle"
      ? MAX_THROTTLED_SHARE
      : MAX_HEADROOM_SHARE_WHILE_SELECTING;
    const maxUsageWhileSelecting = usageBefore + (settings.limit - usageBefore) * share;
    // High usage alone does not stop a selection: if usage does not grow there is time for all processes. Without the OOM killer
    // allocators wait at the limit.
    const outOfTime = () => {
      const usage = isOomKillerDisabled(state) ? 0 : usageFile.number() ?? 0;
      return usage >= minUsageToStop && usage > maxUsageWhileSelecting;
    };
    const selection = selectVictims(scope, {
      policy: state.policy,
      isExcluded: this.options.isExcluded,
      limitOwner,
      oomTotalBytes: settings.oomTotalBytes,
      outOfTime,
      signalled: new Set([
        ...pinned.kills.map(({ victim }) => victim.pid),
        ...actions.refused.keys(),
      ]),
      known: pinned.known,
      usage: () => usageFile.number() ?? 0,
      ranking: state.ranking,
    });
    if (selection === undefined || (selection.isPartial && pinned.selection)) {
      return selection?.close();
    }
    this.#pending.replaceSelection(state, selection);
    pinned.known = selection.known;
  }

  #selectNow(state: CgroupState): void {
    const { limit, levelBytes } = state.settings;
    this.#select(state, limit - (limit - levelBytes.imminent) / 2);
  }

  #renewSelection(state: CgroupState, now: number): void {
    const { selection } = state.pinned;
    const isOld = selection !== undefined && now - selection.at > MAX_MS_WITHOUT_EXITS_SEEN;
    const left = msUntilLimit(state.memory, state.settings.limit);
    if (selection === undefined || (isOld && left > MIN_MS_TO_RESELECT)) this.#selectNow(state);
  }

  /** Whether the kernel, another guard or the process itself has already done what is needed. */
  #waitsForExit(state: CgroupState, now: number): boolean {
    const { pinned, actions, memory, settings: { limit, levelBytes }, decision, policy } = state;
    if (pinned.selection?.exiting === undefined) return false;
    const since = actions.exitingSince ??= now;
    const { exiting } = pinned.selection;
    const { exitTimeoutMs } = policy.killSettings;
    // The kernel waits for its victim as well, and decides what is next: a kill by the guard would only come before.
    const isKernelsTurn = exiting.isOutside && !isOomKillerDisabled(state);
    const longest = isKernelsTurn ? Math.max(exitTimeoutMs, MAX_MS_FOR_KERNEL) : exitTimeoutMs;
    // Without time to read all processes the selection is not renewed.
    if (exitingNow(pinned.selection) === undefined) return false;
    const isUrgent = msUntilLimitAtPeakRate(memory, limit) < MIN_MS_TO_RESELECT;
    const waits = waitsForExit(exiting, {
      waited: now - since,
      longest,
      missing: memory.usage - levelBytes[decision.killLevel],
      isUrgent,
      isMachine: state.limitOwner.machine !== undefined,
    });
    if (!waits) return false;
    // So that the next step reads all processes again.
    pinned.selection.at = -Infinity;
    return true;
  }

  /** Sorts the victims by present memory; if there is no time to read it, the order stays. */
  #rank({ memory, settings: { limit }, pinned: { selection } }: CgroupState): void {
    if (selection && msUntilLimit(memory, limit) > MS_TO_RANK_ONE * selection.victims.length) {
      selection.victims = byBadnessNow(selection.victims);
    }
  }

  /** Overlapping cgroups contain the same processes: a kill in one counts for the other, as long as its victim may exit in time. */
  #overlapsPendingKill(state: CgroupState, now: number): boolean {
    for (const other of this.options.states()) {
      // A victim of SIGTERM has its grace period, which another cgroup may not have.
      const { exitTimeoutMs } = other.policy.killSettings;
      // What is killed for the machine frees memory of its own cgroup only.
      const counts = ({ scored: { cgroup } }: Victim) =>
        !other.scope.machine || isInSubtree(cgroup, state.scope.path);
      const isKilling = other.pinned.kills.some(({ kill, since, victim }) =>
        kill.signal === "SIGKILL" && now - since <= exitTimeoutMs && counts(victim)
      );
      if (other === state || !isKilling) continue;
      if (overlap(other.scope.path, state.scope.path)) return true;
    }
    return false;
  }

  /**
   * @returns `no_victim` if no process could be signalled and none is exiting; then the kill cycle is over, and starts again later.
   * `deferred` if one exits without this guard's doing, or further ones are to be tried: then nothing has changed.
   */
  #startKill(
    state: CgroupState,
    now: number,
    victim: Observation["victim"],
  ): "kill" | "no_victim" | "deferred" {
    this.#endReclaim(state, now);
    const { decision, actions, policy, pinned } = state;
    const killAction = killActionOf(policy.actions[decision.killLevel])!;
    let failure = this.#killFirstPresent(state, now, killAction);
    // All that were selected are gone or may not be signalled, but there may be others.
    if (failure !== undefined) {
      this.#selectNow(state);
      // A process that was exiting may be gone by now, and its memory free.
      if (this.#waitsForExit(state, now) || !isStillFull(state)) return "deferred";
      failure = this.#killFirstPresent(state, now, killAction);
    }
    if (failure === undefined) return "kill";
    // The refused ones are left out of the next selection.
    if (pinned.selection?.hasMore) {
      this.dropSelection(state);
      return "deferred";
    }
    const refused = refusalReason(
      [...actions.refused.values()].filter((each) => each !== undefined),
    );
    // Next time all of them are tried again.
    actions.refused.clear();
    const candidates = pinned.selection?.candidates ?? [];
    // No other candidate while the first victim is still exiting is not a failure, even if it has exited since the observation.
    if (victim === "alive") {
      const overdue = pinned.kills.find(({ isOverdue }) => isOverdue);
      const reason = refused ?? (overdue && refusalText(overdue.victim, NOT_EXITED));
      if (reason) {
        this.#reportFailure(state, now, killAction, reason, candidates);
        this.options.leaveToKernel?.(state);
      }
      return "kill";
    }
    const reason = refused ?? noVictimReason(pinned.selection);
    // Report earlier kills first.
    this.#pending.finish(state, now);
    this.#reportFailure(state, now, killAction, reason, candidates);
    this.options.leaveToKernel?.(state);
    retryLater(decision, now);
    return "no_victim";
  }

  /** Reports each reason once, until a process is signalled or the level triggers again. */
  #reportFailure(
    state: CgroupState,
    now: number,
    killAction: KillAction,
    reason: string,
    candidates: readonly CandidateJson[],
  ): void {
    const { actions, decision: { levelStates, killLevel } } = state;
    const { reportedFailures } = actions;
    const isNew = levelStates[killLevel].lastTriggeredAt > actions.failedAt;
    if (isNew || reportedFailures.size >= MAX_REMEMBERED_FAILURES) reportedFailures.clear();
    actions.failedAt = now;
    if (reportedFailures.has(reason)) return;
    reportedFailures.set(reason, now);
    this.#pending.fail(state, now, killAction, reason, candidates);
  }

  /** Signals the first victim that is still in its cgroup and may be signalled. Reports those that may not, once each. */
  #killFirstPresent(
    state: CgroupState,
    now: number,
    killAction: KillAction,
  ): "gone" | undefined {
    const { memory, settings, policy, pinned } = state;
    const signal = policy.killSettings.graceMs > 0 ? SIGTERM : SIGKILL;
    const refused: Victim[] = [];
    this.#rank(state);
    for (const victim of pinned.selection?.victims ?? []) {
      if (pinned.kills.some((open) => open.victim.pid === victim.pid)) continue;
      const present = pidsInCgroup(victim.cgroupFd);
      // If the victim has left, its container or group is not killed either.
      const failure = present.has(victim.pid)
        ? executeKill(state, victim, present, killAction, signal)
        : "gone";
      if (failure === "gone") {
        // So that the next selection has others.
        if (pinned.selection?.hasMore) state.actions.refused.set(victim.pid, undefined);
        continue;
      }
      if (failure) {
        refused.push(victim);
        state.actions.refused.set(victim.pid, refusalText(victim, failure.reason));
        continue;
      }
      const signalLatencyMs = performance.now() - now;
      const isUrgent = signal === SIGKILL &&
        msUntilLimitAtPeakRate(memory, settings.limit) < SUSPEND_WITHIN_MS;
      // In mode throttle memory.high slows the other allocators down, without the OOM killer they wait at the limit. Of the machine
      // the other candidates may be anything: a shell takes the terminal back when its program is stopped.
      const isSlowedDown = settings.mode === "throttle" || isOomKillerDisabled(state);
      if (isUrgent && !isSlowedDown && !state.limitOwner.machine) {
        this.#pending.suspendOthers(state, victim, present, now);
      }
      this.#pending.open(state, now, victim, killAction, signal, signalLatencyMs);
      state.pressure?.window.restart();
      state.actions.reportedFailures.clear();
      for (const each of refused) this.#pending.markRefused(state, now, killAction, each);
      return undefined;
    }
    return "gone";
  }

  #escalate(state: CgroupState, now: number): void {
    const open = state.pinned.kills.at(-1);
    // The grace period of a kill that found no other process: the last victim has been sent SIGKILL before.
    if (open === undefined || open.kill.signal === "SIGKILL") return;
    const { victim, kill: { action } } = open;
    const present = pidsInCgroup(victim.cgroupFd);
    const failure = executeKill(state, victim, present, action, SIGKILL);
    if (failure === "gone" && hasEnded(victim.pidfd)) return;
    const reason = "did not exit before the grace period ended or the limit was near";
    if (failure === undefined) {
      const signalLatencyMs = performance.now() - now;
      this.#pending.markSurvived(state, open, reason);
      return this.#pending.open(state, now, victim, action, SIGKILL, signalLatencyMs);
    }
    const refusal = failure === "gone" ? "has left its cgroup" : failure.reason;
    state.actions.refused.set(victim.pid, refusalText(victim, refusal));
    this.#pending.giveUp(state, open, `${reason}; SIGKILL: ${refusal}`);
  }

  #reclaim(state: CgroupState, now: number): void {
    const { memory: { usage }, settings, decision, files, limitOwner } = state;
    const bytes = usage - settings.levelBytes[decision.killLevel];
    let refused: string | undefined;
    if (!state.policy.dryRun) {
      const { directory } = files;
      refused = directory ? startReclaim(directory, bytes) : startReclaimAt(limitOwner.dir, bytes);
    }
    state.actions.reclaim = { before: usage, since: now, refused };
  }

  #endReclaim(state: CgroupState, now: number): void {
    const { actions, memory, decision, policy } = state;
    if (actions.reclaim === undefined) return;
    const { before, since, refused } = actions.reclaim;
    actions.reclaim = undefined;
    // In mode throttle a stream of page cache is reclaimed dozens of times a second.
    if (!isReportDue(state, "reclaim", now)) return;
    const { dryRun } = policy;
    const result: ActionResult = refused ? { outcome: "failed", reason: refused } : {
      usage_after: memory.usage,
      outcome: dryRun ? "dry_run" : "reclaimed",
      freed: dryRun ? null : Math.max(0, before - memory.usage),
      freed_ms: rounded(now - since),
    };
    const body = actionEvent(state, "reclaim", decision.killLevel, before, result);
    this.options.report({ type: "event", ...reportHead(state), body });
  }

  #reportSkip(state: CgroupState, now: number, reason: SkipReason, swappable = 0): void {
    const { memory: { usage, reclaimStat }, decision: { killLevel: level }, settings } = state;
    if (!isReportDue(state, reason, now)) return;
    const body = {
      type: "action_skipped",
      level,
      reason,
      usage,
      reclaimable: reclaimStat.reclaimable ?? null,
      swappable,
      limit: settings.limit,
      level_bytes: settings.levelBytes[level],
    } as const;
    this.options.report({ type: "event", ...reportHead(state), body });
  }
}

/** Not where a kill cycle ends because processes no longer wait for memory. */
const hasRecovered = (state: CgroupState, { usage, killLevelBytes }: Observation): boolean =>
  !lacksPressure(state) || usage < killLevelBytes;

/** A stream of page cache in a small cgroup is reclaimed for weeks: the same is reported once per cooldown, as a level is. */
function isReportDue(
  { actions: { reportedAt }, decision: { levelStates, killLevel }, policy }: CgroupState,
  what: SkipReason | "reclaim",
  now: number,
): boolean {
  const last = reportedAt.get(what) ?? -Infinity;
  const isNew = levelStates[killLevel].lastTriggeredAt > last ||
    now - last >= policy.triggerPolicy.cooldown;
  if (!isNew || now - last < MIN_MS_BETWEEN_REPORTS) return false;
  reportedAt.set(what, now);
  return true;
}

/** Within a kill cycle, in which no level triggers. Not at once: usage may swing. */
function forgetFailures({ actions: { reportedFailures }, policy }: CgroupState, now: number): void {
  for (const [reason, at] of reportedFailures) {
    if (now - at >= policy.triggerPolicy.cooldown) reportedFailures.delete(reason);
  }
}

const refusalText = ({ pid, scored: { comm } }: Victim, reason: string): string =>
  `pid ${pid} (${comm}): ${reason}`;

/** Why none of several processes could be signalled; `undefined` without any. */
function refusalReason(refused: readonly string[]): string | undefined {
  if (refused.length === 0) return undefined;
  const more = refused.length - MAX_REFUSALS_IN_REASON;
  const first = refused.slice(0, MAX_REFUSALS_IN_REASON).join("; ");
  return more > 0 ? `${first}; and ${more} more` : first;
}

/** Reads what the decision depends on once more: memory may have been freed since, and the limit raised. */
function isStillFull({ files, settings, policy, decision, limitOwner }: CgroupState): boolean {
  const usage = files.usageFile.number();
  const isUsage = policy.metric === "usage";
  if (isUsage && usage !== undefined && usage < settings.levelBytes[decision.killLevel]) {
    return false;
  }
  const limit = policy.softLimit ? undefined : parseLimit(files.limitFile.text());
  return limit === undefined ||
    Math.min(limit, limitOwner.hierarchy.machineBytes ?? Infinity) <= settings.limit;
}

/** Signals the victim, or everything in its kill scope. @param present the pids in the victim's cgroup. */
function executeKill(
  { policy: { dryRun } }: CgroupState,
  victim: Victim,
  present: ReadonlySet<number>,
  killAction: KillAction,
  signal: number,
): KillFailure | undefined {
  const killScope = killScopeOf(victim, killAction);
  // Kill the victim first: a walk through the cgroup takes a millisecond, in which the victim may reach the limit. SIGTERM is sent
  // only once, by the walk: for many programs a second one means to exit without cleaning up.
  const first = !killScope || signal === SIGKILL
    ? signalProcess(victim, present, signal, dryRun)
    : undefined;
  if (!killScope) return first;
  const all = killCgroup(killScope.cgroup, signal, dryRun, killScope.spared, false);
  // One that is refused, the victim or another, does not keep the rest from being killed.
  return first === undefined && signal === SIGKILL ? undefined : all;
}
