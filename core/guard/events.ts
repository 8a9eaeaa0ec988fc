/** From what the sentry says to events. */

import type { Body, CandidateJson as ToldWeighed } from "../events/event.ts";
import type { KillReport, Report, ScoredProcess } from "./thread/protocol.ts";
import type { Action } from "./policy.ts";
import type { GuardedCgroup } from "./registry.ts";

type Of<Say extends Report["type"]> = Extract<Report, { type: Say }>;

export function guardArmedEvent({ limitOwner, settings, policy }: GuardedCgroup): Body {
  const { warn, critical, imminent } = policy.actions;
  return {
    type: "guard_armed",
    rule: policy.rule ?? null,
    limit: settings.limit,
    limit_owner: limitOwner.path,
    ...settings.levelBytes,
    metric: policy.metric,
    mode: settings.mode,
    actions: {
      warn: warn.map(actionText),
      critical: critical.map(actionText),
      imminent: imminent.map(actionText),
    },
    dry_run: policy.dryRun,
  };
}

export function actionText(action: Action): string {
  switch (action.kind) {
    case "signal":
      return `signal:${action.signal}`;
    case "exec":
      return `exec:${action.command}`;
    default:
      return action.kind;
  }
}

export function levelReachedEvent(
  { settings, policy: { metric } }: GuardedCgroup,
  said: Of<"level_reached">,
): Body {
  const { level, usage, metricValue: value, rate } = said;
  return {
    type: "level_reached",
    level,
    usage,
    metric_value: value,
    metric,
    level_bytes: settings.levelBytes[level],
    limit: settings.limit,
    rate: rate === undefined ? null : Math.round(rate),
  };
}

export function actionSkippedEvent(
  { settings }: GuardedCgroup,
  { level, why, usage, reclaimable }: Of<"action_skipped">,
): Body {
  return {
    type: "action_skipped",
    level,
    reason: why,
    usage,
    reclaimable: reclaimable ?? null,
    limit: settings.limit,
    level_bytes: settings.levelBytes[level],
  };
}

export function killEvent({ settings, policy: { dryRun } }: GuardedCgroup, kill: KillReport): Body {
  const { before, after } = kill;
  return {
    type: "action",
    action: kill.killAction,
    level: kill.level,
    mode: settings.mode,
    dry_run: dryRun,
    signal: kill.signal,
    victim: kill.victim ? toJsonCandidate(kill.victim) : null,
    killed_cgroup: kill.killedCgroup ?? null,
    candidates: kill.candidates.map(toJsonCandidate),
    usage_before: before,
    usage_after: after ?? null,
    limit: kill.limit,
    level_bytes: kill.levelBytes,
    outcome: kill.outcome,
    reason: kill.reason ?? null,
    freed: kill.outcome === "killed" && after !== undefined ? Math.max(0, before - after) : null,
    signal_ms: rounded(kill.signalLatencyMs),
    exit_ms: rounded(kill.exitLatencyMs),
    freed_ms: rounded(kill.freeLatencyMs),
  };
}

export function reclaimedEvent(
  { settings, policy: { dryRun } }: GuardedCgroup,
  said: Of<"reclaimed">,
): Body {
  const { level, before, after, lasted } = said;
  return {
    type: "action",
    action: "reclaim",
    reason: null,
    level,
    mode: settings.mode,
    dry_run: dryRun,
    usage_before: before,
    usage_after: after,
    limit: settings.limit,
    level_bytes: settings.levelBytes[level],
    outcome: dryRun ? "dry_run" : "reclaimed",
    freed: dryRun ? null : Math.max(0, before - after),
    freed_ms: rounded(lasted),
  };
}

export function toJsonCandidate(
  { rss, oomScoreAdj, preferenceReason, ...rest }: ScoredProcess,
): ToldWeighed {
  const { pid, comm, cmdline, cgroup, badness, preference } = rest;
  return {
    pid,
    comm,
    cmdline,
    cgroup,
    rss: rss ?? null,
    oom_score_adj: oomScoreAdj ?? null,
    badness,
    preference,
    preference_reason: preferenceReason ?? null,
  };
}

const rounded = (ms: number | undefined) => ms === undefined ? null : Math.round(ms * 1000) / 1000;
