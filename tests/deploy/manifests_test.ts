import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import { globBase, globToRegExp } from "../../core/cgroup/glob.ts";
import {
  buildKustomization,
  containersOf,
  type Json,
  podOf,
} from "../../scripts/manifests/kustomize.ts";
import { findShell } from "../../scripts/build/rootfs.ts";
import { outputOf } from "../../scripts/command.ts";
import { fieldOffences } from "../../scripts/manifests/fields.ts";
import { kustomizations, manifests, offencesOf } from "../../scripts/manifests.ts";

/** By directory: all tests read the same objects. */
const rendered = new Map<string, Promise<Json[]>>();

function built(directory: string): Promise<Json[]> {
  const known = rendered.get(directory) ?? buildKustomization(join(manifests, directory));
  rendered.set(directory, known);
  return known;
}

const FULL_NODE = { cpu: "100m", memory: "128Mi" };
const LINUX = { "kubernetes.io/os": "linux" };

const daemonSetOf = (objects: Json[]): Json => objects.find(({ kind }) => kind === "DaemonSet");
const containerOf = (objects: Json[]): Json => containersOf(daemonSetOf(objects))[0];
const configOf = (objects: Json[]): string =>
  objects.find(({ kind }) => kind === "ConfigMap").data["config.toml"];

/** Offences of the overlay `process` after `change`. */
async function offencesAfter(
  change: (daemonSet: Json, objects: Json[]) => void,
): Promise<string[]> {
  const objects = structuredClone(await built("overlays/process"));
  change(daemonSetOf(objects), objects);
  return await offencesOf(objects);
}

/** What kustomize builds of a directory of its own, with the text as its `kustomization.yaml`. */
async function own(text: string): Promise<Json[]> {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    Deno.symlinkSync(manifests, join(directory, "kubernetes"));
    Deno.writeTextFileSync(join(directory, "kustomization.yaml"), text);
    return await buildKustomization(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("every kustomization builds, fits the schemas of its kinds and keeps to our rules", async () => {
  const directories = kustomizations();
  assert.deepEqual(
    directories.map((directory) => directory.slice(manifests.length + 1)),
    [
      "base",
      "node-check",
      "overlays/container",
      "overlays/monitoring",
      "overlays/observe",
      "overlays/process",
      "overlays/v1-hold",
      "sidecar",
    ],
  );
  for (const directory of directories) {
    const objects = await built(directory.slice(manifests.length + 1));
    assert.deepEqual(await offencesOf(objects), [], directory);
  }
});

Deno.test("the base is sized for a full node, in the Guaranteed class; a component has oom-guard's numbers", async () => {
  const amounts = async (objects: Promise<Json[]>) => {
    const { resources } = containerOf(await objects);
    assert.deepEqual(resources.requests, resources.limits);
    return resources.limits;
  };
  for (const overlay of ["observe", "process", "container", "v1-hold", "monitoring"]) {
    assert.deepEqual(await amounts(built(`overlays/${overlay}`)), FULL_NODE, overlay);
  }
  const small = own("resources: [kubernetes/base]\ncomponents: [kubernetes/components/small]\n");
  assert.deepEqual(await amounts(small), { cpu: "10m", memory: "60Mi" });
  const budget = ({ startupProbe: { periodSeconds, failureThreshold } }: Json) =>
    periodSeconds * failureThreshold;
  // Measured: 29 and 476 s.
  assert.equal(budget(containerOf(await built("base"))), 300);
  assert.equal(budget(containerOf(await small)), 1200);
});

Deno.test("no overlay excludes arm64", async () => {
  for (const directory of kustomizations()) {
    for (const object of await built(directory.slice(manifests.length + 1))) {
      assert.deepEqual(podOf(object)?.nodeSelector ?? LINUX, LINUX, directory);
      assert.equal(podOf(object)?.affinity, undefined);
    }
  }
});

Deno.test("an overlay names the Kubernetes version that its fields need", async () => {
  for (const overlay of ["observe", "process", "container", "v1-hold", "monitoring"]) {
    const hasField = "appArmorProfile" in
      containerOf(await built(`overlays/${overlay}`)).securityContext;
    const text = Deno.readTextFileSync(join(manifests, "overlays", overlay, "kustomization.yaml"));
    const [, version] = /^# Kubernetes (1\.\d+) or newer/m.exec(text)!;
    assert.equal(version, hasField ? "1.30" : "1.19", overlay);
  }
});

Deno.test("before Kubernetes 1.30 the same is an annotation", async () => {
  const component = "components: [kubernetes/components/apparmor-annotation]\n";
  const objects = {
    "v1-hold": built("overlays/v1-hold"),
    process: own(`resources: [kubernetes/overlays/process]\n${component}`),
    monitoring: own(`resources: [kubernetes/overlays/monitoring]\n${component}`),
  };
  for (const [name, built] of Object.entries(objects)) {
    const daemonSet = daemonSetOf(await built);
    const { annotations } = daemonSet.spec.template.metadata;
    assert.equal(
      annotations[`container.apparmor.security.beta.kubernetes.io/oomkit`],
      "unconfined",
    );
    assert.equal(containersOf(daemonSet)[0].securityContext.appArmorProfile, undefined);
    assert.equal(annotations["prometheus.io/port"], name === "monitoring" ? "9101" : undefined);
  }
});

Deno.test("an overlay with another namespace moves the subject of the binding and all else", async () => {
  for (const overlay of ["observe", "process", "container", "v1-hold", "monitoring"]) {
    const objects = await own(
      `namespace: observability\nresources: [kubernetes/overlays/${overlay}]\n`,
    );
    assert.deepEqual(await offencesOf(objects), [], overlay);
    const { subjects } = objects.find(({ kind }) => kind === "ClusterRoleBinding");
    assert.deepEqual(subjects.map(({ namespace }: Json) => namespace), ["observability"]);
    const namespaces = objects.flatMap(({ metadata: { namespace } }) => namespace ?? []);
    assert.deepEqual([...new Set(namespaces)], ["observability"], overlay);
  }
});

Deno.test("the observe overlay is not root, has no capabilities and sees the cgroups read-only", async () => {
  const objects = await built("overlays/observe");
  const pod = podOf(daemonSetOf(objects))!;
  const container = containerOf(objects);
  assert.equal(pod.hostPID, undefined);
  assert.equal(pod.securityContext.runAsNonRoot, true);
  assert.deepEqual(container.securityContext.capabilities, { drop: ["ALL"] });
  assert.ok(container.volumeMounts.every((mount: Json) => mount.readOnly));
  assert.match(configOf(objects), /^policy = "noop"$/m);
});

Deno.test("the killing overlays see the node's pids, and have two capabilities and no privileges", async () => {
  for (const [overlay, policy] of [["process", "process"], ["container", "container"]] as const) {
    const objects = await built(`overlays/${overlay}`);
    const pod = podOf(daemonSetOf(objects))!;
    const { securityContext, volumeMounts } = containerOf(objects);
    assert.equal(pod.hostPID, true);
    assert.equal(securityContext.privileged, undefined);
    assert.deepEqual(securityContext.capabilities, { drop: ["ALL"], add: ["KILL", "SYS_NICE"] });
    assert.ok(volumeMounts.some((mount: Json) => mount.mountPath === "/run/oomkit"));
    assert.ok(configOf(objects).includes(`policy = "${policy}"\n`));
  }
});

Deno.test("RBAC allows exactly the requests that the code makes", async () => {
  const requests: Record<string, Set<string>> = {};
  const directory = fileURLToPath(new URL("../../core/receivers/kubernetes", import.meta.url));
  for (const { name } of Deno.readDirSync(directory)) {
    const source = Deno.readTextFileSync(join(directory, name));
    for (const [, verb, of] of source.matchAll(/verb: "(\w+)",\s+resource: "(\w+)"/g)) {
      (requests[of!] ??= new Set()).add(verb!);
    }
  }
  const { rules } = (await built("base")).find(({ kind }) => kind === "ClusterRole");
  const allowed = rules.map(({ resources, verbs }: Json) => [resources[0], verbs.toSorted()]);
  const needed = Object.entries(requests).map(([of, verbs]) => [of, [...verbs].sort()]);
  assert.deepEqual(allowed.sort(), needed.sort());
});

Deno.test("the targets of every overlay match pods under both cgroup drivers", async () => {
  for (const overlay of ["observe", "process", "container", "v1-hold", "monitoring"]) {
    const { guard } = parse(configOf(await built(`overlays/${overlay}`))) as Json;
    const patterns = guard.targets.map(globToRegExp);
    const fits = (path: string) => patterns.some((pattern: RegExp) => pattern.test(path));
    for (
      const path of [
        "/kubepods/burstable/pod1/c",
        "/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope",
        "/kubelet/kubepods/besteffort/pod1/c",
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod1.slice/cri-containerd-1.scope",
      ]
    ) assert.ok(fits(path), `${overlay}: ${path}`);
    for (const path of ["/kubelet.slice/kubelet.service", "/system.slice/kubelet.service"]) {
      assert.ok(!fits(path), `${overlay}: ${path}`);
    }
    assert.equal(guard.recursive, true);
    // The base of a glob must exist at the start.
    assert.deepEqual(guard.targets.map(globBase), ["/", "/"]);
  }
});

Deno.test("pods are replaced when their configuration changes", async () => {
  const names = await Promise.all(["observe", "process", "v1-hold"].map(async (overlay) => {
    const objects = await built(`overlays/${overlay}`);
    const { name } = objects.find(({ kind }) => kind === "ConfigMap").metadata;
    const volume = podOf(daemonSetOf(objects))!.volumes.find((each: Json) => each.configMap);
    assert.equal(volume.configMap.name, name);
    return name;
  }));
  assert.equal(new Set(names).size, 3);
});

Deno.test("the sidecar needs neither root nor capabilities, and uses OOMHero's variables", async () => {
  const [pod] = await built("sidecar");
  assert.equal(pod.spec.shareProcessNamespace, true);
  assert.equal(pod.spec.securityContext.runAsNonRoot, true);
  const [bloat, guard] = pod.spec.containers;
  assert.equal(bloat.args[0], "simulate");
  assert.equal(bloat.resources.limits.memory, "256Mi");
  assert.deepEqual(guard.env, [
    { name: "WARNING", value: "65" },
    { name: "CRITICAL", value: "90" },
  ]);
  for (const { securityContext } of [bloat, guard]) {
    assert.deepEqual(securityContext.capabilities, { drop: ["ALL"] });
  }
});

Deno.test("the node check is a pod on every node, ready where the node is fit", async () => {
  const [daemonSet] = await built("node-check");
  assert.equal(daemonSet.kind, "DaemonSet");
  assert.deepEqual(podOf(daemonSet)!.tolerations, [{ operator: "Exists" }]);
  const [{ readinessProbe, livenessProbe, startupProbe, volumeMounts }] = containersOf(daemonSet);
  const [program, ...words] = readinessProbe.exec.command;
  // In bytes, because the node has no limit.
  assert.deepEqual([program, ...words.slice(0, 5)], [
    "/oomkit",
    ...["inspect", "--check", "/", "--min-headroom", "1G"],
  ]);
  // A node that is not fit is no reason to start the container again.
  assert.deepEqual([livenessProbe, startupProbe], [undefined, undefined]);
  assert.ok(volumeMounts.every((mount: Json) => mount.readOnly));
});

Deno.test("the image's shell is the sleep that the node check's pod waits in", async () => {
  const [{ command: [shell, option, script] }] = containersOf((await built("node-check"))[0]);
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    const own = join(directory, "sh");
    Deno.copyFileSync(findShell()!, own);
    Deno.chmodSync(own, 0o755);
    const brief = script.replace(shell, own).replace(/\d+$/, "0");
    // Nothing else is in the image's PATH.
    const { code, stderr } = await outputOf(own, [option, brief], { env: { PATH: directory } });
    assert.equal(code, 0, stderr);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("a misspelt field, a wrong type and a bad quantity are found, with their place", async () => {
  const of = (set: (container: Json) => void) =>
    offencesAfter((daemonSet) => set(containersOf(daemonSet)[0]));
  const ofObject = (kind: string, set: (object: Json) => void) =>
    offencesAfter((_, objects) => set(objects.find((each) => each.kind === kind)));
  assert.deepEqual(await of((c) => c.resource = { a: 1 }), [
    "DaemonSet oomkit: /spec/template/spec/containers/0/resource is unknown",
  ]);
  assert.match(
    (await of((c) => c.securityContext.readOnlyRootFilesystem = "yes"))[0]!,
    /cannot unmarshal string into .*readOnlyRootFilesystem of type bool/,
  );
  assert.match((await of((c) => c.resources.limits.memory = "60MiB"))[0]!, /quantities must match/);
  assert.match((await ofObject("ConfigMap", (map) => map.dat = {}))[0]!, /\/dat is unknown/);
  assert.match(
    (await ofObject("ClusterRoleBinding", ({ roleRef }) => roleRef.nam = "x"))[0]!,
    /\/roleRef\/nam is unknown/,
  );
  const [service] = await fieldOffences({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "a" },
    spec: { selector: { a: "b" }, clusterIp: "None" },
  });
  assert.match(service!, /\/spec\/clusterIp is unknown/);
});

Deno.test("objects that the API would accept are refused for too many or too few rights", async () => {
  const cases: [RegExp, (container: Json, pod: Json, objects: Json[]) => void][] = [
    [/has no limit of memory/, (c) => delete c.resources.limits.memory],
    [/can write to its image/, (c) => c.securityContext.readOnlyRootFilesystem = false],
    [/keeps capabilities/, (c) => c.securityContext.capabilities.drop = []],
    [/may gain privileges/, (c) => delete c.securityContext.allowPrivilegeEscalation],
    [/runs whatever version/, (c) => c.image = "ghcr.io/oomkit/oomkit"],
    [/mounts nothing/, (c) => c.volumeMounts[0].name = "nothing"],
    [/guard has no option --polcy/, (c) => c.args.push("--polcy", "process")],
    [/guard reads no variable POLICY/, (c) => c.env.push({ name: "POLICY", value: "process" })],
    [/asks a port that is not declared/, (c) => c.readinessProbe.httpGet.port = "http"],
    [/is given \/kubepods beside a configuration/, (c) => c.args.push("/kubepods")],
    [/a node that it does not run on/, (_, pod) => delete pod.nodeSelector["kubernetes.io/os"]],
    [/not come to every node/, (_, pod) => pod.nodeSelector["kubernetes.io/arch"] = "amd64"],
    [
      /guard has no option --polcy/,
      (c) => c.livenessProbe.exec = { command: ["/oomkit", "guard", "--polcy"] },
    ],
    [/no ServiceAccount other-account/, (_, pod) => pod.serviceAccountName = "other-account"],
    [/no ConfigMap other/, (_, pod) => pod.volumes[1].configMap.name = "other"],
    [/no ServiceAccount oomkit in elsewhere/, (_, __, objects) => {
      objects.find(({ kind }) => kind === "ClusterRoleBinding").subjects[0].namespace = "elsewhere";
    }],
    [/no ServiceAccount oomkit in observability/, (_, __, objects) => {
      objects.find(({ kind }) => kind === "DaemonSet").metadata.namespace = "observability";
    }],
    [/binds cluster-admin/, (_, __, objects) => {
      objects.find(({ kind }) => kind === "ClusterRoleBinding").roleRef.name = "cluster-admin";
    }],
    [/has a wildcard/, (_, __, objects) => {
      objects.find(({ kind }) => kind === "ClusterRole").rules[0].verbs = ["*"];
    }],
    [/config.toml: \[guard\] has no key polcy/, (_, __, objects) => {
      objects.find(({ kind }) => kind === "ConfigMap").data["config.toml"] = "[guard]\npolcy = 1\n";
    }],
    [/is no TOML/, (_, __, objects) => {
      objects.find(({ kind }) => kind === "ConfigMap").data["config.toml"] = "[guard\n";
    }],
  ];
  for (const [expected, change] of cases) {
    const found = await offencesAfter((daemonSet, objects) =>
      change(containersOf(daemonSet)[0], podOf(daemonSet), objects)
    );
    assert.ok(found.some((line) => expected.test(line)), `${expected}: ${found}`);
  }
});
