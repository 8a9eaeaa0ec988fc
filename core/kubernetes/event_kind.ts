/**
 * Which events become Events of Kubernetes, and under which reason; the reasons are oom-guard's, but for the last.
 *
 * | reason | for |
 * | --- | --- |
 * | CgroupOOM | `oom`; `oom_kill`, unless the machine ran out |
 * | SystemOOM | `oom_kill` because the machine ran out |
 * | OomGuardKillProcess, OomGuardKillContainer | `action` of that name, if it died of it |
 * | OomGuardWarning | `level`; a `threshold` that was passed upwards; an `action` of any kind that failed or that was survived; `restored` that failed |
 *
 * Nothing else: what a dry run would do has not happened, a group kill's victims are told one by one, and how the guard gets
 * its notifications is no matter of the pod's.
 */

import type { OomkitEvent } from "../report/event.ts";

export interface EventKind {
  readonly reason: string;
  /** Within one reason on one object, what repeats each other. */
  readonly pattern: string;
}

export function kindOf(event: OomkitEvent): EventKind | undefined {
  switch (event.type) {
    case "oom":
      return { reason: "CgroupOOM", pattern: "oom" };
    case "oom_kill":
      return {
        reason: event.scope === "system" ? "SystemOOM" : "CgroupOOM",
        pattern: "oom_kill",
      };
    case "level_reached":
      return { reason: "OomGuardWarning", pattern: `level ${event.level}` };
    case "threshold":
      return event.direction === "above"
        ? { reason: "OomGuardWarning", pattern: `threshold ${event.threshold}` }
        : undefined;
    case "restored":
      return event.outcome === "failed"
        ? { reason: "OomGuardWarning", pattern: `restored ${event.file}` }
        : undefined;
    case "action": {
      const { action, outcome } = event;
      if (outcome === "failed" || outcome === "survived") {
        return { reason: "OomGuardWarning", pattern: `${action} ${outcome}` };
      }
      if (outcome !== "killed") return undefined;
      if (action === "container") return { reason: "OomGuardKillContainer", pattern: "killed" };
      if (action === "process") return { reason: "OomGuardKillProcess", pattern: "killed" };
      return undefined;
    }
    default:
      return undefined;
  }
}
