/** The pinned victims of a cgroup: the selection, and the signalled ones until their outcome is known and reported. */

import { pidsInCgroup } from "../../cgroup/pids.ts";
import { isEmpty, killCgroup, SIGCONT, SIGKILL, SIGSTOP, SIGTERM } from "../../control/kill.ts";
import { suspendedProcess, type SuspensionLog } from "../../control/journal.ts";
import type { CandidateJson, KillBody } from "../../events/event.ts";
import { SystemCallError } from "../../kernel/libc.ts";
import { hasEnded, releaseMemory, signalPidfd } from "../../kernel/process.ts";
import type { KillAction } from "../../policy/actions.ts";
import type { Observation } from "../../policy/kill_cycle.ts";
import { type CgroupState, type PendingKill, reportHead } from "./cgroup_state.ts";
import { rounded } from "../events.ts";
import type { Report } from "./protocol.ts";
import {
  killScopeOf,
  releaseVictim,
  type Victim,
  type VictimSelection,
} from "./victim_selection.ts";

/** After this many rounds of SIGKILL over a cgroup that is not empty yet, its processes are frozen first. */
const ROUNDS_BEFORE_FREEZE = 2;
/** The time between two rounds, as a share of the time since the first: a cgroup that is never empty is not walked at each poll. */
const ROUND_INTERVAL_SHARE = 1 / 8;
/**
 * A victim is not reported as survived before this (milliseconds): 100 GiB take 4 s at the rate of docs/performance.md, 512 MiB in 18
 * ms, and an emulated machine with one CPU took more than a second for 17 MiB.
 */
const MIN_MS_TO_REPORT_SURVIVOR = 5000;
/** A kill is reported before the exit of another victim that takes longer than this (milliseconds, an estimate). */
const MAX_MS_TO_WAIT_FOR_OTHERS = 1000;
/** Maximum time that the other candidates are stopped (milliseconds). 512 MiB are free after 18 ms (docs/performance.md). */
const MAX_SUSPENSION_MS = 200;

export class PendingKills {
  constructor(
    private readonly report: (report: Report) => void,
    private readonly suspensions: SuspensionLog,
  ) {}

  /**
   * Notes a signal that was sent. In a dry run this ends the kill cycle.
   *
   * @param signalLatencyMs milliseconds since `now`.
   */
  open(
    state: CgroupState,
    now: number,
    victim: Victim,
    killAction: KillAction,
    signal: number,
    signalLatencyMs: number,
  ): void {
    const { pinned } = state;
    const open: PendingKill = {
      victim,
      since: now,
      kill: describeKill(state, killAction, signal, signalLatencyMs, victim),
      stat: state.memory.stat,
      rounds: 1,
      repeatedAt: now,
      exitLatencyMs: undefined,
      isOverdue: false,
      refusal: undefined,
    };
    pinned.kills.push(open);
    if (!state.policy.dryRun) {
      if (signal === SIGKILL) releaseMemory(victim.pidfd);
      return;
    }
    this.#reportKill(state, open, "dry_run");
    pinned.kills = [];
    state.decision.killCycle = undefined;
    releaseVictim(victim);
    pinned.selection?.close((each) => each !== victim);
    pinned.selection = undefined;
  }

  /** Whether one of the signalled processes is alive. */
  victimStatus(state: CgroupState, now: number): Observation["victim"] {
    const { kills } = state.pinned;
    if (kills.length === 0) return "none";
    return kills.some((open) => isAlive(open, now)) ? "alive" : "dead";
  }

  /**
   * Reports each victim of SIGKILL that has not exited in time, once: in an uninterruptible sleep, or frozen on v1, it may never do
   * so, and the kill cycle would not end. It stays pinned, and is reported as killed when it exits. What exits meanwhile beside it
   * is reported too.
   */
  reportSurvivors(state: CgroupState, now: number): void {
    const timeout = Math.max(state.policy.killSettings.exitTimeoutMs, MIN_MS_TO_REPORT_SURVIVOR);
    for (const open of state.pinned.kills) {
      if (open.isOverdue || open.kill.signal !== "SIGKILL" || now - open.since < timeout) continue;
      if (!isAlive(open, now)) continue;
      open.isOverdue = true;
      const reason = open.refusal ?? `has not exited ${timeout} ms after SIGKILL`;
      this.#reportKill(state, open, "survived", reason);
    }
    const isLate = ({ since }: PendingKill) => now - since >= MAX_MS_TO_WAIT_FOR_OTHERS;
    if (!state.pinned.kills.some((open) => isLate(open) && isAlive(open, now))) return;
    for (const open of state.pinned.kills) {
      if (isAlive(open, now)) continue;
      this.#reportKill(state, open, "killed");
      this.#forget(state, open);
    }
  }

  /** Repeats the last SIGKILL over a cgroup that is not empty yet, and resumes processes that were suspended long enough. */
  repeatKill(state: CgroupState, now: number): void {
    const { kills, suspended, suspendedAt } = state.pinned;
    if (suspended.length > 0 && now - suspendedAt > MAX_SUSPENSION_MS) this.#resume(state);
    const last = kills.at(-1);
    const killScope = last && killScopeOf(last.victim, last.kill.action);
    if (!last || !killScope || last.kill.signal === "SIGTERM" || !isAlive(last, now)) return;
    if (now - last.repeatedAt < (now - last.since) * ROUND_INTERVAL_SHARE) return;
    last.rounds += 1;
    last.repeatedAt = now;
    const freeze = last.rounds > ROUNDS_BEFORE_FREEZE && this.suspensions;
    const failure = killCgroup(killScope.cgroup, SIGKILL, false, killScope.spared, freeze);
    last.refusal = typeof failure === "object" ? failure.reason : undefined;
  }

  /**
   * Stops the other candidates until the memory of the victim is free. That takes milliseconds, in which they would reach the
   * limit, and the kernel would kill one of them too.
   *
   * @param present the pids in the victim's cgroup.
   */
  suspendOthers(
    state: CgroupState,
    victim: Victim,
    present: ReadonlySet<number>,
    now: number,
  ): void {
    if (state.policy.dryRun) return;
    const { pinned } = state;
    const others = (pinned.selection?.victims ?? []).filter((other) =>
      other !== victim && !other.isStopped &&
      !pinned.suspended.some((suspended) => suspended.victim === other) &&
      !pinned.kills.some((open) => open.victim === other)
    );
    const pidsByCgroup = new Map([[victim.scored.cgroup, present]]);
    const suspended = others.filter(({ scored: { cgroup }, cgroupFd, pid }) => {
      const pids = pidsByCgroup.get(cgroup) ?? pidsInCgroup(cgroupFd);
      pidsByCgroup.set(cgroup, pids);
      return pids.has(pid);
    }).map((other) => ({
      victim: other,
      record: suspendedProcess(other.cgroupFd.path, other.pid),
    }));
    if (suspended.length === 0) return;
    this.suspensions.begin(suspended.map(({ record }) => record));
    for (const each of suspended) send(each.victim.pidfd, SIGSTOP);
    pinned.suspended.push(...suspended);
    pinned.suspendedAt = now;
  }

  /** Reports that a victim did not exit, and forgets the kill. */
  markSurvived(state: CgroupState, open: PendingKill, reason: string): void {
    this.#reportKill(state, open, "survived", reason);
    state.pinned.kills = state.pinned.kills.filter((each) => each !== open);
  }

  /** Like {@link markSurvived}, and releases the victim: others are to be selected. */
  giveUp(state: CgroupState, open: PendingKill, reason: string): void {
    this.markSurvived(state, open, reason);
    this.#forget(state, open);
    this.replaceSelection(state, undefined);
  }

  /** Releases the victim unless it is pinned for something else. */
  #forget({ pinned }: CgroupState, open: PendingKill): void {
    const { victim } = open;
    pinned.kills = pinned.kills.filter((each) => each !== open);
    const isPinned = pinned.selection?.victims.includes(victim) ||
      pinned.suspended.some((suspended) => suspended.victim === victim);
    if (!isPinned) releaseVictim(victim);
  }

  /** Reports that it could not be signalled; another process was. It is not selected again while others are. */
  markRefused(
    state: CgroupState,
    now: number,
    killAction: KillAction,
    victim: Victim,
  ): void {
    const signal = state.policy.killSettings.graceMs > 0 ? SIGTERM : SIGKILL;
    const kill = describeKill(state, killAction, signal, performance.now() - now, victim);
    const open = { kill, stat: state.memory.stat, since: now, exitLatencyMs: undefined };
    this.#reportKill(state, open, "failed", state.actions.refused.get(victim.pid));
  }

  /** Reports that no process could be killed. */
  fail(
    state: CgroupState,
    now: number,
    killAction: KillAction,
    reason: string,
    candidates: readonly CandidateJson[],
  ): void {
    const signal = state.policy.killSettings.graceMs > 0 ? SIGTERM : SIGKILL;
    const kill = {
      ...describeKill(state, killAction, signal, performance.now() - now),
      candidates,
    };
    const open = { kill, stat: state.memory.stat, since: now, exitLatencyMs: undefined };
    this.#reportKill(state, open, "failed", reason);
  }

  /** Releases the selected victims, except those that are signalled or suspended. */
  replaceSelection(state: CgroupState, next: VictimSelection | undefined): void {
    const { pinned } = state;
    const kept = new Set([...pinned.kills, ...pinned.suspended].map(({ victim }) => victim));
    pinned.selection?.close((victim) => !kept.has(victim));
    pinned.selection = next;
  }

  /** Reports the outcome of all pending kills, resumes suspended processes, and releases the victims. Other selected victims stay. */
  finish(state: CgroupState, now: number): void {
    const { pinned } = state;
    const signalled = new Set(pinned.kills.map(({ victim }) => victim));
    this.#resume(state);
    for (const open of pinned.kills) {
      const hasSurvived = isAlive(open, now);
      if (hasSurvived && open.isOverdue) continue;
      this.#reportKill(state, open, hasSurvived ? "survived" : "killed");
    }
    pinned.kills = [];
    const { selection } = pinned;
    if (selection) {
      // Among several allocators the next kill may be due within a millisecond.
      selection.victims = selection.victims.filter((victim) => !signalled.has(victim));
      const pids = new Set([...signalled].map(({ pid }) => pid));
      selection.candidates = selection.candidates.filter(({ pid }) => !pids.has(pid));
      if (signalled.size > 0) selection.at = -Infinity;
    }
    signalled.forEach(releaseVictim);
    if (selection?.victims.length === 0) this.replaceSelection(state, undefined);
  }

  #resume({ pinned }: CgroupState): void {
    const suspended = pinned.suspended.splice(0);
    for (const { victim } of suspended) {
      send(victim.pidfd, SIGCONT);
      const isPinned = pinned.selection?.victims.includes(victim) ||
        pinned.kills.some((open) => open.victim === victim);
      if (!isPinned) releaseVictim(victim);
    }
    if (suspended.length > 0) this.suspensions.end(suspended.map(({ record }) => record));
  }

  #reportKill(
    state: CgroupState,
    { kill, stat, exitLatencyMs, since }: Pick<
      PendingKill,
      "kill" | "stat" | "exitLatencyMs" | "since"
    >,
    outcome: KillBody["outcome"],
    reason: string | null = null,
  ): void {
    const { usage } = state.memory;
    this.report({
      type: "kill",
      ...reportHead(state),
      stat,
      kill: {
        ...kill,
        usage_after: usage,
        outcome,
        reason,
        freed: outcome === "killed" ? Math.max(0, kill.usage_before - usage) : null,
        exit_ms: exitLatencyMs === undefined ? null : rounded(exitLatencyMs),
        freed_ms: exitLatencyMs === undefined ? null : rounded(performance.now() - since),
      },
    });
  }
}

/** Notes the exit when it is first seen. */
function isAlive(open: PendingKill, now: number): boolean {
  if (open.exitLatencyMs !== undefined) return false;
  const killScope = killScopeOf(open.victim, open.kill.action);
  const isOver = killScope
    ? isEmpty(killScope.cgroup, killScope.spared)
    : hasEnded(open.victim.pidfd);
  if (!isOver) return true;
  open.exitLatencyMs = now - open.since;
  return false;
}

function describeKill(
  { memory, settings, policy, decision: { killLevel }, pinned }: CgroupState,
  action: KillAction,
  signal: number,
  signalLatencyMs: number,
  victim?: Victim,
): PendingKill["kill"] {
  return {
    type: "action",
    action,
    level: killLevel,
    mode: settings.mode,
    dry_run: policy.dryRun,
    usage_before: memory.usage,
    limit: settings.limit,
    level_bytes: settings.levelBytes[killLevel],
    reason: null,
    signal: signal === SIGTERM ? "SIGTERM" : "SIGKILL",
    victim: victim?.scored ?? null,
    killed_cgroup: (victim && killScopeOf(victim, action)?.cgroup.path) ?? null,
    candidates: pinned.selection?.candidates ?? [],
    signal_ms: rounded(signalLatencyMs),
  };
}

/** Does not fail when the process is gone, or may not be signalled. */
function send(pidfd: Victim["pidfd"], signal: number): void {
  try {
    signalPidfd(pidfd, signal);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
  }
}
