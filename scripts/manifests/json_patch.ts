/** JSON Patch (RFC 6902), the three operations that the overlays use. */

import type { Json } from "./yaml.ts";

/** Changes `object`. @throws when an operation does not fit it, as kustomize does. */
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
