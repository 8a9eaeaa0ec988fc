/** What is deployed, on a real API server (1.20): `deno task cluster`. */

import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { kustomizations, manifests } from "../../scripts/manifests.ts";
import { feedWhileItLives, isKillAction, startGuarded } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { idOf, podShape } from "../helpers/kubernetes_pod.ts";
import { makeRealCgroup } from "../helpers/real_cgroup.ts";
import { type Cluster, startCluster, succeeded } from "./cluster.ts";

const chart = fileURLToPath(new URL("../../deploy/helm/oomkit", import.meta.url));
const MIB = 1024 ** 2;
/** The file of a kustomization beside the manifests. */
const HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";

async function onCluster(test: (cluster: Cluster) => Promise<void>): Promise<void> {
  await using cluster = await startCluster();
  await test(cluster);
}

/** What kustomize builds of `text` in a directory beside the manifests. */
async function built({ kubectl, directory }: Cluster, text: string): Promise<string> {
  const own = Deno.makeTempDirSync({ dir: directory });
  Deno.symlinkSync(manifests, join(own, "kubernetes"));
  Deno.writeTextFileSync(join(own, "kustomization.yaml"), HEAD + text);
  return await succeeded(kubectl(["kustomize", own]));
}

/** As a dry run and really; then they are deleted. */
async function applied({ kubectl }: Cluster, objects: string, during?: () => Promise<void>) {
  await succeeded(kubectl(["apply", "--dry-run=server"], objects));
  await succeeded(kubectl(["apply", "--dry-run=server", "--server-side"], objects));
  await succeeded(kubectl(["apply"], objects));
  await during?.();
  await succeeded(kubectl(["delete", "--wait=false"], objects));
}

const createNamespace = async ({ kubectl }: Cluster, name: string) =>
  void await succeeded(kubectl(["create", "namespace", name]));

/** The answers of `kubectl auth can-i`. */
async function rightsOf({ kubectl }: Cluster, namespace: string): Promise<string[]> {
  const requests = [
    ["create", "events"],
    ["patch", "events"],
    ["list", "pods"],
    ["watch", "pods"],
    ["get", "secrets"],
    ["delete", "pods"],
    ["create", "pods"],
    ["get", "nodes"],
  ];
  const account = `system:serviceaccount:${namespace}:oomkit`;
  const answers: string[] = [];
  for (const request of requests) {
    const words = ["auth", "can-i", ...request, "--as", account, "--all-namespaces"];
    if ((await kubectl(words)).stdout.trim() === "yes") answers.push(request.join(" "));
  }
  return answers;
}

const NEEDED = ["create events", "patch events", "list pods", "watch pods"];

Deno.test("a server takes every kustomization that says it needs no newer one", () =>
  onCluster(async (cluster) => {
    for (const directory of kustomizations()) {
      const text = Deno.readTextFileSync(join(directory, "kustomization.yaml"));
      const path = relative(manifests, directory);
      const resources = `resources: [kubernetes/${path}]\n`;
      const objects = await built(cluster, resources);
      if (!/^# Kubernetes 1\.30 or newer/m.test(text)) {
        await applied(cluster, objects);
        continue;
      }
      const { code, stderr } = await cluster.kubectl(["apply", "--dry-run=server"], objects);
      assert.notEqual(code, 0, path);
      assert.match(stderr, /unknown field "appArmorProfile"/, path);
      const component = "components: [kubernetes/components/apparmor-annotation]\n";
      await applied(cluster, await built(cluster, resources + component));
    }
  }));

Deno.test("the account may do what the guard requests and no more, in any namespace", () =>
  onCluster(async (cluster) => {
    await createNamespace(cluster, "observability");
    for (const namespace of ["kube-system", "observability"]) {
      const other = namespace === "kube-system" ? "observability" : "kube-system";
      const text = `namespace: ${namespace}\nresources: [kubernetes/overlays/v1-hold]\n`;
      await applied(cluster, await built(cluster, text), async () => {
        assert.deepEqual(await rightsOf(cluster, namespace), NEEDED);
        assert.deepEqual(await rightsOf(cluster, other), []);
      });
    }
  }));

Deno.test("the chart is installed, upgraded and removed, with the same rights", () =>
  onCluster(async (cluster) => {
    await createNamespace(cluster, "observability");
    const flags = ["oomkit", chart, "--namespace", "observability"];
    await succeeded(cluster.helm(["install", ...flags]));
    assert.deepEqual(await rightsOf(cluster, "observability"), NEEDED);
    const more = ["policy=process", "networkPolicy.enabled=true", "nodeCheck.enabled=true"];
    const values = ["--set", [...more, "service=true", "scrapeAnnotations=true"].join()];
    await succeeded(cluster.helm(["upgrade", ...flags, ...values]));
    const get = ["get", "daemonsets,services,networkpolicies", "--all-namespaces", "-o", "name"];
    assert.deepEqual((await succeeded(cluster.kubectl(get))).trim().split("\n").sort(), [
      "daemonset.apps/oomkit",
      "daemonset.apps/oomkit-node-check",
      "networkpolicy.networking.k8s.io/oomkit",
      // The API server's own.
      "service/kubernetes",
      "service/oomkit",
    ]);
    await succeeded(cluster.helm(["uninstall", "oomkit", "--namespace", "observability"]));
    assert.deepEqual(await rightsOf(cluster, "observability"), []);
  }));

Deno.test("a guard with the account's token posts the kill of a container as an event of its pod", () =>
  onCluster(async (cluster) => {
    const objects = await built(cluster, "resources: [kubernetes/overlays/v1-hold]\n");
    await succeeded(cluster.kubectl(["apply"], objects));
    const [id, node] = [idOf(1), "node-1"];
    const uid = await createPod(cluster, id, node);
    await using parent = makeRealCgroup("kubepods");
    const container = parent.child(`pod${uid}`).child(id);
    container.limit(48 * MIB);
    const tokenFile = join(cluster.directory, "token");
    const token = ["create", "token", "oomkit", "--namespace", "kube-system"];
    Deno.writeTextFileSync(tokenFile, (await succeeded(cluster.kubectl(token))).trim());
    await using guarded = await startGuarded([
      ...["-r", "--policy", "process", "--kubernetes-events", "--kubernetes-api", cluster.url],
      ...["--kubernetes-token-file", tokenFile, "--kubernetes-ca", cluster.caFile],
      ...["--node-name", node, parent.path],
    ]);
    await using hungry = await startHungryProcess(container);
    await feedWhileItLives(hungry, 48 * MIB);
    const { victim } = await guarded.next(isKillAction);
    assert.equal(victim.pid, hungry.pid);
    const found = await eventOf(cluster, "OomGuardKillProcess");
    assert.equal(found.involvedObject.uid, uid);
    assert.match(found.message, new RegExp(`pid ${victim.pid} `));
    await guarded.stop();
  }));

const EVENT_MS = 60_000;

async function eventOf(
  { kubectl }: Cluster,
  reason: string,
): Promise<{ involvedObject: { uid: string }; message: string }> {
  const get = ["get", "events", "--namespace", "shop", "--output=json"];
  for (const deadline = performance.now() + EVENT_MS;;) {
    const { items } = JSON.parse(await succeeded(kubectl(get)));
    const found = items.find((each: { reason: string }) => each.reason === reason);
    if (found !== undefined) return found;
    assert.ok(performance.now() < deadline, `no event ${reason} among ${JSON.stringify(items)}`);
  }
}

/** A pod that runs, as a kubelet would report it. @returns its uid. */
async function createPod(cluster: Cluster, id: string, node: string): Promise<string> {
  await createNamespace(cluster, "shop");
  const { status } = podShape({ containers: { [id]: "app" } });
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web-0", namespace: "shop" },
    spec: { nodeName: node, containers: [{ name: "app", image: "registry.test/image:1" }] },
  };
  await succeeded(cluster.kubectl(["apply"], JSON.stringify(pod)));
  const at = ["pod", "web-0", "--namespace", "shop"];
  const patch = ["patch", ...at, "--subresource=status", "--type=merge", "--patch"];
  await succeeded(cluster.kubectl([...patch, JSON.stringify({ status })]));
  return await succeeded(cluster.kubectl(["get", ...at, "-o", "jsonpath={.metadata.uid}"]));
}
