/** The objects of the manifests, as kubectl's kustomize builds them. */

import { parseAllDocuments } from "yaml";
import { kubernetesProgram } from "../build/kubernetes_programs.ts";
import { outputOf } from "../command.ts";
import { Mistake } from "../terminal.ts";

// deno-lint-ignore no-explicit-any
export type Json = any;

/** @returns the documents of a file, without the empty ones. @throws with the file's name when it is no YAML. */
export function parseYaml(text: string, file: string): Json[] {
  return parseAllDocuments(text, { strict: true, uniqueKeys: true }).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`cannot read ${file}: ${error.message}`);
    const value = document.toJS();
    return value === null ? [] : [value];
  });
}

/** @returns the objects as they would be applied. @throws Mistake where kustomize refuses the directory. */
export async function buildKustomization(directory: string): Promise<Json[]> {
  const kubectl = await kubernetesProgram("kubectl");
  const { code, stdout, stderr } = await outputOf(kubectl, ["kustomize", directory]);
  if (code === 0) return parseYaml(stdout, directory);
  throw new Mistake(`cannot build ${directory}: ${stderr.trim()}`);
}

/** The pod of a Pod, DaemonSet or Job; `undefined` of what has none. */
export function podOf(object: Json): Json | undefined {
  return object.kind === "Pod" ? object.spec : object.spec?.template?.spec;
}

export const containersOf = (object: Json): Json[] => podOf(object)?.containers ?? [];
