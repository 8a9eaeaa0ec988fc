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

import type { OomkitEvent } from "../../events/event.ts";
import { ACTIONS, isKillAction } from "../../policy/actions.ts";
import type { JsonObject } from "./api.ts";
import type { Pod } from "./pods.ts";

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
      if (outcome !== "killed" || !isKillAction(action)) return undefined;
      return { reason: `OomGuardKill${ACTIONS[action].oomGuardName}`, pattern: "killed" };
    }
    default:
      return undefined;
  }
}

/* An Event of Kubernetes (core/v1) as the kubelet writes its own: with the fields that `kubectl describe` goes by. */

/** What an Event is about. */
export interface Involved {
  /** Where the Event itself belongs. */
  readonly namespace: string;
  readonly object: JsonObject & { readonly name: string };
}

/** @param fieldPath of the container; absent: the pod as a whole. */
export function podObject(pod: Pod, fieldPath?: string): Involved {
  return {
    namespace: pod.namespace,
    object: {
      kind: "Pod",
      apiVersion: "v1",
      namespace: pod.namespace,
      name: pod.name,
      // For a mirror pod kubectl looks for the uid that the kubelet uses (kubectl/pkg/describe).
      uid: pod.cgroupUid,
      ...(fieldPath !== undefined && { fieldPath }),
    },
  };
}

/** As the kubelet refers to its node: what has no namespace is told of in `default`, and the uid is the name. */
export function nodeObject(node: string): Involved {
  return {
    namespace: "default",
    object: { kind: "Node", apiVersion: "v1", name: node, uid: node },
  };
}

export interface Happening {
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  /** RFC 3339 with seconds. */
  readonly first: string;
  readonly last: string;
}

/**
 * Without `eventTime`, as the kubelet's: with it a server also wants an `action`, and takes no message of more than 1024 bytes
 * (pkg/apis/core/validation/events.go).
 */
export function eventObject(
  name: string,
  { namespace, object }: Involved,
  { reason, message, count, first, last }: Happening,
  component: string,
  host: string,
): JsonObject {
  return {
    kind: "Event",
    apiVersion: "v1",
    metadata: { name, namespace },
    involvedObject: object,
    reason,
    message,
    type: "Warning",
    count,
    firstTimestamp: first,
    lastTimestamp: last,
    source: { component, host },
    reportingComponent: component,
    reportingInstance: host.slice(0, 128),
  };
}

/** Longest of a DNS-1123 subdomain. */
const MAX_NAME = 253;

/**
 * Makes names as client-go does, `OBJECT.HEX`, the number being nanoseconds since the epoch; no two are the same.
 * @param now nanoseconds.
 */
export function makeNaming(now: () => bigint): (object: string) => string {
  let before = 0n;
  return (object) => {
    const at = now();
    before = at > before ? at : before + 1n;
    const suffix = `.${before.toString(16)}`;
    const stem = object.toLowerCase().replace(/[^a-z0-9.-]/g, "-")
      .slice(0, MAX_NAME - suffix.length)
      .split(".").map((label) => label.replace(/^-+|-+$/g, "")).filter((label) => label !== "");
    return (stem.join(".") || "oomkit") + suffix;
  };
}

/** One line of at most so many bytes of UTF-8. */
export function fitMessage(text: string, most: number): string {
  const line = text.toWellFormed().replace(/[\p{Cc}\u2028\u2029]+/gu, " ").trim();
  const encoder = new TextEncoder();
  if (encoder.encode(line).length <= most) return line;
  const room = most - encoder.encode("…").length;
  let used = 0;
  let kept = "";
  for (const character of line) {
    used += encoder.encode(character).length;
    if (used > room) break;
    kept += character;
  }
  return `${kept}…`;
}

/** Timestamps of Events are whole seconds. @param ts RFC 3339 in UTC. */
export function wholeSeconds(ts: string): string {
  return ts.replace(/\.\d+Z$/, "Z");
}
