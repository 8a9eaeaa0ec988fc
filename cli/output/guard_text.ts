/** The facts of a guard's events, in words and figures. */

import type {
  ActionBody,
  ActionSkippedBody,
  GuardArmedBody,
  KillBody,
  LevelReachedBody,
  RestoredBody,
} from "../../core/events/event.ts";
import { isKillAction } from "../../core/policy/actions.ts";
import { formatBytes, formatDuration, formatPercent } from "../options/units.ts";
import { printable } from "./output.ts";

export function guardFacts(
  event: GuardArmedBody | LevelReachedBody | ActionSkippedBody | RestoredBody | ActionBody,
): string {
  switch (event.type) {
    case "guard_armed":
      return guardArmedFacts(event);
    case "level_reached": {
      const { level, metric_value, metric, limit, rate } = event;
      const what = metric === "usage" ? "usage" : "working set";
      const pace = rate !== null && rate > 0 ? `, rising by ${formatBytes(rate)}/s` : "";
      const share = `${formatPercent(100 * metric_value / limit)} of ${formatBytes(limit)}`;
      return `${level}: ${what} ${formatBytes(metric_value)} (${share})${pace}`;
    }
    case "action_skipped": {
      const usage = formatBytes(event.usage);
      return event.reason === "recovered"
        ? `no action: usage ${usage} is below ${formatBytes(event.level_bytes)} again`
        : `no action: the kernel can reclaim ${optionalBytes(event.reclaimable)} of ${usage}`;
    }
    case "restored":
      return printable(restoredFacts(event));
    case "action":
      return actionFacts(event) + (event.reason === null ? "" : printable(`: ${event.reason}`));
  }
}

function guardArmedFacts(event: GuardArmedBody): string {
  const { limit, limit_owner: owner, mode, actions, rule } = event;
  const levels = (["warn", "critical", "imminent"] as const).map((level) => {
    const list = actions[level].length === 0 ? "noop" : printable(actions[level].join(" "));
    return `${level} ${formatBytes(event[level])} ${list}`;
  });
  const ancestor = owner === null || ("cgroup" in event && owner === event.cgroup)
    ? ""
    : ` of ${printable(owner)}`;
  const dryRun = event.dry_run ? ", dry run" : "";
  const byRule = rule === null ? "" : `, rule "${printable(rule)}"`;
  return `limit ${formatBytes(limit)}${ancestor}, ${mode}${dryRun}: ${levels.join(", ")}${byRule}`;
}

function restoredFacts({ file, before, outcome, reason }: RestoredBody): string {
  switch (outcome) {
    case "restored":
      return `${file} restored to ${before}`;
    case "gone":
      return `${file} not restored: the cgroup was removed`;
    case "changed":
      return `${file} not restored: another process has changed it since`;
    case "failed":
      return `${file} could not be restored to ${before}: ${reason ?? "unknown"}`;
  }
}

function actionFacts(event: ActionBody): string {
  if (isKill(event)) return killFacts(event);
  const { level, outcome } = event;
  switch (event.action) {
    case "signal": {
      const { signal, count } = event;
      if (outcome === "failed") return `${signal} at ${level} was not sent`;
      const verb = outcome === "dry_run" ? "would be sent" : "sent";
      return `${signal} at ${level} ${verb} to ${count === 1 ? "1 process" : `${count} processes`}`;
    }
    case "reclaim":
      return outcome === "reclaimed"
        ? `reclaim at ${level}: freed ${optionalBytes(event.freed)} in ${
          optionalMs(event.freed_ms)
        }`
        : `reclaim at ${level} ${outcome === "dry_run" ? "would run" : "failed"}`;
    default: {
      const result = outcome === "dry_run" ? "would run" : outcome === "failed" ? "failed" : "ran";
      return `${event.action} at ${level} ${result}`;
    }
  }
}

const isKill = (event: ActionBody): event is KillBody => isKillAction(event.action);

function killFacts(event: KillBody): string {
  const { victim, killed_cgroup: killedCgroup, action, signal } = event;
  const first = victim === null ? action : `pid ${victim.pid} (${printable(victim.comm)})`;
  const what = killedCgroup === null ? first : `${first} and all of ${printable(killedCgroup)}`;
  const at = `at ${formatBytes(event.usage_before)} of ${formatBytes(event.limit)}`;
  switch (event.outcome) {
    case "killed":
      return `${what} killed by ${signal} ${at}: signalled in ${optionalMs(event.signal_ms)}, ` +
        `exited in ${optionalMs(event.exit_ms)}, ` +
        `freed ${formatBytes(event.freed ?? 0)} in ${optionalMs(event.freed_ms)}`;
    case "dry_run":
      return `${what} would be killed by ${signal} ${at}`;
    case "survived":
      return `${what} survived ${signal} ${at}`;
    case "failed":
      return `no ${action} could be killed ${at}`;
  }
}

const optionalBytes = (bytes: number | null | undefined) => formatBytes(bytes ?? undefined);
const optionalMs = (ms: number | null | undefined) => formatDuration(ms ?? undefined);
