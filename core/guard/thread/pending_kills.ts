/** What was struck, until it is known what became of it. */

import { pidsInCgroup } from "../../cgroup/pids.ts";
import { suspendedProcess, type SuspensionLog } from "../../control/suspension_log.ts";
import { isEmpty, killCgroup, SIGCONT, SIGKILL, SIGSTOP, SIGTERM } from "../../control/kill.ts";
import { SystemCallError } from "../../kernel/libc.ts";
import { hasEnded, releaseMemory, signalPidfd } from "../../kernel/process.ts";
import { releaseVictim, type Victim } from "./victims.ts";
import { excludedPids, killScopeOf } from "./victims.ts";
import type { KillReport, Report, ScoredProcess } from "./protocol.ts";
import type { KillAction } from "../../policy/actions.ts";
import { type CgroupState, type PendingKill, reportHead } from "./cgroup_state.ts";

export interface PendingKills {
  /** @param struckAfter milliseconds since `now`. */
  open(
    state: CgroupState,
    now: number,
    victim: Victim,
    killAction: KillAction,
    signal: number,
    signalLatencyMs: number,
  ): void;
  isAlive(state: CgroupState, open: PendingKill, now: number): boolean;
  /** Strikes what has not died yet once more, where that helps, and lets those go on that were paused for long enough. */
  repeatKill(state: CgroupState, now: number): void;
  /**
   * Stops who allocates beside the victim, until its memory is free: it takes milliseconds, in which they would meet the
   * limit, and the kernel would take one of them too.
   *
   * @param present the pids that are in the victim's cgroup.
   */
  suspendOthers(
    state: CgroupState,
    victim: Victim,
    present: ReadonlySet<number>,
    now: number,
  ): void;
  /** Tells that it did not work. */
  markSurvived(state: CgroupState, open: PendingKill, reason: string): void;
  /** Tells that nobody could be struck. */
  fail(
    state: CgroupState,
    now: number,
    killAction: KillAction,
    why: { readonly reason: string; readonly candidates: readonly ScoredProcess[] },
  ): void;
  /** Lets go of the aim; what is struck stays held until it is told of. */
  dropSelection(state: CgroupState): void;
  /** Tells of everything that is open, and lets go of it. The aim at the others stays. */
  cancel(state: CgroupState, now: number): void;
}

/** Rounds over a cgroup that does not get empty before its processes are stopped first. */
const ROUNDS_BEFORE_FREEZE = 2;
/** A gigabyte is free after 50 ms. */
const MAX_SUSPENSION_MS = 200;

export function createPendingKills(
  report: (message: Report) => void,
  suspensions: SuspensionLog,
): PendingKills {
  const isAlive = (state: CgroupState, open: PendingKill, now: number): boolean => {
    if (open.exitLatencyMs !== undefined) return false;
    const killScope = killScopeOf(open.victim, open.kill.killAction);
    const isOver = killScope
      ? isEmpty(killScope, excludedPids(open.victim, open.kill.killAction, state.policy))
      : hasEnded(open.victim.pidfd);
    if (!isOver) return true;
    open.exitLatencyMs = now - open.since;
    return false;
  };

  const resume = (state: CgroupState) => {
    const suspended = state.suspended.splice(0);
    for (const { victim } of suspended) {
      send(victim.pidfd, SIGCONT);
      const isHeld = state.selection?.victims.includes(victim) ||
        state.pendingKills.some((open) => open.victim === victim);
      if (!isHeld) releaseVictim(victim);
    }
    if (suspended.length > 0) suspensions.end(suspended.map(({ record }) => record));
  };

  const describeKill = (
    state: CgroupState,
    killAction: KillAction,
    rest: Pick<KillReport, "signal" | "victim" | "killedCgroup" | "signalLatencyMs">,
  ): PendingKill["kill"] => {
    const { level } = state.killCycle!;
    return {
      killAction,
      level,
      candidates: state.selection?.candidates ?? [],
      before: state.usage,
      limit: state.settings.limit,
      levelBytes: state.settings.levelBytes[level],
      stat: state.stat,
      ...rest,
    };
  };

  const reportKill = (
    state: CgroupState,
    open: PendingKill,
    outcome: KillReport["outcome"],
    reason?: string,
  ) => {
    const { kill, exitLatencyMs } = open;
    const freeLatencyMs = exitLatencyMs === undefined ? undefined : performance.now() - open.since;
    const rest = { after: state.usage, exitLatencyMs, freeLatencyMs, outcome, reason };
    report({ type: "kill", ...reportHead(state), kill: { ...kill, ...rest } });
  };

  const dropSelection = (state: CgroupState) => {
    const kept = new Set([...state.pendingKills, ...state.suspended].map(({ victim }) => victim));
    state.selection?.close((victim) => !kept.has(victim));
    state.selection = undefined;
  };

  return {
    isAlive,
    dropSelection,
    open(state, now, victim, killAction, signal, signalLatencyMs) {
      const open: PendingKill = {
        victim,
        since: now,
        kill: describeKill(state, killAction, {
          signal: nameOf(signal),
          victim: victim.scored,
          killedCgroup: killScopeOf(victim, killAction)?.path,
          signalLatencyMs,
        }),
        rounds: 1,
        exitLatencyMs: undefined,
      };
      state.pendingKills.push(open);
      if (!state.policy.dryRun) {
        if (signal === SIGKILL) releaseMemory(victim.pidfd);
        return;
      }
      reportKill(state, open, "dry_run");
      state.pendingKills = [];
      state.killCycle = undefined;
      releaseVictim(victim);
      state.selection?.close((each) => each !== victim);
      state.selection = undefined;
    },

    repeatKill(state, now) {
      if (state.suspended.length > 0 && now - state.suspendedAt > MAX_SUSPENSION_MS) resume(state);
      const last = state.pendingKills.at(-1);
      const killScope = last && killScopeOf(last.victim, last.kill.killAction);
      if (!last || !killScope || last.kill.signal === "SIGTERM" || !isAlive(state, last, now)) {
        return;
      }
      last.rounds += 1;
      const excluded = excludedPids(last.victim, last.kill.killAction, state.policy);
      killCgroup(
        killScope,
        SIGKILL,
        false,
        excluded,
        last.rounds > ROUNDS_BEFORE_FREEZE && suspensions,
      );
    },

    suspendOthers(state, victim, present, now) {
      if (state.policy.dryRun) return;
      const others = (state.selection?.victims ?? []).filter((victim) =>
        victim !== victim && !victim.isStopped && !state.suspended.some((suspended) =>
          suspended.victim === victim
        ) &&
        !state.pendingKills.some((open) => open.victim === victim)
      );
      const homes = new Map([[victim.scored.cgroup, present]]);
      const meant = others.filter((victim) => {
        const { cgroup } = victim.scored;
        const pids = homes.get(cgroup) ?? pidsInCgroup(victim.cgroupFd);
        homes.set(cgroup, pids);
        return pids.has(victim.pid);
      }).map((victim) => ({
        victim,
        record: suspendedProcess(victim.cgroupFd.path, victim.pid),
      }));
      if (meant.length === 0) return;
      suspensions.begin(meant.map(({ record }) => record));
      for (const each of meant) send(each.victim.pidfd, SIGSTOP);
      state.suspended.push(...meant);
      state.suspendedAt = now;
    },

    markSurvived(state, open, reason) {
      reportKill(state, open, "survived", reason);
      state.pendingKills = state.pendingKills.filter((each) => each !== open);
    },

    fail(state, now, killAction, why) {
      const kill = describeKill(state, killAction, {
        signal: nameOf(state.policy.timeouts.graceMs > 0 ? SIGTERM : SIGKILL),
        victim: undefined,
        killedCgroup: undefined,
        signalLatencyMs: performance.now() - now,
      });
      const rest = { after: state.usage, exitLatencyMs: undefined, freeLatencyMs: undefined };
      report({
        type: "kill",
        ...reportHead(state),
        kill: { ...kill, ...rest, outcome: "failed", ...why },
      });
    },

    cancel(state, now) {
      const signalled = new Set(state.pendingKills.map(({ victim }) => victim));
      resume(state);
      for (const open of state.pendingKills) {
        reportKill(state, open, isAlive(state, open, now) ? "survived" : "killed");
      }
      state.pendingKills = [];
      const { selection } = state;
      if (selection) {
        // Of several allocators the next one is due within a millisecond.
        selection.victims = selection.victims.filter((victim) => !signalled.has(victim));
        const pids = new Set([...signalled].map(({ pid }) => pid));
        selection.candidates = selection.candidates.filter(({ pid }) => !pids.has(pid));
        if (signalled.size > 0) selection.at = -Infinity;
      }
      signalled.forEach(releaseVictim);
      if (selection?.victims.length === 0) dropSelection(state);
    },
  };
}

/** TypeScript's own `Pick`; that name is taken here. */
type Pick<T, K extends keyof T> = { readonly [P in K]: T[P] };

const nameOf = (signal: number) => signal === SIGTERM ? "SIGTERM" : "SIGKILL";

/** False when it is gone, or may not be signalled. */
function send(pidfd: Victim["pidfd"], signal: number): boolean {
  try {
    return signalPidfd(pidfd, signal);
  } catch (error) {
    if (error instanceof SystemCallError) return false;
    throw error;
  }
}
