import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import { globBase, globToRegExp } from "../../core/cgroup/glob.ts";
import {
  applyPatch,
  buildKustomization,
  containersOf,
  type Json,
  podOf,
} from "../../scripts/manifests/kustomize.ts";
import { kustomizations, manifests, offencesOf } from "../../scripts/manifests.ts";

const built = (directory: string): Json[] => buildKustomization(join(manifests, directory));
const daemonSetOf = (objects: Json[]): Json => objects.find(({ kind }) => kind === "DaemonSet");
const containerOf = (objects: Json[]): Json => containersOf(daemonSetOf(objects))[0];
const configOf = (objects: Json[]): string =>
  objects.find(({ kind }) => kind === "ConfigMap").data["config.toml"];

/** Offences of the overlay `process` after `change`. */
function offencesAfter(change: (daemonSet: Json, objects: Json[]) => void): string[] {
  const objects = structuredClone(built("overlays/process"));
  change(daemonSetOf(objects), objects);
  return offencesOf(objects);
}

Deno.test("every kustomization builds, fits the schemas of its kinds and keeps to our rules", () => {
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
    assert.deepEqual(offencesOf(buildKustomization(directory)), [], directory);
  }
});

Deno.test("the DaemonSet gets no more than oom-guard's 60Mi and 10m, in the Guaranteed class", () => {
  for (const overlay of ["observe", "process", "container", "v1-hold"]) {
    const { resources } = containerOf(built(`overlays/${overlay}`));
    assert.deepEqual(resources.limits, { cpu: "10m", memory: "60Mi" }, overlay);
    assert.deepEqual(resources.requests, resources.limits, overlay);
  }
});

Deno.test("the observe overlay is not root, has no capabilities and sees the cgroups read-only", () => {
  const objects = built("overlays/observe");
  const pod = podOf(daemonSetOf(objects))!;
  const container = containerOf(objects);
  assert.equal(pod.hostPID, undefined);
  assert.equal(pod.securityContext.runAsNonRoot, true);
  assert.deepEqual(container.securityContext.capabilities, { drop: ["ALL"] });
  assert.ok(container.volumeMounts.every((mount: Json) => mount.readOnly));
  assert.match(configOf(objects), /^policy = "noop"$/m);
});

Deno.test("the killing overlays see the node's pids, and have two capabilities and no privileges", () => {
  for (const [overlay, policy] of [["process", "process"], ["container", "container"]] as const) {
    const objects = built(`overlays/${overlay}`);
    const pod = podOf(daemonSetOf(objects))!;
    const { securityContext, volumeMounts } = containerOf(objects);
    assert.equal(pod.hostPID, true);
    assert.equal(securityContext.privileged, undefined);
    assert.deepEqual(securityContext.capabilities, { drop: ["ALL"], add: ["KILL", "SYS_NICE"] });
    assert.ok(volumeMounts.some((mount: Json) => mount.mountPath === "/run/oomkit"));
    assert.ok(configOf(objects).includes(`policy = "${policy}"\n`));
  }
});

Deno.test("RBAC allows exactly the requests that the code makes", () => {
  const requests: Record<string, Set<string>> = {};
  const directory = fileURLToPath(new URL("../../core/receivers/kubernetes", import.meta.url));
  for (const { name } of Deno.readDirSync(directory)) {
    const source = Deno.readTextFileSync(join(directory, name));
    for (const [, verb, of] of source.matchAll(/verb: "(\w+)",\s+resource: "(\w+)"/g)) {
      (requests[of!] ??= new Set()).add(verb!);
    }
  }
  const { rules } = built("base").find(({ kind }) => kind === "ClusterRole");
  const allowed = rules.map(({ resources, verbs }: Json) => [resources[0], verbs.toSorted()]);
  const needed = Object.entries(requests).map(([of, verbs]) => [of, [...verbs].sort()]);
  assert.deepEqual(allowed.sort(), needed.sort());
});

Deno.test("the targets of every overlay match pods under both cgroup drivers", () => {
  for (const overlay of ["observe", "process", "container", "v1-hold", "monitoring"]) {
    const { guard } = parse(configOf(built(`overlays/${overlay}`))) as Json;
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

Deno.test("pods are replaced when their configuration changes", () => {
  const names = ["observe", "process", "v1-hold"].map((overlay) => {
    const objects = built(`overlays/${overlay}`);
    const { name } = objects.find(({ kind }) => kind === "ConfigMap").metadata;
    const volume = podOf(daemonSetOf(objects))!.volumes.find((each: Json) => each.configMap);
    assert.equal(volume.configMap.name, name);
    return name;
  });
  assert.equal(new Set(names).size, 3);
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    Deno.writeTextFileSync(join(directory, "one"), "");
    const generator = "configMapGenerator: [{name: a, files: [one]}]\n";
    Deno.writeTextFileSync(join(directory, "kustomization.yaml"), generator);
    // As kustomize v5.0.4 named it.
    assert.equal(buildKustomization(directory)[0].metadata.name, "a-9g67k2htb6");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("the sidecar needs neither root nor capabilities, and uses OOMHero's variables", () => {
  const [pod] = built("sidecar");
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

Deno.test("the node check checks the node, in bytes because the node has no limit", () => {
  const [job] = built("node-check");
  const [{ args, volumeMounts }] = containersOf(job);
  assert.deepEqual(args.slice(0, 5), ["inspect", "--check", "/", "--min-headroom", "1G"]);
  assert.ok(volumeMounts.every((mount: Json) => mount.readOnly));
  assert.equal(podOf(job).restartPolicy, "Never");
});

Deno.test("a misspelt field, a wrong type and a bad quantity are found, with their place", () => {
  const of = (set: (container: Json) => void) =>
    offencesAfter((daemonSet) => set(containersOf(daemonSet)[0]));
  const [misspelt] = of((container) => container.resource = {});
  assert.match(
    misspelt!,
    /^DaemonSet oomkit: \/spec\/template\/spec\/containers\/0 .*\(resource\)$/,
  );
  assert.match(of((c) => c.securityContext.readOnlyRootFilesystem = "yes")[0]!, /must be boolean/);
  assert.match(of((c) => c.resources.limits.memory = "60MiB")[0]!, /limits\/memory must match/);
  assert.match(of((c) => c.ports[0].containerPort = 70000)[0]!, /must be <= 65535/);
  assert.match(of((c) => c.livenessProbe.exec = { command: ["x"] })[0]!, /exactly one/);
  assert.match(of((c) => delete c.name)[0]!, /must have required property 'name'/);
});

Deno.test("objects that the API would accept are refused for too many or too few rights", () => {
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
    [/a node that it does not run on/, (_, pod) => delete pod.nodeSelector["kubernetes.io/arch"]],
    [/no ServiceAccount other-account/, (_, pod) => pod.serviceAccountName = "other-account"],
    [/no ConfigMap other/, (_, pod) => pod.volumes[1].configMap.name = "other"],
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
    const found = offencesAfter((daemonSet, objects) =>
      change(containersOf(daemonSet)[0], podOf(daemonSet), objects)
    );
    assert.ok(found.some((line) => expected.test(line)), `${expected}: ${found}`);
  }
});

Deno.test("a patch that changes nothing is an error, as in kustomize", () => {
  assert.throws(() => applyPatch({ a: {} }, [{ op: "replace", path: "/a/b", value: 1 }]));
  assert.throws(() => applyPatch({ a: {} }, [{ op: "add", path: "/b/c", value: 1 }]));
  const object = { a: { "b/c": [1, 3] } };
  applyPatch(object, [{ op: "add", path: "/a/b~1c/1", value: 2 }]);
  applyPatch(object, [{ op: "remove", path: "/a/b~1c/0" }]);
  assert.deepEqual(object, { a: { "b/c": [2, 3] } });
});

Deno.test("an unsupported field of a kustomization is refused instead of ignored", () => {
  const directory = Deno.makeTempDirSync({ prefix: "oomkit-test-" });
  try {
    Deno.writeTextFileSync(join(directory, "kustomization.yaml"), "commonLabels: {a: b}\n");
    assert.throws(() => buildKustomization(directory), /"commonLabels" is not built here/);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
