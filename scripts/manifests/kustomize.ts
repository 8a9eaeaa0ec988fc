/**
 * Builds a kustomization without kustomize: the part of it that `deploy/kubernetes` keeps to, and an error for all else, so that
 * nothing is silently left out. `scripts/manifests.ts --kubectl PROGRAM` compares with the real one.
 */

import { hash } from "node:crypto";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";

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

const KNOWN = "apiVersion kind namespace resources components configMapGenerator patches images";
const CLUSTER_WIDE = ["ClusterRole", "ClusterRoleBinding"];

/** @returns the objects as they would be applied. @throws what is wrong, with the directory. */
export function buildKustomization(directory: string): Json[] {
  const generated = new Set<Json>();
  const objects = accumulate(directory, [], generated);
  for (const map of generated) {
    const name = map.metadata.name;
    map.metadata.name = `${name}-${hashOf(map)}`;
    for (const object of objects) renameVolumes(object, name, map.metadata.name);
  }
  return objects;
}

function accumulate(directory: string, below: readonly Json[], generated: Set<Json>): Json[] {
  const file = join(directory, "kustomization.yaml");
  const [content = {}] = parseYaml(Deno.readTextFileSync(file), file);
  onlyKnown(content, KNOWN, file);
  const objects = [...below];
  for (const each of content.resources ?? []) {
    const path = join(directory, each);
    objects.push(
      ...Deno.statSync(path).isDirectory
        ? accumulate(path, [], generated)
        : parseYaml(Deno.readTextFileSync(path), path),
    );
  }
  for (const each of content.components ?? []) {
    objects.splice(0, objects.length, ...accumulate(join(directory, each), objects, generated));
  }
  for (const each of content.configMapGenerator ?? []) {
    onlyKnown(each, "name namespace behavior files", file);
    generate(each, directory, objects, generated);
  }
  for (const each of content.patches ?? []) {
    onlyKnown(each, "target patch", file);
    onlyKnown(each.target, "kind name", file);
    patch(each, objects, file);
  }
  for (const object of objects) {
    if (content.namespace && !CLUSTER_WIDE.includes(object.kind)) {
      object.metadata.namespace = content.namespace;
    }
    for (const image of content.images ?? []) {
      onlyKnown(image, "name newName newTag", file);
      setImage(object, image);
    }
  }
  return objects;
}

/** @param known keys, separated by spaces. */
function onlyKnown(content: Json, known: string, file: string): void {
  const unknown = Object.keys(content).find((key) => !known.split(" ").includes(key));
  if (unknown === undefined) return;
  throw new Error(`cannot build ${file}: "${unknown}" is not built here; known: ${known}`);
}

function generate(
  { name, namespace, behavior = "create", files = [] }: Json,
  directory: string,
  objects: Json[],
  generated: Set<Json>,
): void {
  const data = Object.fromEntries(files.map((file: string) => [
    file,
    Deno.readTextFileSync(join(directory, file)),
  ]));
  const there = [...generated].find((each) => each.metadata.name === name);
  if (behavior === "merge" && there !== undefined) return void Object.assign(there.data, data);
  if (behavior !== "create" || there !== undefined) {
    throw new Error(`cannot ${behavior} the ConfigMap ${name} of ${directory}`);
  }
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
  const map = { apiVersion: "v1", kind: "ConfigMap", metadata, data };
  generated.add(map);
  objects.push(map);
}

function patch({ target, patch }: Json, objects: readonly Json[], file: string): void {
  const meant = objects.filter(({ kind, metadata }) =>
    kind === target.kind && metadata.name === target.name
  );
  if (meant.length === 0) {
    throw new Error(`cannot patch in ${file}: there is no ${target.kind} ${target.name}`);
  }
  for (const each of meant) applyPatch(each, parseYaml(patch, file)[0]);
}

/**
 * JSON Patch (RFC 6902), the three operations that the overlays use; changes `object`.
 * @throws when an operation does not fit it, as kustomize does.
 */
export function applyPatch(object: Json, operations: readonly Json[]): void {
  for (const { op, path, value } of operations) {
    const keys = String(path).split("/").slice(1)
      .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = keys.pop();
    const parent = keys.reduce((at, key) => at?.[key], object);
    if (last === undefined || typeof parent !== "object" || parent === null) {
      throw new Error(`cannot ${op} ${path}: there is no such place`);
    }
    const isThere = last in parent;
    if (op === "add" && Array.isArray(parent)) {
      parent.splice(last === "-" ? parent.length : Number(last), 0, structuredClone(value));
    } else if (op === "add" || (op === "replace" && isThere)) {
      parent[last] = structuredClone(value);
    } else if (op === "remove" && isThere) {
      if (Array.isArray(parent)) parent.splice(Number(last), 1);
      else delete parent[last];
    } else throw new Error(`cannot ${op} ${path}: there is nothing, or the operation is unknown`);
  }
}

function setImage(object: Json, { name, newName = name, newTag }: Json): void {
  for (const container of containersOf(object)) {
    if (container.image.split(":")[0] !== name) continue;
    container.image = newTag === undefined ? newName : `${newName}:${newTag}`;
  }
}

/** The pod of a Pod, DaemonSet or Job; `undefined` of what has none. */
export function podOf(object: Json): Json | undefined {
  return object.kind === "Pod" ? object.spec : object.spec?.template?.spec;
}

export const containersOf = (object: Json): Json[] => podOf(object)?.containers ?? [];

function renameVolumes(object: Json, from: string, to: string): void {
  for (const { configMap } of podOf(object)?.volumes ?? []) {
    if (configMap?.name === from) configMap.name = to;
  }
}

/** As kustomize does it, so that a pod is replaced when its configuration changes. */
function hashOf({ kind, data }: Json): string {
  const sorted = Object.fromEntries(Object.entries(data).sort(([a], [b]) => a < b ? -1 : 1));
  // Without the name, as found by comparing. Go's encoder escapes what HTML might misread.
  const text = JSON.stringify({ data: sorted, kind, name: "" })
    .replace(/[<>&]/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`);
  const letters: Record<string, string> = { 0: "g", 1: "h", 3: "k", a: "m", e: "t" };
  return hash("sha256", text).slice(0, 10).replace(/[013ae]/g, (digit) => letters[digit]!);
}
