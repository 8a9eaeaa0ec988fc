/**
 * `deno run -A scripts/manifests.ts [DIRECTORY…]`: builds the kustomizations of `deploy/kubernetes` with kubectl, holds every object
 * against the types of Kubernetes and our own rules, and prints one line for each offence.
 */

import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { isThere } from "./files.ts";
import { fieldOffences } from "./manifests/fields.ts";
import { buildKustomization, type Json } from "./manifests/kustomize.ts";
import { policyOffences } from "./manifests/policy.ts";
import { printLine, run } from "./terminal.ts";

export const manifests = fileURLToPath(new URL("../deploy/kubernetes", import.meta.url));

/** The directories that can be applied as they are: components cannot. */
export function kustomizations(directory = manifests): string[] {
  return [...Deno.readDirSync(directory)].filter(({ isDirectory }) => isDirectory).flatMap(
    ({ name }) => {
      const path = join(directory, name);
      const file = join(path, "kustomization.yaml");
      if (!isThere(file)) return kustomizations(path);
      return /^kind: Component$/m.test(Deno.readTextFileSync(file)) ? [] : [path];
    },
  ).sort();
}

/** @returns one line for each way in which the objects are not as they must be. */
export async function offencesOf(objects: readonly Json[]): Promise<string[]> {
  const fields = await Promise.all(objects.map(fieldOffences));
  return [...fields.flat(), ...policyOffences(objects)];
}

async function main(): Promise<number> {
  let bad = 0;
  for (const directory of Deno.args.length > 0 ? Deno.args : kustomizations()) {
    const objects = await buildKustomization(directory);
    const offences = await offencesOf(objects);
    bad += offences.length;
    const shown = relative(Deno.cwd(), directory);
    printLine(
      `${shown}: ${objects.length} objects${offences.length === 0 ? ", as they must be" : ""}`,
    );
    for (const offence of offences) printLine(`  ${offence}`);
  }
  return bad > 0 ? 1 : 0;
}

if (import.meta.main) await run("manifests", main);
