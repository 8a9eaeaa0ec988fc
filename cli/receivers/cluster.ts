/** The Kubernetes cluster of this node: the labels of its pods, and a receiver that reports Events. */

import { OomkitError } from "../../core/errors.ts";
import type { Place } from "../../core/events/place.ts";
import { omitUndefined } from "../../core/omit_undefined.ts";
import type { Labels } from "../../core/policy/rules.ts";
import { KubernetesApi } from "../../core/receivers/kubernetes/api.ts";
import { PodWatcher } from "../../core/receivers/kubernetes/pods.ts";
import {
  KubernetesReceiver,
  type KubernetesReceiverOptions,
} from "../../core/receivers/kubernetes/receiver.ts";
import { nodeNameOf, type ReceiverFlags } from "../options/receivers.ts";
import { eventFacts } from "../output/event_text.ts";
import { printStderr } from "../output/output.ts";
import { USER_AGENT } from "../version.ts";

export type Cluster = ReturnType<typeof openCluster>;

/** Throws {@link OomkitError} when the node's name is not known, or the API server's address or files cannot be used. */
export function openCluster(flags: ReceiverFlags, podsChanged: () => void) {
  const node = nodeNameOf(flags);
  if (node === undefined) {
    throw new OomkitError(
      "cannot list the pods of this node: its name is not known",
      "give --node-name, or set NODE_NAME from spec.nodeName",
    );
  }
  const { kubernetesApi: url, kubernetesTokenFile: tokenFile, kubernetesCa: caFile } = flags;
  const api = new KubernetesApi({
    ...omitUndefined({ url, tokenFile, caFile }),
    userAgent: USER_AGENT,
    warn: printStderr,
  });
  const pods = new PodWatcher(api, node, { warn: printStderr, changed: podsChanged });
  return {
    /** By pod uid. */
    labels: (): Labels =>
      new Map(
        [...pods.all()].flatMap(({ uid, cgroupUid, labels }) =>
          [uid, cgroupUid].map((each) => [each, labels] as const)
        ),
      ),
    placeOf(podUid: string | null, containerId: string | null): Place {
      const pod = podUid === null ? undefined : pods.get(podUid);
      if (pod === undefined) return {};
      const container = pod.containers.get(containerId ?? "")?.name;
      return omitUndefined({ namespace: pod.namespace, pod: pod.name, container });
    },
    /** @param oomGuard writes events in oom-guard's format; absent for oomkit's own format. */
    openReceiver: (oomGuard: KubernetesReceiverOptions["oomGuard"], withWarn: boolean) =>
      new KubernetesReceiver({
        withWarn,
        api,
        pods,
        node,
        describe: eventFacts,
        warn: printStderr,
        ...(oomGuard ? { oomGuard } : {}),
      }),
    async close() {
      await pods.close();
      api.close();
    },
  };
}
