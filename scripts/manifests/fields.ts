/**
 * Fields that Kubernetes does not know, found without a server: `kubectl set … --local` decodes an object with the types of its
 * release, refuses a wrong type, and prints the fields that it knows. Ranges and references are left to a server (`deno task cluster`).
 */

import { kubernetesProgram } from "../build/kubernetes_programs.ts";
import { outputOf } from "../command.ts";
import { type Json, podOf } from "./kustomize.ts";

/** A change that removes no field; without a change nothing is printed. */
function changeOf(object: Json): readonly [string, string] | undefined {
  if (podOf(object) !== undefined) return ["image", "*=checked"];
  if (object.kind === "ClusterRoleBinding") return ["subject", "--user=checked"];
  if (object.kind !== "Service") return undefined;
  // It replaces the selector.
  const labels = Object.entries({ ...object.spec.selector, checked: "checked" });
  return ["selector", labels.map((label) => label.join("=")).join()];
}

/** The keys besides apiVersion, kind and metadata, of the kinds that `kubectl set` does not change. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  ClusterRole: ["rules"],
  ConfigMap: ["data"],
  NetworkPolicy: ["spec"],
  PodMonitor: ["spec"],
  PrometheusRule: ["spec"],
  ServiceAccount: ["automountServiceAccountToken"],
};

/** @returns one line for each field that is unknown or has a wrong type. */
export async function fieldOffences(object: Json): Promise<string[]> {
  const where = `${object.kind} ${object.metadata?.name}`;
  const keys = KEYS[object.kind];
  if (keys !== undefined) {
    const { apiVersion: _, kind: __, metadata: ___, ...rest } = object;
    return Object.keys(rest).filter((key) => !keys.includes(key)).map((key) =>
      `${where}: /${key} is unknown`
    );
  }
  const change = changeOf(object);
  if (change === undefined) return [`${where}: the fields of this kind are not known here`];
  const [what, value] = change;
  const file = Deno.makeTempFileSync({ prefix: "oomkit-manifest-", suffix: ".json" });
  try {
    Deno.writeTextFileSync(file, JSON.stringify(object));
    const { code, stdout, stderr } = await outputOf(
      await kubernetesProgram("kubectl"),
      ["set", what, "--local", "--filename", file, value, "--output=json"],
    );
    if (code !== 0) return [`${where}: ${stderr.trim().replaceAll(file, "it")}`];
    return unknownIn(object, JSON.parse(stdout), "").map((path) => `${where}: ${path} is unknown`);
  } finally {
    Deno.removeSync(file);
  }
}

/** @returns the paths of the fields that `known` lacks. */
function unknownIn(object: Json, known: Json, path: string): string[] {
  if (typeof object !== "object" || object === null) return [];
  return Object.entries(object).flatMap(([key, value]) => {
    const here = `${path}/${key}`;
    // An empty value may be left out.
    if (known?.[key] === undefined) return isEmpty(value) ? [] : [here];
    return unknownIn(value, known[key], here);
  });
}

const isEmpty = (value: unknown): boolean =>
  value === null || value === "" || value === false || value === 0 ||
  (typeof value === "object" && Object.keys(value).length === 0);
