/** A pod as in the API server: the fields that oomkit reads, and some others. */

import type { Json } from "./kubernetes_validation.ts";

export interface PodShape {
  readonly uid?: string;
  readonly name?: string;
  readonly namespace?: string;
  readonly node?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Names by container id. */
  readonly containers?: Readonly<Record<string, string>>;
  readonly initContainers?: Readonly<Record<string, string>>;
  /** Of the first container's last run. */
  readonly lastId?: string;
}

/** @param at the last digit of its uid. */
export const uidOf = (at: number) => `3d6329e5-455f-41e9-a7e5-${at.toString(16).padStart(12, "0")}`;

export const idOf = (at: number) => at.toString(16).padStart(64, "0");

export function podShape(shape: PodShape = {}): Json {
  const { uid = uidOf(1), name = "web-0", namespace = "shop", node = "node-1" } = shape;
  const { labels, annotations, containers = {}, initContainers = {}, lastId } = shape;
  const statuses = (names: Readonly<Record<string, string>>, last?: string) =>
    Object.entries(names).map(([id, name]) => ({
      name,
      containerID: `containerd://${id}`,
      image: "registry.test/image:1",
      lastState: last === undefined ? {} : {
        terminated: { exitCode: 137, reason: "OOMKilled", containerID: `containerd://${last}` },
      },
      state: { running: { startedAt: "2026-01-01T00:00:00Z" } },
    }));
  return {
    metadata: {
      uid,
      name,
      namespace,
      labels,
      annotations,
      managedFields: [{ manager: "kubelet" }],
    },
    spec: { nodeName: node, containers: Object.values(containers).map((name) => ({ name })) },
    status: {
      phase: "Running",
      containerStatuses: statuses(containers, lastId),
      initContainerStatuses: statuses(initContainers),
    },
  };
}
