/** The events of a guard, from the reports of the monitor thread. */

import type { ActionBody, Body, LevelReachedBody } from "../events/event.ts";
import { actionText, mapActions, type ReportedAction } from "../policy/actions.ts";
import type { Level } from "../policy/levels.ts";
import type { GuardedCgroup } from "./registry.ts";
import type { KillReport, Report } from "./thread/protocol.ts";

type ReportOf<Type extends Report["type"]> = Extract<Report, { type: Type }>;

export function guardArmedEvent({ limitOwner, settings, policy }: GuardedCgroup): Body {
  return {
    type: "guard_armed",
    rule: policy.rule ?? null,
    limit: settings.limit,
    limit_owner: limitOwner.path,
    ...settings.levelBytes,
    metric: policy.metric,
    mode: settings.mode,
    actions: mapActions(policy.actions, actionText),
    dry_run: policy.dryRun,
  };
}

export function levelReachedEvent(
  { settings, policy: { metric } }: GuardedCgroup,
  { level, usage, metricValue, rate }: ReportOf<"level_reached">,
): LevelReachedBody {
  return {
    type: "level_reached",
    level,
    usage,
    metric_value: metricValue,
    metric,
    level_bytes: settings.levelBytes[level],
    limit: settings.limit,
    rate: rate === undefined ? null : Math.round(rate),
  };
}

export function actionSkippedEvent(
  { settings }: GuardedCgroup,
  { level, why, usage, reclaimable }: ReportOf<"action_skipped">,
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

export function killEvent(guarded: GuardedCgroup, { stat: _, ...kill }: KillReport): ActionBody {
  return actionEvent(guarded, kill.action, kill.level, kill.usage_before, kill);
}

export function reclaimedEvent(
  guarded: GuardedCgroup,
  { level, before, after, lasted }: ReportOf<"reclaimed">,
): ActionBody {
  const { dryRun } = guarded.policy;
  return actionEvent(guarded, "reclaim", level, before, {
    usage_after: after,
    outcome: dryRun ? "dry_run" : "reclaimed",
    freed: dryRun ? null : Math.max(0, before - after),
    freed_ms: rounded(lasted),
  });
}

/** The outcome of an action, and whatever else is known of it. */
export type ActionResult = ResultOf<ActionBody>;
type ResultOf<OneBody> = OneBody extends ActionBody ? Pick<OneBody, "outcome"> & Partial<OneBody>
  : never;

/** @param usage bytes, when the level was reached. */
export function actionEvent(
  { settings, policy }: GuardedCgroup,
  action: ReportedAction,
  level: Level,
  usage: number,
  result: ActionResult,
): ActionBody {
  return {
    type: "action",
    action,
    level,
    mode: settings.mode,
    dry_run: policy.dryRun,
    usage_before: usage,
    limit: settings.limit,
    level_bytes: settings.levelBytes[level],
    reason: null,
    ...result,
  } as ActionBody;
}

/** Milliseconds to microseconds. */
export const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;
