import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import {
  buildKustomization,
  containersOf,
  type Json,
  parseYaml,
} from "../../scripts/manifests/kustomize.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => Deno.readTextFileSync(join(root, path));

const PORT = 9101;
const NAME = "metrics";

/** With the part that is a comment because not every Prometheus supports it. */
function scrapeConfigs(): Json[] {
  const text = read("deploy/prometheus/prometheus.yml");
  const whole = text.replace(/^ {2}# (?= *(?:- )?\w+:| {2})/gm, "  ");
  return parseYaml(whole, "prometheus.yml")[0].scrape_configs;
}

Deno.test("Prometheus scrapes this machine at the port of the documents", () => {
  const [here] = scrapeConfigs();
  assert.deepEqual(here.static_configs, [{ targets: [`127.0.0.1:${PORT}`] }]);
  const files = ["README.md", "docs/reporting.md", "docs/quick-start.md", "docs/configuration.md"];
  const ports = files.flatMap((file) =>
    [...read(file).matchAll(/listen(?: = "|[ =])[\w.]*:(\d+)/g)].map(([, port]) => Number(port))
  );
  assert.ok(ports.length >= 3);
  assert.deepEqual([...new Set(ports)], [PORT]);
});

Deno.test("Prometheus finds the pods by their label and port", async () => {
  const [, { relabel_configs: rules }] = scrapeConfigs();
  const kept = (label: string) =>
    rules.find(({ source_labels: [from] = [] }: Json) => from === `__meta_kubernetes_pod_${label}`)
      .regex;
  const pods = (await buildKustomization(join(root, "deploy/kubernetes/base")))
    .find(({ kind }) => kind === "DaemonSet").spec.template;
  assert.equal(kept("container_port_name"), NAME);
  assert.equal(
    kept("label_app_kubernetes_io_name"),
    pods.metadata.labels["app.kubernetes.io/name"],
  );
});

for (const overlay of ["observe", "process", "container", "v1-hold", "monitoring"]) {
  Deno.test(`${overlay}: the listen address, the declared port and the probes agree`, async () => {
    const objects = await buildKustomization(join(root, "deploy/kubernetes/overlays", overlay));
    const of = (requested: string): Json => objects.find(({ kind }) => kind === requested);
    const daemonSet = of("DaemonSet");
    const [container] = containersOf(daemonSet);
    const { guard } = parse(of("ConfigMap").data["config.toml"]) as Json;
    assert.equal(guard.listen, `0.0.0.0:${PORT}`);
    assert.deepEqual(container.ports, [{ name: NAME, containerPort: PORT }]);
    for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) {
      assert.equal(container[probe].httpGet.port, NAME, probe);
    }
    if (overlay !== "monitoring") return;
    assert.deepEqual(of("Service").spec.ports, [
      { name: NAME, protocol: "TCP", port: PORT, targetPort: NAME },
    ]);
    const { annotations } = daemonSet.spec.template.metadata;
    assert.equal(annotations["prometheus.io/port"], `${PORT}`);
  });
}
