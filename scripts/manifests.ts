/**
 * `deno run -A scripts/manifests.ts [--kubectl PROGRAM] [DIRECTORY…]`: builds the kustomizations of `deploy/kubernetes`, holds every
 * object against the schema of its kind and our own rules, and prints one line for each offence. With `--kubectl` it compares
 * what was built with what the real kustomize builds; with `--print` it prints the objects of one directory, which
 * `kubectl apply -f -` takes.
 */

import { deepStrictEqual } from "node:assert";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Ajv } from "ajv";
import { outputOf } from "./command.ts";
import { isThere } from "./files.ts";
import { buildKustomization, type Json, parseYaml } from "./manifests/kustomize.ts";
import { policyOffences } from "./manifests/policy.ts";
import { schemas } from "./manifests/schema.ts";
import { printLine, run } from "./terminal.ts";

export const manifests = fileURLToPath(new URL("../deploy/kubernetes", import.meta.url));

const ajv = new Ajv({ allErrors: true, strict: true, strictTypes: false, strictRequired: false });
const validators = Object.fromEntries(
  Object.entries(schemas).map(([kind, schema]) => [kind, ajv.compile(schema)]),
);

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
export function offencesOf(objects: readonly Json[]): string[] {
  return [...objects.flatMap(schemaOffences), ...policyOffences(objects)];
}

function schemaOffences(object: Json): string[] {
  const where = `${object?.kind} ${object?.metadata?.name}`;
  const validate = validators[object?.kind];
  if (validate === undefined) return [`${where}: there is no schema for this kind`];
  if (validate(object)) return [];
  return validate.errors!.map(({ instancePath, message, params }) => {
    const key = params.additionalProperty ?? "";
    return `${where}: ${instancePath || "/"} ${message}${key && ` (${key})`}`;
  });
}

/** @throws where the real kustomize builds something else. */
async function compareWith(kubectl: string, directory: string): Promise<void> {
  const { code, stdout, stderr } = await outputOf(kubectl, ["kustomize", directory]);
  if (code !== 0) throw new Error(stderr.trim());
  const theirs = parseYaml(stdout, `kubectl kustomize ${directory}`);
  deepStrictEqual(sorted(buildKustomization(directory)), sorted(theirs));
}

function sorted(objects: readonly Json[]): Json[] {
  const key = ({ kind, metadata }: Json) => `${kind} ${metadata.name}`;
  return objects.toSorted((a, b) => key(a) < key(b) ? -1 : 1);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: { kubectl: { type: "string" }, print: { type: "boolean" } },
  });
  const directories = positionals.length > 0 ? positionals : kustomizations();
  let bad = 0;
  for (const directory of directories) {
    const objects = buildKustomization(directory);
    if (values.print) {
      printLine(JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }, null, 2));
      continue;
    }
    const offences = offencesOf(objects);
    if (values.kubectl !== undefined) {
      await compareWith(values.kubectl, directory).catch((error) => offences.push(error.message));
    }
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
