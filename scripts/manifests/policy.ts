/** What our manifests must keep to beyond what the API would take. */

import { parse } from "smol-toml";
import { flagOffences, keyOffences, targetsAmong } from "./flags.ts";
import { containersOf, type Json, podOf } from "./kustomize.ts";

/** @param objects of one kustomization. @returns one line for each offence. */
export function policyOffences(objects: readonly Json[]): string[] {
  return objects.flatMap((object) => {
    const where = `${object.kind} ${object.metadata.name}`;
    return [
      ...rightsOffences(object),
      ...containersOf(object).flatMap((each) => containerOffences(each, podOf(object)!)),
      ...referenceOffences(object, objects),
      ...configOffences(object),
    ].map((offence) => `${where}: ${offence}`);
  });
}

function rightsOffences({ kind, rules = [], roleRef }: Json): string[] {
  const offences: string[] = [];
  if (roleRef?.name === "cluster-admin") offences.push("it binds cluster-admin");
  for (const { apiGroups, resources, verbs } of kind === "ClusterRole" ? rules : []) {
    if ([apiGroups, resources, verbs].flat().includes("*")) offences.push("a rule has a wildcard");
    if (resources.includes("secrets")) offences.push("it may read secrets");
  }
  return offences;
}

function containerOffences(container: Json, pod: Json): string[] {
  const { name, image, resources, securityContext: own = {}, volumeMounts = [] } = container;
  const { nodeSelector = {} } = pod;
  const seccomp = own.seccompProfile ?? pod.securityContext?.seccompProfile;
  const declared = (pod.volumes ?? []).map((each: Json) => each.name);
  const wrongs: readonly (readonly [boolean, string])[] = [
    ...["cpu", "memory"].flatMap((what) =>
      [
        [resources?.limits?.[what] === undefined, `has no limit of ${what}`],
        [resources?.requests?.[what] === undefined, `requests no ${what}`],
      ] as const
    ),
    [!own.readOnlyRootFilesystem, "can write to its image"],
    [
      !own.privileged && !own.capabilities?.drop?.includes("ALL"),
      "keeps capabilities that it was not given",
    ],
    [!own.privileged && own.allowPrivilegeEscalation !== false, "may gain privileges"],
    [!own.privileged && seccomp?.type !== "RuntimeDefault", "has no seccomp"],
    [!/:[^/]+$/.test(image), "runs whatever version there is"],
    ...volumeMounts.map((mount: Json) =>
      [!declared.includes(mount.name), `mounts ${mount.name}, which is not`] as const
    ),
    [nodeSelector["kubernetes.io/os"] !== "linux", "may come to a node that it does not run on"],
    // The image is for x86-64 and arm64.
    ["kubernetes.io/arch" in nodeSelector, "does not come to every node that it runs on"],
  ];
  return [
    ...wrongs.flatMap(([isWrong, what]) => isWrong ? [`${name} ${what}`] : []),
    ...probeOffences(container),
    ...flagOffences(container),
    ...targetOffences(container),
  ];
}

/** A target on the command line would silently count for more than those in the file. */
function targetOffences({ name, args: [command, ...words] = [] }: Json): string[] {
  if (!words.includes("--config")) return [];
  return targetsAmong(command, words).map((target) =>
    `${name} is given ${target} beside a configuration that has targets`
  );
}

/** A kubelet that cannot reach it would start it again and again. */
function probeOffences({ name, ports = [], ...container }: Json): string[] {
  return ["livenessProbe", "readinessProbe", "startupProbe"].flatMap((kind) => {
    const port = container[kind]?.httpGet?.port;
    const isThere = port === undefined ||
      ports.some((each: Json) => each.name === port || each.containerPort === port);
    return isThere ? [] : [`${name}: ${kind} asks a port that is not declared: ${port}`];
  });
}

function referenceOffences(object: Json, objects: readonly Json[]): string[] {
  const missing: string[] = [];
  const need = (kind: string, name?: string, namespace?: string) => {
    if (name === undefined) return;
    const named = objects.filter((each) => each.kind === kind && each.metadata.name === name);
    if (named.some(({ metadata }) => metadata.namespace === namespace)) return;
    const where = namespace === undefined ? "" : ` in ${namespace}`;
    missing.push(`there is no ${kind} ${name}${where}`);
  };
  const pod = podOf(object) ?? {};
  const { namespace } = object.metadata;
  need("ServiceAccount", pod.serviceAccountName, namespace);
  for (const { configMap } of pod.volumes ?? []) need("ConfigMap", configMap?.name, namespace);
  if (object.kind === "ClusterRoleBinding") need("ClusterRole", object.roleRef.name);
  for (const subject of object.subjects ?? []) need(subject.kind, subject.name, subject.namespace);
  return [...missing, ...selectorOffences(object, objects)];
}

/** A DaemonSet selects its own pods, other kinds those of the DaemonSets. */
function selectorOffences({ kind, spec = {} }: Json, objects: readonly Json[]): string[] {
  const selected = (spec.selector?.matchLabels ?? spec.podSelector?.matchLabels) ??
    (kind === "Service" ? spec.selector : undefined);
  if (selected === undefined) return [];
  const templates = spec.template === undefined
    ? objects.flatMap((each) => each.spec?.template ?? [])
    : [spec.template];
  const fits = ({ metadata }: Json) =>
    Object.entries(selected).every(([key, value]) => metadata?.labels?.[key] === value);
  return templates.some(fits)
    ? []
    : [`no pods have the labels that it selects: ${JSON.stringify(selected)}`];
}

function configOffences({ kind, data = {} }: Json): string[] {
  if (kind !== "ConfigMap") return [];
  return Object.entries(data as Record<string, string>).flatMap(([file, text]) => {
    if (!file.endsWith(".toml")) return [];
    try {
      return Object.entries(parse(text)).flatMap(([command, keys]) =>
        keyOffences(command, Object.keys(keys as object)).map((each) => `${file}: ${each}`)
      );
    } catch (error) {
      return [`${file} is no TOML: ${(error as Error).message.split("\n")[0]}`];
    }
  });
}
