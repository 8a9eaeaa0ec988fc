/** `status --json`, checked against its schema. */

import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import schema from "../../docs/schema/status.schema.json" with { type: "json" };
import { runOomkit, type RunOptions } from "./run_oomkit.ts";

const isDocument = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);

export interface StatusRun {
  readonly code: number;
  readonly stderr: string;
  // deno-lint-ignore no-explicit-any
  readonly document: any;
}

/** Throws if the output does not match the schema. */
export async function statusJson(
  args: readonly string[],
  options: RunOptions,
): Promise<StatusRun> {
  const { code, stdout, stderr } = await runOomkit(["status", "--json", ...args], options);
  const document = JSON.parse(stdout);
  assert.ok(isDocument(document), JSON.stringify(isDocument.errors, null, 1));
  return { code, stderr, document };
}
