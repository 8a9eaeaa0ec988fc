/** A Kubernetes receiver with a test server, and events to report. */

import assert from "node:assert/strict";
import { KubernetesApi } from "../../core/receivers/kubernetes/api.ts";
import {
  KubernetesReceiver,
  type KubernetesReceiverOptions,
} from "../../core/receivers/kubernetes/receiver.ts";
import { PodWatcher } from "../../core/receivers/kubernetes/pods.ts";
import { type KillBody, makeEvent, type OomkitEvent } from "../../core/events/event.ts";
import { killBody } from "./guard_events.ts";
import type { KubernetesServer, Seen } from "./kubernetes_api.ts";
import { idOf, uidOf } from "./kubernetes_pod.ts";
import type { Json } from "./kubernetes_validation.ts";

const at = Date.parse("2026-01-02T03:04:05.678Z");

export const cgroupOf = (pod: number, container: number) =>
  `/kubepods/burstable/pod${uidOf(pod)}/${idOf(container)}`;

export const oomKill = (cgroup: string, scope: "cgroup" | "system" | null = "cgroup", later = 0) =>
  makeEvent(at + later, cgroup, "kmsg", {
    type: "oom_kill",
    victim: null,
    limit_owner: cgroup,
    limit: 64,
    scope,
    inferred: false,
  });

export const level = (
  cgroup: string,
  name: "warn" | "critical" | "imminent" = "critical",
  workingSet: number | null = null,
) =>
  makeEvent(at, cgroup, "eventfd", {
    type: "level_reached",
    level: name,
    usage: 60,
    metric_value: 60,
    metric: "usage",
    working_set: workingSet,
    level_bytes: 50,
    limit: 100,
    rate: null,
  });

export const action = (cgroup: string, changes: Partial<KillBody> = {}) => {
  const body = killBody({
    action: "container",
    victim: null,
    killed_cgroup: cgroup,
    candidates: [],
    usage_before: 206483456,
    limit: 209715200,
    level_bytes: 205520896,
    ...changes,
  });
  return { ...makeEvent(at, cgroup, "eventfd", body), ...body };
};

export interface ReceiverSetup {
  readonly lines: string[];
  readonly receiver: KubernetesReceiver;
  readonly pods: PodWatcher | undefined;
}

export type Options = Partial<KubernetesReceiverOptions> & { withPods?: boolean; timeout?: number };

export async function openReceiver(
  server: KubernetesServer,
  { withPods = true, timeout, limits, ...options }: Options = {},
): Promise<ReceiverSetup & AsyncDisposable> {
  const lines: string[] = [];
  const warn = (line: string) => void lines.push(line);
  const { url, tokenFile, caFile } = server;
  const api = new KubernetesApi({
    ...{ url, tokenFile, caFile, warn },
    ...(timeout !== undefined && { timeout }),
  });
  const pods = withPods
    ? new PodWatcher(api, "node-1", { warn: assert.fail, changed: () => {} })
    : undefined;
  await pods?.ready;
  const receiver = new KubernetesReceiver({
    api,
    ...(pods && { pods }),
    node: "node-1",
    describe: ({ type }) => `event ${type}`,
    warn,
    limits: { msBetweenPatches: 50, ...limits },
    ...options,
  });
  return {
    ...{ lines, receiver, pods },
    async [Symbol.asyncDispose]() {
      await receiver.close();
      await pods?.close();
      api.close();
    },
  };
}

export const isPost = ({ method }: Seen) => method === "POST";
export const isPatch = ({ method }: Seen) => method === "PATCH";
export const stored = (server: KubernetesServer): Json[] => [...server.events.values()];

export async function reportAll(
  server: KubernetesServer,
  events: OomkitEvent[],
  options: Options = {},
) {
  const { receiver, lines, ...rest } = await openReceiver(server, options);
  for (const event of events) receiver.report(event, "");
  await receiver.close();
  const counts = receiver.counts();
  await rest[Symbol.asyncDispose]();
  return { lines, counts, events: stored(server) };
}

export const node = { withPods: false };
