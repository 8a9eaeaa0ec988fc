/** What a guard tells, in words and figures. */

import type { ActionBody, OomkitEvent } from "../../core/events/event.ts";
import { printable } from "./output.ts";
import { formatBytes, formatDuration, formatPercent } from "../options/units.ts";

type GuardEvent = Extract<
  OomkitEvent,
  { type: "guard_armed" | "level_reached" | "action" | "action_skipped" | "restored" }
>;

export function guardFacts(event: GuardEvent): string {
  switch (event.type) {
    case "guard_armed":
      return guardingFacts(event);
    case "level_reached": {
      const { level, metric_value: value, metric, limit, rate } = event;
      const what = metric === "usage" ? "usage" : "working set";
      const pace = rate !== null && rate > 0 ? `, rising by ${formatBytes(rate)}/s` : "";
      const share = formatPercent(100 * value / limit);
      return `${level}: ${what} ${formatBytes(value)} (${share} of ${formatBytes(limit)})${pace}`;
    }
    case "action_skipped": {
      const { reason: why, usage, reclaimable, level_bytes: imminent } = event;
      return why === "recovered"
        ? `let go: usage ${formatBytes(usage)} is below ${formatBytes(imminent)} again`
        : `let go: the kernel can take back ${formatBytes(reclaimable ?? undefined)} of ${
          formatBytes(usage)
        } by itself`;
    }
    case "restored": {
      const { file, before, outcome, reason } = event;
      const how = {
        restored: `${file} is ${before} again`,
        gone: `${file}: the cgroup is gone`,
        left: `${file}: somebody has changed it since, so it stays`,
        failed: `${file} could not be set to ${before} again: ${reason ?? "unknown"}`,
      };
      return printable(how[outcome]);
    }
    case "action":
      return actionFacts(event);
  }
}

function guardingFacts(event: Extract<GuardEvent, { type: "guard_armed" }>): string {
  const { limit, limit_owner: owner, cgroup, warn, critical, imminent, mode, actions } = event;
  const whose = owner === null || owner === cgroup ? "" : ` of ${printable(owner)}`;
  const level = (name: "warn" | "critical" | "imminent", bytes: number) => {
    const list = actions[name].length === 0 ? "noop" : printable(actions[name].join(" "));
    return `${name} ${formatBytes(bytes)} ${list}`;
  };
  const dry = event.dry_run ? ", dry run" : "";
  const rule = event.rule === null ? "" : `, by the rule "${printable(event.rule)}"`;
  return `limit ${formatBytes(limit)}${whose}, ${mode}${dry}: ${level("warn", warn)}, ${
    level("critical", critical)
  }, ${level("imminent", imminent)}${rule}`;
}

function actionFacts(event: ActionBody): string {
  const { action, outcome, reason, level } = event;
  const why = reason === null ? "" : printable(`: ${reason}`);
  switch (action) {
    case "signal":
      return outcome === "failed"
        ? `${event.signal} at ${level} was not sent${why}`
        : `${event.signal} at ${level} ${outcome === "dry_run" ? "would go" : "sent"} to ${
          processes(event.count ?? 0)
        }${why}`;
    case "reclaim":
      return outcome === "reclaimed"
        ? `reclaim at ${level}: ${formatBytes(event.freed ?? 0)} given back in ${
          formatDuration(event.freed_ms ?? undefined)
        }`
        : `reclaim at ${level} ${outcome === "dry_run" ? "would be asked for" : "failed"}${why}`;
    case "exec":
      return `hook at ${level} ${
        outcome === "ok" ? "ran" : outcome === "dry_run" ? "would run" : outcome
      }${why}`;
    default:
      return blowFacts(event) + why;
  }
}

const processes = (count: number) => count === 1 ? "1 process" : `${count} processes`;

function blowFacts(event: ActionBody): string {
  const { victim, killed_cgroup: container, action, outcome, signal } = event;
  const who = victim === null ? action : `pid ${victim.pid} (${printable(victim.comm)})`;
  const what = container === null ? who : `${who} and all of ${printable(container)}`;
  const before = `at ${formatBytes(event.usage_before)} of ${formatBytes(event.limit)}`;
  const ms = (value: number | null) => formatDuration(value ?? undefined);
  switch (outcome) {
    case "killed":
      return `${what} ended by ${signal} ${before}: struck after ${
        ms(event.signal_ms)
      }, dead after ${ms(event.exit_ms)}, ${formatBytes(event.freed ?? 0)} free after ${
        ms(event.freed_ms)
      }`;
    case "dry_run":
      return `${what} would be ended by ${signal} ${before}`;
    case "survived":
      return `${what} lives in spite of ${signal} ${before}`;
    default:
      return `no ${action} could be ended ${before}`;
  }
}
