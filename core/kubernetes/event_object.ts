/** An Event of Kubernetes (core/v1) as the kubelet writes its own: with the fields that `kubectl describe` goes by. */

import type { JsonObject } from "./failure.ts";
import type { Pod } from "./pod.ts";

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
const MOST_NAME = 253;

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
      .slice(0, MOST_NAME - suffix.length)
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
