/** Pods on a cluster, with real cgroups of their containers, and a guard of them with the rights of an overlay. */

import { join } from "node:path";
import type { EventStream } from "../helpers/event_stream.ts";
import { startGuarded } from "../helpers/guarded.ts";
import { idOf, podShape } from "../helpers/kubernetes_pod.ts";
import { makeRealCgroup, type RealCgroup } from "../helpers/real_cgroup.ts";
import { built, type Cluster, succeeded } from "./cluster.ts";

const NAMESPACE = "shop";
const NODE = "node-1";

export interface GuardedPod {
  readonly uid: string;
  readonly containers: readonly RealCgroup[];
}

export interface GuardedPods {
  readonly pods: readonly GuardedPod[];
  readonly guarded: EventStream;
  renewToken(): Promise<void>;
}

interface Shape {
  readonly pods: number;
  /** Of each pod. */
  readonly containers: number;
  /** Bytes, of each container. */
  readonly limit: number;
}

export async function withGuardedPods(
  cluster: Cluster,
  shape: Shape,
  use: (pods: GuardedPods) => Promise<void>,
): Promise<void> {
  const objects = await built(cluster, "resources: [kubernetes/overlays/v1-hold]\n");
  await succeeded(cluster.kubectl(["apply"], objects));
  const uids = await createPods(cluster, shape);
  await using parent = makeRealCgroup("kubepods");
  const pods = uids.map((uid, pod) => {
    const cgroup = parent.child(`pod${uid}`);
    const containers = idsOf(shape, pod).map((id) => {
      const container = cgroup.child(id);
      container.limit(shape.limit);
      return container;
    });
    return { uid, containers };
  });
  const tokenFile = join(cluster.directory, "token");
  const renewToken = async () => {
    const token = ["create", "token", "oomkit", "--namespace", "kube-system"];
    Deno.writeTextFileSync(tokenFile, (await succeeded(cluster.kubectl(token))).trim());
  };
  await renewToken();
  await using guarded = await startGuarded([
    ...["-r", "--policy", "process", "--kubernetes-events", "--kubernetes-api", cluster.url],
    ...["--kubernetes-token-file", tokenFile, "--kubernetes-ca", cluster.caFile],
    ...["--node-name", NODE, parent.path],
  ]);
  await use({ pods, guarded, renewToken });
  await guarded.stop();
}

/** Unique on the node. */
const idsOf = ({ containers }: Shape, pod: number): string[] =>
  Array.from({ length: containers }, (_, at) => idOf(1 + pod * containers + at));

/** Pods that run, as a kubelet would report them. @returns their uids. */
async function createPods({ kubectl }: Cluster, shape: Shape): Promise<string[]> {
  await succeeded(kubectl(["create", "namespace", NAMESPACE]));
  const image = "registry.test/image:1";
  const uids: string[] = [];
  for (let pod = 0; pod < shape.pods; pod++) {
    const name = `web-${pod}`;
    const names = Object.fromEntries(idsOf(shape, pod).map((id, at) => [id, `app-${at + 1}`]));
    const object = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: NAMESPACE },
      spec: { nodeName: NODE, containers: Object.values(names).map((name) => ({ name, image })) },
    };
    const uid = ["-o", "jsonpath={.metadata.uid}"];
    uids.push(await succeeded(kubectl(["create", ...uid], JSON.stringify(object))));
    const { status } = podShape({ containers: names });
    const patch = ["patch", "pod", name, "--namespace", NAMESPACE, "--subresource=status"];
    await succeeded(kubectl([...patch, "--type=merge", "--patch", JSON.stringify({ status })]));
  }
  return uids;
}

/** The Events of the pods. */
// deno-lint-ignore no-explicit-any
export async function eventsOf({ kubectl }: Cluster): Promise<any[]> {
  const get = ["get", "events", "--namespace", NAMESPACE, "--output=json"];
  return JSON.parse(await succeeded(kubectl(get))).items;
}
