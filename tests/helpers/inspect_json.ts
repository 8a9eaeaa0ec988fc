/** `inspect --json`, checked against its schema. */

import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import schema from "../../docs/schema/inspect.schema.json" with { type: "json" };
import { type Ran, runOomkit, type RunOptions } from "./run_oomkit.ts";

const isDocument = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);

// deno-lint-ignore no-explicit-any
export type Document = any;

/** Throws if the output does not match the schema. */
export function parseInspect(stdout: string): Document {
  const document = JSON.parse(stdout);
  assert.ok(isDocument(document), JSON.stringify(isDocument.errors, null, 1));
  return document;
}

export async function inspectJson(
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran & { document: Document }> {
  const ran = await runOomkit(["inspect", "--json", ...args], options);
  return { ...ran, document: ran.stdout === "" ? undefined : parseInspect(ran.stdout) };
}
