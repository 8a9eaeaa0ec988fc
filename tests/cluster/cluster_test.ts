/** What is deployed, on a real API server (1.20): `deno task cluster`. */

import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { kustomizations, manifests } from "../../scripts/manifests.ts";
import { feedWhileItLives, isKillAction } from "../helpers/guarded.ts";
import { startHungryProcess } from "../helpers/hungry_process.ts";
import { built, type Cluster, startCluster, succeeded } from "./cluster.ts";
import { eventsOf, withGuardedPods } from "./guarded_pods.ts";

const chart = fileURLToPath(new URL("../../deploy/helm/oomkit", import.meta.url));
const LIMIT = 48 * 1024 ** 2;
async function onCluster(test: (cluster: Cluster) => Promise<void>): Promise<void> {
  await using cluster = await startCluster();
  await test(cluster);
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

Deno.test("a guard with the account's token posts the kills of two containers as events of their pod", () =>
  onCluster(async (cluster) => {
    await withGuard(cluster, async ({ kill, uid }) => {
      for (const at of [1, 2]) {
        const pid = await kill(at);
        const { involvedObject, message } = await eventAbout(cluster, pid);
        assert.equal(involvedObject.uid, uid);
        assert.equal(involvedObject.fieldPath, `spec.containers{app-${at}}`);
        assert.match(message, new RegExp(`pid ${pid} `));
      }
    });
  }));

Deno.test("a kill while the API server is away is posted when it is back", () =>
  onCluster(async (cluster) => {
    await withGuard(cluster, async ({ kill }) => {
      let pid = 0;
      await cluster.outage(async () => void (pid = await kill(1)));
      await eventAbout(cluster, pid);
    });
  }));

Deno.test("a guard goes on with the token that replaces one that is no longer valid", () =>
  onCluster(async (cluster) => {
    await withGuard(cluster, async ({ kill, renewToken }) => {
      // A token is bound to the uid of its account.
      const account = ["serviceaccount", "oomkit", "--namespace", "kube-system"];
      await succeeded(cluster.kubectl(["delete", ...account]));
      await succeeded(cluster.kubectl(["create", ...account]));
      await renewToken();
      await eventAbout(cluster, await kill(1));
    });
  }));

interface Guarded {
  readonly uid: string;
  /** Fills container 1 or 2. @returns the pid that the guard has killed. */
  kill(at: number): Promise<number>;
  renewToken(): Promise<void>;
}

/** A guard of a pod with two containers. */
async function withGuard(cluster: Cluster, use: (guarded: Guarded) => Promise<void>) {
  const shape = { pods: 1, containers: 2, limit: LIMIT };
  await withGuardedPods(cluster, shape, async ({ pods: [pod], guarded, renewToken }) => {
    await use({
      uid: pod!.uid,
      renewToken,
      async kill(at) {
        await using hungry = await startHungryProcess(pod!.containers[at - 1]!);
        await feedWhileItLives(hungry, LIMIT);
        const killed = await guarded.next((event) =>
          isKillAction(event) && event.victim.pid === hungry.pid
        );
        return killed.victim.pid;
      },
    });
  });
}

const EVENT_MS = 60_000;

interface PodEvent {
  readonly involvedObject: { readonly uid: string; readonly fieldPath: string };
  readonly message: string;
}

/** The event of the kill of a process. */
async function eventAbout(cluster: Cluster, pid: number): Promise<PodEvent> {
  for (const deadline = performance.now() + EVENT_MS;;) {
    const items = await eventsOf(cluster);
    const found = items.find((each: PodEvent & { reason: string }) =>
      each.reason === "OomGuardKillProcess" && each.message.includes(`pid ${pid} `)
    );
    if (found !== undefined) return found;
    assert.ok(performance.now() < deadline, `no event of ${pid} among ${JSON.stringify(items)}`);
  }
}
