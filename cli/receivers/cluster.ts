/** The cluster that this node belongs to: which pod is which, and its own events. */

import { OomkitError } from "../../core/errors.ts";
import { openKubernetesApi } from "../../core/receivers/kubernetes/api.ts";
import { openKubernetesReceiver } from "../../core/receivers/kubernetes/receiver.ts";
import type { Labels } from "../../core/policy/rules.ts";
import { openPods } from "../../core/receivers/kubernetes/pods.ts";
import type { Receiver } from "../../core/receivers/receiver.ts";
import { eventFacts } from "../output/event_text.ts";
import { printStderr } from "../output/output.ts";
import type { ReceiverFlags } from "../options/receivers.ts";

export interface ClusterReceivers {
  labels(): Labels;
  readonly events?: Receiver;
  close(): Promise<void>;
}

/** @param foreign oom-guard's form of the event that is being told; absent where oomkit's own is wanted. */
export function openClusterReceivers(
  flags: ReceiverFlags,
  oomGuardJson: (() => string | undefined) | undefined,
  podsChanged: () => void,
): ClusterReceivers {
  const node = flags.nodeName ?? Deno.env.get("NODE_NAME");
  if (node === undefined || node === "") {
    throw new OomkitError(
      "cannot ask for the pods of this node: its name is not known",
      "give --node-name, or set NODE_NAME from spec.nodeName",
    );
  }
  const { kubernetesApi: url, kubernetesTokenFile: tokenFile, kubernetesCa: caFile } = flags;
  const api = openKubernetesApi({
    warn: printStderr,
    ...(url === undefined ? {} : { url }),
    ...(tokenFile === undefined ? {} : { tokenFile }),
    ...(caFile === undefined ? {} : { caFile }),
  });
  const pods = openPods(api, node, { warn: printStderr, changed: podsChanged });
  const events = flags.kubernetesEvents
    ? openKubernetesReceiver({
      api,
      pods,
      node,
      describe: eventFacts,
      warn: printStderr,
      ...(oomGuardJson ? { oomGuard: oomGuardJson } : {}),
    })
    : undefined;
  return {
    labels: () =>
      new Map(
        [...pods.all()].flatMap(({ uid, cgroupUid, labels }) =>
          [uid, cgroupUid].map((each) => [each, labels] as const)
        ),
      ),
    ...(events ? { events } : {}),
    async close() {
      await pods.close();
      api.close();
    },
  };
}
