/**
 * Schemas of the kinds in `deploy/kubernetes`, in JSON Schema, draft 07: strict, and faithful to the Kubernetes API v1.30 in names,
 * types and enumerations. What is not here is not in our manifests.
 */

type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: "string" };
const whole: Schema = { type: "integer" };
const yes: Schema = { type: "boolean" };

/** All keys that there are; those that end in `!` must be there. */
function strict(keys: Readonly<Record<string, Schema>>): Schema {
  const named = Object.entries(keys).map(([key, schema]) => [key.replace(/!$/, ""), schema]);
  return {
    type: "object",
    additionalProperties: false,
    required: Object.keys(keys).filter((key) => key.endsWith("!")).map((key) => key.slice(0, -1)),
    properties: Object.fromEntries(named),
  };
}

const list = (items: Schema, least = 0): Schema => ({ type: "array", items, minItems: least });

/** @param values separated by spaces; one at the beginning adds the empty value. */
const choice = (values: string): Schema => ({ enum: values.split(" ") });

const matching = (pattern: string, maxLength = 253): Schema => ({
  ...text,
  pattern,
  maxLength,
});

/** RFC 1123, as names of most objects are; a label has no dots. */
const label = matching("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 63);
const name = matching("^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$");
const portName = matching("^(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$", 15);
const port: Schema = { type: "integer", minimum: 1, maximum: 65535 };
const protocol = choice("TCP UDP SCTP");
const portOrName: Schema = { anyOf: [port, portName] };

/** apimachinery, resource.Quantity: a sign, a number, and a suffix. */
const quantity = matching(
  "^[+-]?([0-9]+|[0-9]+\\.[0-9]*|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
);

/** @param value of the keys, which are label keys: an optional prefix, and a name of at most 63. */
const keyed = (value: Schema): Schema => ({
  type: "object",
  propertyNames: {
    pattern: "^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
  },
  additionalProperties: value,
});

const labels = keyed(matching("^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", 63));
const annotations = keyed(text);

const metadata = strict({ name, namespace: label, labels, annotations });

const capabilities = list(
  choice(
    "ALL DAC_OVERRIDE DAC_READ_SEARCH KILL NET_ADMIN SYS_ADMIN SYS_NICE SYS_PTRACE SYS_RESOURCE SYSLOG",
  ),
);

const profile = strict({
  "type!": choice("RuntimeDefault Unconfined Localhost"),
  localhostProfile: text,
});

const ids = { runAsNonRoot: yes, runAsUser: whole, runAsGroup: whole };

const podSecurity = strict({
  ...ids,
  fsGroup: whole,
  supplementalGroups: list(whole),
  seccompProfile: profile,
  appArmorProfile: profile,
});

const security = strict({
  ...ids,
  privileged: yes,
  allowPrivilegeEscalation: yes,
  readOnlyRootFilesystem: yes,
  capabilities: strict({ add: capabilities, drop: capabilities }),
  seccompProfile: profile,
  appArmorProfile: profile,
});

const amounts: Schema = {
  type: "object",
  propertyNames: { enum: ["cpu", "memory", "ephemeral-storage"] },
  additionalProperties: quantity,
};

const httpGet = strict({
  "port!": portOrName,
  path: matching("^/"),
  host: text,
  scheme: choice("HTTP HTTPS"),
});

const least = (minimum: number): Schema => ({ type: "integer", minimum });

const probe: Schema = {
  ...strict({
    httpGet,
    exec: strict({ command: list(text, 1) }),
    tcpSocket: strict({ "port!": portOrName, host: text }),
    initialDelaySeconds: least(0),
    periodSeconds: least(1),
    timeoutSeconds: least(1),
    successThreshold: least(1),
    failureThreshold: least(1),
    terminationGracePeriodSeconds: least(1),
  }),
  oneOf: [{ required: ["httpGet"] }, { required: ["exec"] }, { required: ["tcpSocket"] }],
};

const variable: Schema = {
  ...strict({
    "name!": matching("^[-._a-zA-Z][-._a-zA-Z0-9]*$"),
    value: text,
    valueFrom: {
      ...strict({
        fieldRef: strict({
          "fieldPath!": choice(
            "metadata.name metadata.namespace metadata.uid spec.nodeName spec.serviceAccountName status.hostIP status.podIP",
          ),
          apiVersion: text,
        }),
        configMapKeyRef: strict({ name, "key!": text, optional: yes }),
        secretKeyRef: strict({ name, "key!": text, optional: yes }),
      }),
      maxProperties: 1,
      minProperties: 1,
    },
  }),
  not: { required: ["value", "valueFrom"] },
};

const container = strict({
  "name!": label,
  image: matching("^[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@sha256:[0-9a-f]{64})?$"),
  imagePullPolicy: choice("Always Never IfNotPresent"),
  command: list(text),
  args: list(text),
  workingDir: text,
  env: list(variable),
  ports: list(strict({ "containerPort!": port, name: portName, protocol, hostPort: port })),
  resources: strict({ limits: amounts, requests: amounts }),
  volumeMounts: list(strict({
    "name!": name,
    "mountPath!": matching("^[^:]+$"),
    readOnly: yes,
    subPath: text,
    mountPropagation: choice("None HostToContainer Bidirectional"),
  })),
  securityContext: security,
  livenessProbe: probe,
  readinessProbe: probe,
  startupProbe: probe,
  terminationMessagePath: text,
  terminationMessagePolicy: choice("File FallbackToLogsOnError"),
});

const volume: Schema = {
  ...strict({
    "name!": label,
    hostPath: strict({
      "path!": matching("^/"),
      type: choice(" DirectoryOrCreate Directory FileOrCreate File Socket CharDevice BlockDevice"),
    }),
    configMap: strict({ name, optional: yes, defaultMode: whole }),
    secret: strict({ secretName: name, optional: yes, defaultMode: whole }),
    emptyDir: strict({ medium: choice(" Memory"), sizeLimit: quantity }),
  }),
  // Its name and one source.
  minProperties: 2,
  maxProperties: 2,
};

const podSpec = strict({
  "containers!": list(container, 1),
  initContainers: list(container),
  volumes: list(volume),
  serviceAccountName: name,
  automountServiceAccountToken: yes,
  hostPID: yes,
  hostNetwork: yes,
  hostIPC: yes,
  shareProcessNamespace: yes,
  dnsPolicy: choice("ClusterFirst ClusterFirstWithHostNet Default None"),
  nodeName: text,
  nodeSelector: labels,
  priorityClassName: name,
  restartPolicy: choice("Always OnFailure Never"),
  terminationGracePeriodSeconds: least(0),
  activeDeadlineSeconds: least(1),
  securityContext: podSecurity,
  tolerations: list(strict({
    key: text,
    operator: choice("Exists Equal"),
    value: text,
    effect: choice("NoSchedule PreferNoSchedule NoExecute"),
    tolerationSeconds: whole,
  })),
});

const podTemplate = strict({
  "metadata!": strict({ labels, annotations }),
  "spec!": podSpec,
});

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
    choice("get list watch create update patch delete deletecollection *"),
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
      type: choice("ClusterIP NodePort LoadBalancer ExternalName"),
      ports: list(strict({ name: portName, protocol, "port!": port, targetPort: portOrName }), 1),
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
      "kind!": choice("ServiceAccount User Group"),
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
        type: choice("RollingUpdate OnDelete"),
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
