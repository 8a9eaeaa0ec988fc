/** What is kept of a pod: how to find it by its cgroup, whom an event about it is addressed to, and what rules choose by. */

import { asObject, type JsonObject } from "./failure.ts";

export interface Pod {
  /** As the API server has it. A static pod's cgroup has another one: `cgroupUid`. */
  readonly uid: string;
  /** In the names of its cgroups. */
  readonly cgroupUid: string;
  readonly name: string;
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
  /** By container id, those of the last run included. */
  readonly containers: ReadonlyMap<string, PodContainer>;
}

export interface PodContainer {
  readonly name: string;
  /** As the events of the kubelet name it: `spec.containers{NAME}`. */
  readonly fieldPath: string;
}

const CONTAINERS = [
  ["containerStatuses", "containers"],
  ["initContainerStatuses", "initContainers"],
  ["ephemeralContainerStatuses", "ephemeralContainers"],
] as const;

/**
 * The kubelet makes a static pod's uid out of its manifest, and shows the pod to the API server as a mirror with a uid of
 * its own; both annotations hold the first (kubelet/types, kubelet/pod/mirror_client.go).
 */
const CONFIG_HASH = "kubernetes.io/config.hash";
const CONFIG_MIRROR = "kubernetes.io/config.mirror";
const UID = /^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** `undefined` for what is no pod. */
export function readPod(object: unknown): Pod | undefined {
  const pod = asObject(object);
  const { uid, name, namespace, labels, annotations } = asObject(pod?.metadata) ?? {};
  if (typeof uid !== "string" || typeof name !== "string" || typeof namespace !== "string") {
    return undefined;
  }
  return {
    uid,
    cgroupUid: mirroredUid(asObject(annotations)) ?? uid,
    name,
    namespace,
    labels: new Map(
      Object.entries(asObject(labels) ?? {}).filter((each): each is [string, string] =>
        typeof each[1] === "string"
      ),
    ),
    containers: containersOf(asObject(pod?.status)),
  };
}

function mirroredUid(annotations: JsonObject | undefined): string | undefined {
  const hash = annotations?.[CONFIG_HASH];
  if (typeof hash !== "string" || !UID.test(hash)) return undefined;
  // The hash alone anybody may write on a pod; a mirror the kubelet takes for its own, and removes when it is not.
  return annotations?.[CONFIG_MIRROR] === hash ? hash : undefined;
}

function containersOf(status: JsonObject | undefined): Map<string, PodContainer> {
  const found = new Map<string, PodContainer>();
  for (const [list, field] of CONTAINERS) {
    const statuses = status?.[list];
    for (const each of Array.isArray(statuses) ? statuses : []) {
      const { name, containerID, lastState } = asObject(each) ?? {};
      if (typeof name !== "string") continue;
      const container = { name, fieldPath: `spec.${field}{${name}}` };
      // What was killed is soon the last run.
      const last = asObject(asObject(lastState)?.terminated)?.containerID;
      for (const id of [last, containerID]) {
        const bare = typeof id === "string" ? /:\/\/(.+)$/.exec(id)?.[1] : undefined;
        if (bare !== undefined) found.set(bare, container);
      }
    }
  }
  return found;
}

/** On which node it runs. */
export function nodeOf(object: unknown): unknown {
  return asObject(asObject(object)?.spec)?.nodeName;
}

export function sameLabels({ labels: one }: Pod, { labels: other }: Pod): boolean {
  return one.size === other.size && [...one].every(([key, value]) => other.get(key) === value);
}
