/** The Helm chart, rendered by Helm: it agrees with the kustomizations, and keeps to the same rules. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import { MODES } from "../../core/policy/levels.ts";
import { outputOf } from "../../scripts/command.ts";
import { kubernetesProgram } from "../../scripts/build/kubernetes_programs.ts";
import {
  buildKustomization,
  containersOf,
  type Json,
  parseYaml,
  podOf,
} from "../../scripts/manifests/kustomize.ts";
import project from "../../deno.json" with { type: "json" };
import { manifests, offencesOf } from "../../scripts/manifests.ts";

const chart = fileURLToPath(new URL("../../deploy/helm/oomkit", import.meta.url));
const rulesFile = fileURLToPath(
  new URL("../../deploy/prometheus/oomkit.rules.yml", import.meta.url),
);

/** Runs Helm with the values in a file, as numbers on the command line are of another type there. */
async function helm(command: readonly string[], values: Json, flags: readonly string[] = []) {
  const file = Deno.makeTempFileSync({ prefix: "oomkit-test-", suffix: ".json" });
  try {
    Deno.writeTextFileSync(file, JSON.stringify(values));
    const program = await kubernetesProgram("helm");
    return await outputOf(program, [...command, chart, "--values", file, ...flags]);
  } finally {
    Deno.removeSync(file);
  }
}

interface Rendering {
  readonly namespace?: string;
  readonly kubernetes?: string;
}

async function render(
  values: Json,
  { namespace = "kube-system", kubernetes = "1.30.0" }: Rendering = {},
): Promise<Json[]> {
  const flags = ["--namespace", namespace, "--kube-version", kubernetes];
  const { code, stdout, stderr } = await helm(["template", "oomkit"], values, flags);
  assert.equal(code, 0, stderr);
  return parseYaml(stdout, "the chart");
}

const only = (objects: Json[], kind: string): Json => {
  const found = objects.filter((each) => each.kind === kind);
  assert.equal(found.length, 1, kind);
  return found[0];
};

const EVERYTHING = {
  policy: "process",
  mode: "hold",
  image: { repository: "registry.example.com/oomkit", tag: "1.2.3", pullPolicy: "Always" },
  imagePullSecrets: [{ name: "pull" }],
  rules: [{ name: "db", policy: "noop", "pod-labels": { app: "db" } }],
  config: { "max-margin": "32M", "margin-ratio": 0.05 },
  receivers: { options: { "webhook-url": "https://example.com/oom" } },
  env: [{ name: "OOMKIT_WEBHOOK_URL", valueFrom: { secretKeyRef: { name: "a", key: "b" } } }],
  resources: {
    requests: { cpu: "10m", memory: "60Mi" },
    limits: { cpu: "10m", memory: "60Mi" },
  },
  nodeSelector: { pool: "a" },
  affinity: { nodeAffinity: {} },
  podAnnotations: { a: "b" },
  podLabels: { c: "d" },
  scrapeAnnotations: true,
  service: true,
  podMonitor: { enabled: true, labels: { release: "prometheus" } },
  prometheusRule: { enabled: true },
  networkPolicy: { enabled: true, from: [{ namespaceSelector: {} }] },
  nodeCheck: { enabled: true },
};

const VALUES: Readonly<Record<string, Json>> = {
  none: {},
  process: { policy: "process" },
  container: { policy: "container", kernelLog: true },
  everything: EVERYTHING,
};

for (const [name, values] of Object.entries(VALUES)) {
  Deno.test(`chart with ${name}: passes helm lint and keeps to our rules, in any namespace`, async () => {
    const { code, stdout, stderr } = await helm(["lint", "--strict"], values);
    assert.equal(code, 0, stdout + stderr);
    for (const namespace of ["kube-system", "observability"]) {
      const objects = await render(values, { namespace });
      assert.deepEqual(await offencesOf(objects), []);
      const { subjects } = only(objects, "ClusterRoleBinding");
      assert.deepEqual(subjects.map((each: Json) => each.namespace), [namespace]);
    }
  });
}

/** Values that make of the chart what the overlay is. */
const OVERLAYS: Readonly<Record<string, { values: Json; kubernetes?: string }>> = {
  observe: { values: {} },
  process: { values: { policy: "process" } },
  container: { values: { policy: "container" } },
  "v1-hold": { values: { policy: "process", mode: "hold" }, kubernetes: "1.29.0" },
  monitoring: {
    values: { policy: "process", kernelLog: true, service: true, scrapeAnnotations: true },
  },
};

for (const [overlay, { values, kubernetes = "1.30.0" }] of Object.entries(OVERLAYS)) {
  Deno.test(`chart and overlay ${overlay} agree: pods, configuration, rights, service`, async () => {
    const [ours, theirs] = await Promise.all([
      render(values, { kubernetes }),
      buildKustomization(join(manifests, "overlays", overlay)),
    ]);
    assert.deepEqual(ours.map(comparable).sort(byKind), theirs.map(comparable).sort(byKind));
  });
}

const byKind = (a: Json, b: Json) => a.kind < b.kind ? -1 : 1;

/** Without the labels that name the release and the chart, and without what only makes a new configuration replace the pods. */
function comparable(object: Json): Json {
  const { kind, metadata, data, ...rest } = structuredClone(object);
  const pod = podOf(object) === undefined ? undefined : rest.spec.template;
  if (pod) {
    delete rest.spec.selector;
    delete pod.metadata.labels;
    delete pod.metadata.annotations?.["checksum/config"];
    if (Object.keys(pod.metadata.annotations ?? {}).length === 0) delete pod.metadata.annotations;
    for (const { configMap } of pod.spec.volumes) if (configMap) configMap.name = "oomkit";
  }
  delete rest.spec?.selector;
  return {
    kind,
    name: kind === "ConfigMap" ? "oomkit" : metadata.name,
    namespace: metadata.namespace,
    ...data && { config: parse(data["config.toml"]) },
    ...rest,
  };
}

Deno.test("without values the chart makes nothing that a bare cluster lacks", async () => {
  const kinds = (await render({})).map(({ kind }) => kind).sort();
  assert.deepEqual(kinds, [
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "DaemonSet",
    "ServiceAccount",
  ]);
});

Deno.test("without Kubernetes events the chart's pods have neither a token nor rights", async () => {
  const objects = await render({ receivers: { kubernetesEvents: false } });
  assert.ok(!objects.some(({ kind }) => kind.startsWith("ClusterRole")));
  assert.equal(podOf(only(objects, "DaemonSet"))!.automountServiceAccountToken, false);
  assert.doesNotMatch(only(objects, "ConfigMap").data["config.toml"], /kubernetes-events/);
});

Deno.test("values become the configuration, and a change of it replaces the pods", async () => {
  const before = await render({});
  const after = await render({
    ...EVERYTHING,
    config: { ...EVERYTHING.config, cooldown: 5000000 },
  });
  const { guard } = parse(only(after, "ConfigMap").data["config.toml"]) as Json;
  assert.deepEqual(
    [
      guard.policy,
      guard.mode,
      guard["max-margin"],
      guard["margin-ratio"],
      guard.cooldown,
      guard["webhook-url"],
    ],
    ["process", "hold", "32M", 0.05, 5000000, "https://example.com/oom"],
  );
  assert.deepEqual(structuredClone(guard.rule), EVERYTHING.rules);
  const sumOf = (objects: Json[]) =>
    only(objects.filter(({ metadata }) => metadata.name === "oomkit"), "DaemonSet")
      .spec.template.metadata.annotations["checksum/config"];
  assert.notEqual(sumOf(before), sumOf(after));
});

Deno.test("the chart's PrometheusRule has the rules of deploy/prometheus, for the job of its PodMonitor", async () => {
  const objects = await render(EVERYTHING);
  const [{ groups }] = parseYaml(Deno.readTextFileSync(rulesFile), rulesFile);
  assert.deepEqual(only(objects, "PrometheusRule").spec.groups, groups);
  const { jobLabel, selector } = only(objects, "PodMonitor").spec;
  assert.equal(selector.matchLabels[jobLabel], "oomkit");
});

Deno.test("the chart's node check is that of the kustomization", async () => {
  const objects = (await render(EVERYTHING)).filter(({ metadata }) =>
    metadata.name === "oomkit-node-check"
  );
  const [theirs] = await buildKustomization(join(manifests, "node-check"));
  const [ours, expected] = [only(objects, "DaemonSet"), theirs].map((each) =>
    containersOf(each)[0]
  );
  const { image: _, imagePullPolicy: __, ...container } = ours;
  const { image: ___, ...wanted } = expected;
  assert.deepEqual(container, wanted);
});

Deno.test("the chart and the kustomizations have the program's version", async () => {
  const [{ version, appVersion }] = parseYaml(Deno.readTextFileSync(join(chart, "Chart.yaml")), "");
  assert.deepEqual([version, appVersion], [project.version, project.version]);
  for (const objects of [await render({}), await buildKustomization(join(manifests, "base"))]) {
    const [{ image }] = containersOf(only(objects, "DaemonSet"));
    assert.equal(image, `ghcr.io/oomkit/oomkit:${project.version}`);
  }
});

Deno.test("the chart takes the modes of the guard", () => {
  const schema = JSON.parse(Deno.readTextFileSync(join(chart, "values.schema.json")));
  assert.deepEqual(schema.properties.mode.enum, ["", ...MODES]);
});

Deno.test("a value that the chart does not know is refused", async () => {
  const flags = ["--namespace", "a"];
  for (
    const values of [{ polcy: "process" }, { policy: "kill" }, { podMonitor: { enable: true } }]
  ) {
    const { code, stderr } = await helm(["template", "oomkit"], values, flags);
    assert.notEqual(code, 0);
    assert.match(stderr, /values don't meet the specifications of the schema/);
  }
});
