/** The reporter to Kubernetes beside a test server, and events to give it. */

import assert from "node:assert/strict";
import { openKubernetesApi } from "../core/kubernetes/api.ts";
import {
  type KubernetesReporterOptions,
  openKubernetesReporter,
} from "../core/kubernetes/events.ts";
import { openPods, type Pods } from "../core/kubernetes/pods.ts";
import { type ActionBody, makeEvent, type OomkitEvent } from "../core/report/event.ts";
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

export const level = (cgroup: string, name: "warn" | "critical" | "threshold" = "warn") =>
  makeEvent(at, cgroup, "eventfd", {
    type: "level",
    level: name,
    usage: 60,
    value: 60,
    base: "usage",
    threshold: 50,
    limit: 100,
    rate: null,
  });

export const action = (cgroup: string, changes: Partial<ActionBody> = {}) => {
  const body: ActionBody = {
    type: "action",
    action: "container",
    level: "threshold",
    mode: "notify",
    dry_run: false,
    signal: "SIGKILL",
    victim: null,
    container: cgroup,
    candidates: [],
    usage_before: 206483456,
    usage_after: null,
    limit: 209715200,
    threshold: 205520896,
    outcome: "died",
    reason: null,
    count: null,
    freed: null,
    struck_ms: null,
    died_ms: null,
    freed_ms: null,
    ...changes,
  };
  return { ...makeEvent(at, cgroup, "eventfd", body), ...body };
};

export interface Reporting {
  readonly lines: string[];
  readonly reporter: ReturnType<typeof openKubernetesReporter>;
  readonly pods: Pods | undefined;
}

export type Options = Partial<KubernetesReporterOptions> & { withPods?: boolean; timeout?: number };

export async function reporting(
  server: KubernetesServer,
  { withPods = true, timeout, ...options }: Options = {},
): Promise<Reporting & AsyncDisposable> {
  const lines: string[] = [];
  const complain = (line: string) => void lines.push(line);
  const { url, tokenFile, caFile } = server;
  const api = openKubernetesApi({
    ...{ url, tokenFile, caFile, complain },
    ...(timeout !== undefined && { timeout }),
  });
  const pods = withPods
    ? openPods(api, "node-1", { complain: assert.fail, changed: () => {} })
    : undefined;
  await pods?.ready;
  const reporter = openKubernetesReporter({
    api,
    ...(pods && { pods }),
    node: "node-1",
    describe: ({ type }) => `told of ${type}`,
    complain,
    patchEvery: 50,
    ...options,
  });
  return {
    ...{ lines, reporter, pods },
    async [Symbol.asyncDispose]() {
      await reporter.close();
      await pods?.close();
      api.close();
    },
  };
}

export const isPost = ({ method }: Seen) => method === "POST";
export const isPatch = ({ method }: Seen) => method === "PATCH";
export const stored = (server: KubernetesServer): Json[] => [...server.events.values()];

export async function told(server: KubernetesServer, events: OomkitEvent[], options: Options = {}) {
  const { reporter, lines, ...rest } = await reporting(server, options);
  for (const event of events) reporter.report(event, "");
  await reporter.close();
  const counts = reporter.counts();
  await rest[Symbol.asyncDispose]();
  return { lines, counts, events: stored(server) };
}

export const node = { withPods: false };
