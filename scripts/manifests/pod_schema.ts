/** Schema of a pod, as far as our manifests go: Kubernetes API v1.30, core/v1 PodSpec. What is not here is not in them. */

import {
  annotations,
  choice,
  labels,
  list,
  matching,
  name,
  port,
  portName,
  portOrName,
  quantity,
  type Schema,
  strict,
  text,
  whole,
  yes,
} from "./schema_words.ts";

const CAPABILITIES = [
  "ALL",
  "DAC_OVERRIDE",
  "DAC_READ_SEARCH",
  "KILL",
  "NET_ADMIN",
  "SYS_ADMIN",
  "SYS_NICE",
  "SYS_PTRACE",
  "SYS_RESOURCE",
  "SYSLOG",
];

const profile = strict({
  "type!": choice("RuntimeDefault", "Unconfined", "Localhost"),
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
  capabilities: strict({
    add: list(choice(...CAPABILITIES)),
    drop: list(choice(...CAPABILITIES)),
  }),
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
  scheme: choice("HTTP", "HTTPS"),
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
            "metadata.name",
            "metadata.namespace",
            "metadata.uid",
            "spec.nodeName",
            "spec.serviceAccountName",
            "status.hostIP",
            "status.podIP",
          ),
          apiVersion: text,
        }),
        configMapKeyRef: strict({ name: name, "key!": text, optional: yes }),
        secretKeyRef: strict({ name: name, "key!": text, optional: yes }),
      }),
      maxProperties: 1,
      minProperties: 1,
    },
  }),
  not: { required: ["value", "valueFrom"] },
};

const container = strict({
  "name!": matching("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 63),
  image: matching("^[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(@sha256:[0-9a-f]{64})?$"),
  imagePullPolicy: choice("Always", "Never", "IfNotPresent"),
  command: list(text),
  args: list(text),
  workingDir: text,
  env: list(variable),
  ports: list(strict({
    "containerPort!": port,
    name: portName,
    protocol: choice("TCP", "UDP", "SCTP"),
    hostPort: port,
  })),
  resources: strict({ limits: amounts, requests: amounts }),
  volumeMounts: list(strict({
    "name!": name,
    "mountPath!": matching("^[^:]+$"),
    readOnly: yes,
    subPath: text,
    mountPropagation: choice("None", "HostToContainer", "Bidirectional"),
  })),
  securityContext: security,
  livenessProbe: probe,
  readinessProbe: probe,
  startupProbe: probe,
  terminationMessagePath: text,
  terminationMessagePolicy: choice("File", "FallbackToLogsOnError"),
});

const volume: Schema = {
  ...strict({
    "name!": matching("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 63),
    hostPath: strict({
      "path!": matching("^/"),
      type: choice(
        "",
        "DirectoryOrCreate",
        "Directory",
        "FileOrCreate",
        "File",
        "Socket",
        "CharDevice",
        "BlockDevice",
      ),
    }),
    configMap: strict({ name: name, optional: yes, defaultMode: whole }),
    secret: strict({ secretName: name, optional: yes, defaultMode: whole }),
    emptyDir: strict({ medium: choice("", "Memory"), sizeLimit: quantity }),
  }),
  // Its name and one source.
  minProperties: 2,
  maxProperties: 2,
};

export const podSpec = strict({
  "containers!": list(container, 1),
  initContainers: list(container),
  volumes: list(volume),
  serviceAccountName: name,
  automountServiceAccountToken: yes,
  hostPID: yes,
  hostNetwork: yes,
  hostIPC: yes,
  shareProcessNamespace: yes,
  dnsPolicy: choice("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
  nodeName: text,
  nodeSelector: labels,
  priorityClassName: name,
  restartPolicy: choice("Always", "OnFailure", "Never"),
  terminationGracePeriodSeconds: least(0),
  activeDeadlineSeconds: least(1),
  securityContext: podSecurity,
  tolerations: list(strict({
    key: text,
    operator: choice("Exists", "Equal"),
    value: text,
    effect: choice("NoSchedule", "PreferNoSchedule", "NoExecute"),
    tolerationSeconds: whole,
  })),
});

export const podTemplate = strict({
  "metadata!": strict({ labels, annotations }),
  "spec!": podSpec,
});
