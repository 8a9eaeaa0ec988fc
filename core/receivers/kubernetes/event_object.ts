/**
 * Kubernetes Events (core/v1): which of oomkit's events become one, under which reason, and the object as the kubelet writes
 * its own, with the fields that `kubectl describe` selects by. The reasons are oom-guard's, except SystemOOM.
 *
 * | reason | for |
 * | --- | --- |
 * | CgroupOOM | `oom`; `oom_kill`, unless the machine ran out of memory |
 * | SystemOOM | `oom_kill` because the machine ran out of memory |
 * | OomGuardKillProcess, OomGuardKillContainer | `action` of that name with the outcome `killed` |
 * | OomGuardWarning | `level_reached`, except `warn` and what the working set does not reach; a `threshold` crossed upwards; an `action` with the outcome `failed` or `survived`; `restored` that failed |
 *
 * Nothing else becomes an Event: a dry run changes nothing, the victims of a group kill have one event each, and the guard's
 * own mechanisms do not concern the pod.
 */

import type { EventOf, EventType, OomkitEvent } from "../../events/event.ts";
import { ACTIONS } from "../../policy/actions.ts";
import type { JsonObject } from "./json.ts";
import type { Pod } from "./pods.ts";

export interface EventKind {
  readonly reason: string;
  /** Events of one reason and pattern on one object repeat each other. */
  readonly pattern: string;
}

const warning = (pattern: string): EventKind => ({ reason: "OomGuardWarning", pattern });

/** The types that can become an Event. */
export const KUBERNETES_EVENT_TYPES = [
  "oom",
  "oom_kill",
  "action",
  "level_reached",
  "threshold",
  "restored",
] as const satisfies readonly EventType[];

/** @param withWarn the level `warn` is one, too. */
export function kindOf(event: OomkitEvent, withWarn = false): EventKind | undefined {
  switch (event.type) {
    case "oom":
      return { reason: "CgroupOOM", pattern: "oom" };
    case "oom_kill":
      return { reason: event.scope === "system" ? "SystemOOM" : "CgroupOOM", pattern: "oom_kill" };
    case "level_reached":
      return isReportable(event, withWarn) ? warning(`level ${event.level}`) : undefined;
    case "threshold":
      return event.direction === "above" ? warning(`threshold ${event.threshold}`) : undefined;
    case "restored":
      return event.outcome === "failed" ? warning(`restored ${event.file}`) : undefined;
    case "action": {
      const { action, outcome } = event;
      if (outcome === "failed" || outcome === "survived") return warning(`${action} ${outcome}`);
      if (event.outcome !== "killed") return undefined;
      return { reason: `OomGuardKill${ACTIONS[event.action].oomGuardName}`, pattern: "killed" };
    }
  }
  return undefined;
}

/** Many pods live at the warn level, and page cache above a level is dropped by the kernel. */
function isReportable(
  { level, working_set: used, level_bytes: bytes }: EventOf<"level_reached">,
  withWarn: boolean,
) {
  return (withWarn || level !== "warn") && (used === undefined || used === null || used >= bytes);
}

/** What an Event is about. */
export interface Involved {
  /** Of the Event itself. */
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
      // For a mirror pod kubectl selects by the uid that the kubelet uses (kubectl/pkg/describe).
      uid: pod.cgroupUid,
      ...(fieldPath !== undefined && { fieldPath }),
    },
  };
}

/** As the kubelet refers to its node: Events of cluster-wide objects are in `default`, and the uid is the name. */
export function nodeObject(node: string): Involved {
  return {
    namespace: "default",
    object: { kind: "Node", apiVersion: "v1", name: node, uid: node },
  };
}

export interface EventContent {
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  /** RFC 3339 with whole seconds. */
  readonly first: string;
  readonly last: string;
}

/**
 * Without `eventTime`, like the kubelet's: with it the server also requires an `action`, and limits the message to 1024 bytes
 * (pkg/apis/core/validation/events.go).
 */
export function eventObject(
  name: string,
  { namespace, object }: Involved,
  { reason, message, count, first, last }: EventContent,
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

/** Of a DNS-1123 subdomain. */
const MAX_NAME_CHARACTERS = 253;

/** Returns a generator of unique names like client-go's: `OBJECT.HEX`, where HEX is nanoseconds since the epoch. */
export function eventNames(): (object: string) => string {
  let before = 0n;
  return (object) => {
    const now = BigInt(Date.now()) * 1_000_000n + BigInt(Math.floor(Math.random() * 1e6));
    before = now > before ? now : before + 1n;
    const suffix = `.${before.toString(16)}`;
    const stem = object.toLowerCase().replace(/[^a-z0-9.-]/g, "-")
      .slice(0, MAX_NAME_CHARACTERS - suffix.length)
      .split(".").map((label) => label.replace(/^-+|-+$/g, "")).filter((label) => label !== "");
    return (stem.join(".") || "oomkit") + suffix;
  };
}

/** One line of at most `maxBytes` bytes of UTF-8. */
export function fitMessage(text: string, maxBytes: number): string {
  const line = text.toWellFormed().replace(/[\p{Cc}\u2028\u2029]+/gu, " ").trim();
  const encoder = new TextEncoder();
  if (encoder.encode(line).length <= maxBytes) return line;
  const room = new Uint8Array(maxBytes - encoder.encode("…").length);
  return `${line.slice(0, encoder.encodeInto(line, room).read)}…`;
}

/** Timestamps of Events have whole seconds. @param ts RFC 3339 in UTC. */
export function wholeSeconds(ts: string): string {
  return ts.replace(/\.\d+Z$/, "Z");
}
