/** Schemas of the kinds in `deploy/kubernetes`: strict, and faithful to the Kubernetes API v1.30 in names, types and enumerations. */

import { podSpec, podTemplate } from "./pod_schema.ts";
import {
  choice,
  labels,
  list,
  matching,
  metadata,
  name,
  port,
  portName,
  portOrName,
  type Schema,
  strict,
  text,
  whole,
  yes,
} from "./schema_words.ts";

/** @param version such as `apps/v1`. @param rest the keys beside apiVersion, kind and metadata. */
function object(version: string, kind: string, rest: Readonly<Record<string, Schema>>): Schema {
  const named = { ...metadata, required: ["name"] };
  return strict({
    "apiVersion!": { const: version },
    "kind!": { const: kind },
    "metadata!": named,
    ...rest,
  });
}

const selector = strict({ "matchLabels!": labels });
const amountOrShare: Schema = { anyOf: [whole, matching("^[0-9]+%$")] };

const rules = list(strict({
  "apiGroups!": list(text, 1),
  "resources!": list(text, 1),
  "verbs!": list(
    choice("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "*"),
    1,
  ),
  resourceNames: list(text),
}));

/** By kind. */
export const schemas: Readonly<Record<string, Schema>> = {
  ServiceAccount: object("v1", "ServiceAccount", { automountServiceAccountToken: yes }),
  ConfigMap: object("v1", "ConfigMap", {
    data: {
      type: "object",
      propertyNames: { pattern: "^[-._a-zA-Z0-9]+$" },
      additionalProperties: text,
    },
    immutable: yes,
  }),
  Service: object("v1", "Service", {
    "spec!": strict({
      selector: labels,
      clusterIP: text,
      type: choice("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
      ports: list(
        strict({
          name: portName,
          protocol: choice("TCP", "UDP", "SCTP"),
          "port!": port,
          targetPort: portOrName,
        }),
        1,
      ),
    }),
  }),
  ClusterRole: object("rbac.authorization.k8s.io/v1", "ClusterRole", { "rules!": rules }),
  ClusterRoleBinding: object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", {
    "roleRef!": strict({
      "apiGroup!": { const: "rbac.authorization.k8s.io" },
      "kind!": { const: "ClusterRole" },
      "name!": text,
    }),
    subjects: list(strict({
      "kind!": choice("ServiceAccount", "User", "Group"),
      "name!": text,
      namespace: name,
      apiGroup: text,
    })),
  }),
  Pod: object("v1", "Pod", { "spec!": podSpec }),
  DaemonSet: object("apps/v1", "DaemonSet", {
    "spec!": strict({
      "selector!": selector,
      "template!": podTemplate,
      minReadySeconds: whole,
      revisionHistoryLimit: whole,
      updateStrategy: strict({
        type: choice("RollingUpdate", "OnDelete"),
        rollingUpdate: strict({ maxUnavailable: amountOrShare, maxSurge: amountOrShare }),
      }),
    }),
  }),
  Job: object("batch/v1", "Job", {
    "spec!": strict({
      "template!": podTemplate,
      backoffLimit: whole,
      completions: whole,
      parallelism: whole,
      activeDeadlineSeconds: whole,
      ttlSecondsAfterFinished: whole,
    }),
  }),
};
